"""The routes of a stored lead's scores: the score at a moment, and the history with its changes."""

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
from serving.champion.scorer_cache import ScorerCache, Unavailable
from serving.decisions import stored_decisions
from serving.decisions.responses import DecisionAnswer
from serving.decisions.stored_decisions import HistoryKey, StoredDecision
from serving.http.authentication import Permitted
from serving.http.paging import Paging, page_answer
from serving.http.path_ids import LEAD_ID
from serving.http.problems import from_fields, from_status
from serving.http.responses import REFUSALS, refusals
from serving.records import aliases, visible
from serving.scoring.changes import change
from serving.scoring.dependencies import ScoringDependency
from serving.scoring.lead_scores import decision_as_of
from serving.scoring.responses import ScoreAnswer
from serving.store.database import reading
from serving.validation import FieldError

_SUMMARY = ("decision_id", "as_of", "created_at", "qualification", "pending", "grade", "model", "policy")
"""The parts of a stored decision that its entry in the history repeats as they are stored."""
_FIRST = "there is no decision before"
_RESPONSES = {**refusals(404), **REFUSALS}

router = APIRouter(prefix="/v1", tags=["scores"])
LeadId = Annotated[Text, Path(description="The lead's id.")]


class Moment(BaseModel):
    """The query of a score. Unknown names are refused: a misspelt `as_of` would be answered with the score of now."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    as_of: Annotated[Instant | None, Field(description="The moment to score as of; now by default.")] = None
    """The moment that the score speaks for."""


@router.get(
    f"/leads/{LEAD_ID}/score",
    operation_id="getLeadScore",
    summary="The score of a lead of the store as of a moment",
    responses={200: {"model": DecisionAnswer}, **_RESPONSES},
)
def score(scoring: ScoringDependency, _: Permitted, lead_id: LeadId, query: Annotated[Moment, Query()]) -> Response:
    """The current decision while it holds, else a new one; of the past, one on what was recorded by then."""
    if query.as_of is not None and query.as_of > scoring.store.clock():
        raise from_fields([FieldError("query.as_of", "must not lie in the future")])
    found = decision_as_of(scoring, lead_id, query.as_of)
    if found is None:
        raise from_status(404)
    return Response(found.content, media_type="application/json")


@router.get(
    f"/leads/{LEAD_ID}/scores",
    operation_id="listLeadScores",
    summary="The scores of a lead of the store and what changed between them",
    responses={200: {"model": page_answer(ScoreAnswer)}, **_RESPONSES},
)
def scores(scoring: ScoringDependency, _: Permitted, lead_id: LeadId, page: Annotated[Paging, Query()]) -> JSONResponse:
    """A page of decisions, those for the latest moment first, each with the change since the one before it."""
    before = cast(HistoryKey | None, page.after(int, int, str))
    with reading(scoring.store.engine) as connection:
        lead_id = aliases.resolve(connection, lead_id)
        found = stored_decisions.of_lead(connection, lead_id, page.limit + 1, before)
        if not found and not visible.lead_exists(connection, lead_id):
            raise from_status(404)
        earlier = {stored.decision_id: before_it for stored, before_it in pairwise(found)}

        def shown(stored: StoredDecision) -> dict[str, Any]:
            return _shown(connection, scoring.scorers, earlier.get(stored.decision_id), stored)

        address = f"/v1/leads/{quote(lead_id, safe='')}/scores"
        return JSONResponse(page.answer(address, found, lambda stored: stored.history_key, shown))


def _shown(
    connection: Connection, scorers: ScorerCache, earlier: StoredDecision | None, stored: StoredDecision
) -> dict[str, Any]:
    content = json.loads(stored.content)
    probability = content["close_probability"]
    changed, reason = _change(connection, scorers, earlier, stored)
    return {
        **{name: content[name] for name in _SUMMARY},
        "close_probability": probability and probability["value"],
        "change": changed,
        "change_reason": reason,
    }


def _change(
    connection: Connection, scorers: ScorerCache, earlier: StoredDecision | None, stored: StoredDecision
) -> tuple[dict[str, Any] | None, str | None]:
    """The change since the decision before, or why it cannot be given."""
    if earlier is None:
        return None, _FIRST
    try:
        return asdict(change(connection, scorers, earlier, stored)), None
    except Unavailable as error:
        return None, str(error)
