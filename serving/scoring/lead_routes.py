"""The routes of a stored lead's scores: the score at a moment, and the history with its changes."""

import json
from dataclasses import asdict
from itertools import pairwise
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, field_serializer
from sqlalchemy import Connection

from features.value_types import Instant, Text, rfc3339
from serving.champion.scorer_cache import ScorerCache, Unavailable
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.responses import DecisionAnswer
from serving.decisions.stored_decisions import HistoryKey, StoredDecision
from serving.http.authentication import Permitted
from serving.http.paging import Paging, cursor, page_answer
from serving.http.path_ids import LEAD_ID
from serving.http.problems import from_fields, from_status
from serving.http.responses import REFUSALS, refusals
from serving.records import aliases, visible
from serving.records.closes import closed_content
from serving.scoring.changes import change
from serving.scoring.dependencies import ScoringDependency
from serving.scoring.lead_scores import decision_as_of
from serving.scoring.responses import CurrentScorePage, ScoreAnswer
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
    """The current decision while it holds, else a new one; of the past, one on what was recorded by then.

    Of a lead that is won or lost the answer is its last decision, with `closed`.
    """
    if query.as_of is not None and query.as_of > scoring.store.clock():
        raise from_fields([FieldError("query.as_of", "must not lie in the future")])
    found = decision_as_of(scoring, lead_id, query.as_of)
    if found is None:
        raise from_status(404)
    decision, closed = found
    if closed is None:
        return Response(decision.content, media_type="application/json")
    return JSONResponse({**json.loads(decision.content), "closed": closed_content(closed)})


class Changes(Paging):
    """The query of the changed scores."""

    changed_since: Instant | None = None
    """The earliest change; by default all current scores are listed."""

    @field_serializer("changed_since")
    def _written(self, moment: int | None) -> str | None:
        return None if moment is None else rfc3339(moment)


@router.get(
    "/scores",
    operation_id="listChangedScores",
    summary="The current scores in the order in which they changed",
    responses={200: {"model": CurrentScorePage}, **REFUSALS},
)
def changed_scores(scoring: ScoringDependency, caller: Permitted, page: Annotated[Changes, Query()]) -> JSONResponse:
    """A page of the current scores since a moment, the earliest change first.

    Follow `next` to its end, and later ask again with the `cursor` of the last answer: no change is missed. A score
    that changed again stands at its last change. A lead that was removed, or merged into another one, has `removed`.
    A partner sees the state of its own leads.
    """
    (after,) = cast(tuple[int], page.after(int)) or (0,)
    with reading(scoring.store.engine) as connection:
        partner = caller.partner_id if caller.role == "partner" else None
        found = current_scores.changed_since(connection, page.changed_since or 0, after, page.limit + 1, partner)
    show = _for_partner if partner is not None else _changed
    answer = page.answer("/v1/scores", found, lambda score: (score.change,), show)
    shown = found[: page.limit]
    return JSONResponse({**answer, "cursor": cursor((shown[-1].change,)) if shown else page.cursor})


def _changed(score: CurrentScore) -> dict[str, Any]:
    money = {"minor": score.expected_value_minor, "currency": score.expected_value_currency}
    return {
        **_for_partner(score),
        "close_probability": score.close_probability,
        "grade": score.grade,
        "expected_value": None if score.expected_value_minor is None else money,
    }


def _for_partner(score: CurrentScore) -> dict[str, Any]:
    closed = {"outcome": score.closed, "at": None if score.closed_at is None else rfc3339(score.closed_at)}
    return {
        "lead_id": score.lead_id,
        "decision_id": score.decision_id,
        "qualification": score.qualification,
        "pending": score.pending,
        "source_partner_id": score.source_partner_id,
        "scored_at": rfc3339(score.scored_at),
        "changed_at": rfc3339(score.changed_at),
        "closed": None if score.closed is None else closed,
        "removed": score.removed,
    }


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
