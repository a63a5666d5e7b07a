"""The scores of a lead of the store: the one that holds at a moment, and its history with what changed."""

import json
from dataclasses import asdict
from itertools import pairwise
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from features.value_types import Instant, Text
from serving.champion.scorer_cache import Archive, Unavailable
from serving.decisions import stored_decisions as decisions
from serving.decisions.stored_decisions import Place, StoredDecision
from serving.http.authentication import Permitted, ServiceDependency
from serving.http.paging import PageAnswer, Paging
from serving.http.problems import FieldError, from_fields, from_status
from serving.http.responses import DecisionAnswer, ProblemAnswer, ScoreAnswer
from serving.records import aliases
from serving.records import visible as lists
from serving.scoring.changes import change
from serving.scoring.lead_scores import score_as_of
from serving.scoring.routes import REFUSALS
from serving.store.database import reading

_FIRST = "there is no decision before"
_SUMMARY = ("decision_id", "as_of", "created_at", "qualification", "pending", "grade", "model", "policy")

router = APIRouter(prefix="/v1", tags=["scores"])
LeadId = Annotated[Text, Path(description="The lead's id.")]


class Moment(BaseModel):
    """The query of a score; a misspelt name would otherwise be answered with the score of now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: Annotated[Instant | None, Field(description="The moment to score as of; now by default.")] = None


_ANSWERS: dict[int | str, dict[str, Any]] = {404: {"model": ProblemAnswer}, **REFUSALS}


@router.get(
    "/leads/{lead_id:path}/score",
    operation_id="getLeadScore",
    summary="The score of a lead of the store as of a moment",
    responses={200: {"model": DecisionAnswer}, **_ANSWERS},
)
def score(service: ServiceDependency, _: Permitted, lead_id: LeadId, query: Annotated[Moment, Query()]) -> Response:
    """The current decision while it holds, else a new one; of the past, one on what was recorded by then."""
    if query.as_of is not None and query.as_of > service.clock():
        raise from_fields([FieldError("query.as_of", "must not lie in the future")])
    found = score_as_of(service, lead_id, query.as_of)
    if found is None:
        raise from_status(404)
    return Response(found.content, media_type="application/json")


@router.get(
    "/leads/{lead_id:path}/scores",
    operation_id="listLeadScores",
    summary="The scores of a lead of the store and what changed between them",
    responses={200: {"model": PageAnswer[ScoreAnswer]}, **_ANSWERS},
)
def scores(service: ServiceDependency, _: Permitted, lead_id: LeadId, page: Annotated[Paging, Query()]) -> JSONResponse:
    """A page of decisions, those for the latest moment first, each with the change since the one before it."""
    before = cast(Place | None, page.after(int, int, str))
    with reading(service.engine) as connection:
        lead_id = aliases.resolve(connection, lead_id)
        found = decisions.of_lead(connection, lead_id, page.limit + 1, before)
        if not found and not lists.known_lead(connection, lead_id):
            raise from_status(404)
        earlier = {kept.decision_id: before_it for kept, before_it in pairwise(found)}

        def shown(kept: StoredDecision) -> dict[str, Any]:
            return _shown(connection, service.archive, earlier.get(kept.decision_id), kept)

        address = f"/v1/leads/{quote(lead_id, safe='')}/scores"
        return JSONResponse(page.answer(address, found, lambda kept: kept.place, shown))


def _shown(
    connection: Connection, archive: Archive, earlier: StoredDecision | None, kept: StoredDecision
) -> dict[str, Any]:
    content = json.loads(kept.content)
    probability = content["close_probability"]
    moved, reason = _change(connection, archive, earlier, kept)
    return {
        **{name: content[name] for name in _SUMMARY},
        "close_probability": probability and probability["value"],
        "change": moved,
        "change_reason": reason,
    }


def _change(
    connection: Connection, archive: Archive, earlier: StoredDecision | None, kept: StoredDecision
) -> tuple[dict[str, Any] | None, str | None]:
    """What changed, or why that cannot be said."""
    if earlier is None:
        return None, _FIRST
    try:
        return asdict(change(connection, archive, earlier, kept)), None
    except Unavailable as error:
        return None, str(error)
