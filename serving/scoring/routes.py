"""The routes that decide on leads sent with their facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import Connection

from serving.decisions import stored_decisions
from serving.decisions.responses import DecisionAnswer
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.idempotency import AttemptDependency, WriteAttempt, WriteRequest, WriteResponse
from serving.http.middleware.load_shedding import LARGE
from serving.http.openapi import RequestBody
from serving.http.responses import REFUSALS, refusals
from serving.scoring.decide import NewDecision
from serving.scoring.dependencies import ScoringDependency
from serving.scoring.examples import SCORED
from serving.scoring.inputs import sent_lead
from serving.scoring.requests import BatchRequest, ScoreRequest
from serving.scoring.responses import BatchAnswer
from serving.scoring.scoring import Scoring

BODIES = (RequestBody(ScoreRequest, SCORED), RequestBody(BatchRequest, {"items": [SCORED]}))
router = APIRouter(prefix="/v1", tags=["scores"])


@router.post(
    "/score",
    operation_id="scoreLead",
    summary="Decide on one lead sent with its facts; no lead is created",
    responses={200: {"model": DecisionAnswer}, **REFUSALS, **refusals(409)},
    openapi_extra=json_body(ScoreRequest),
)
def score(scoring: ScoringDependency, _: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The decision, kept with the body it was made from."""

    def prepare() -> list[NewDecision]:
        parsed, sent = read(ScoreRequest, body)
        # One scorer throughout: the champion may change between two reads of it.
        scorer, now = scoring.champion.scorer(), scoring.store.clock()
        lead = sent_lead(parsed, sent, scorer, now)
        if not attempt.dry_run:
            scoring.keep_policy(scorer, now)
        # A large request would hold up the small ones in its batch.
        return scoring.decide(scorer, [lead]) if len(body) >= LARGE else [scoring.decide_batched(scorer, lead)]

    def respond(decisions: Sequence[NewDecision]) -> WriteResponse:
        return _response(decisions, decisions[0].content)

    request = WriteRequest(
        prepare=prepare, commit=_commit, respond=respond, report=scoring.report_decisions, shared=True
    )
    return attempt.answer(body, request)


@router.post(
    "/score/batch",
    operation_id="scoreLeads",
    summary="Decide on up to 1,000 leads",
    responses={200: {"model": BatchAnswer}, **REFUSALS, **refusals(409)},
    openapi_extra=json_body(BatchRequest),
)
def score_batch(scoring: ScoringDependency, _: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The decisions in the order sent; one invalid item refuses them all."""

    def prepare() -> list[NewDecision]:
        return _decide_batch(scoring, attempt, body)

    def respond(decisions: Sequence[NewDecision]) -> WriteResponse:
        return _response(decisions, {"items": [each.content for each in decisions]})

    request = WriteRequest(prepare=prepare, commit=_commit, respond=respond, report=scoring.report_decisions)
    return attempt.answer(body, request)


def _decide_batch(scoring: Scoring, attempt: WriteAttempt, body: bytes) -> list[NewDecision]:
    batch, sent = read(BatchRequest, body)
    scorer, now = scoring.champion.scorer(), scoring.store.clock()
    pairs = enumerate(zip(batch.items, sent["items"], strict=True))
    leads = [sent_lead(request, item, scorer, now, f"items.{i}.") for i, (request, item) in pairs]
    if not attempt.dry_run:
        scoring.keep_policy(scorer, now)
    return scoring.decide(scorer, leads)


def _commit(connection: Connection, decisions: list[NewDecision]) -> list[NewDecision]:
    stored_decisions.add(connection, [each.stored for each in decisions])
    return decisions


def _response(decisions: Sequence[NewDecision], content: Mapping[str, Any]) -> WriteResponse:
    return WriteResponse(status=200, content=content, lead_ids={each.issued.decision.lead_id for each in decisions})
