"""Scoring leads that are sent along with the request."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.scorer import Scorer
from serving.api import schemas
from serving.api.admission import LARGE
from serving.api.answers import BatchAnswer, DecisionAnswer, ProblemAnswer
from serving.api.callers import Permitted, ServiceDependency
from serving.api.idempotency import Attempt, AttemptDependency, Written
from serving.api.problems import MEDIA_TYPE, Problem
from serving.api.schemas import BatchRequest, ScoreRequest
from serving.scoring import Made, Sent, decide_requests, decide_together
from serving.service import Service
from serving.store import decisions

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}} for status in (400, 401, 403, 408, 413, 422, 429, 503)
}
"""The answers, in OpenAPI, that any route may give instead of its own."""
_UNDER_WAY: dict[int | str, dict[str, Any]] = {409: REFUSALS[400]}
_APPLICATIONS = ("json", "x-ndjson", "ndjson", "jsonl", "octet-stream", "x-www-form-urlencoded")
_READ = ("", "text/plain", *(f"application/{kind}" for kind in _APPLICATIONS))
"""Types of content that may be JSON: also those that clients name when they were not told any."""
_OTHER_CHARSET = re.compile(r"charset\s*=(?!\s*\"?utf-?8\"?\s*(;|$))")
router = APIRouter(prefix="/v1", tags=["scores"])


async def _body(request: Request) -> bytes:
    kind, _, parameters = request.headers.get("Content-Type", "").lower().partition(";")
    coded = request.headers.get("Content-Encoding", "identity").lower() != "identity"
    if coded or kind.strip() not in _READ or _OTHER_CHARSET.search(parameters):
        raise Problem(415, "The body must be JSON in UTF-8, uncompressed; Content-Type may say so or be left out.")
    return await request.body()


Body = Annotated[bytes, Depends(_body)]


def takes(model: str) -> dict[str, Any]:
    """What OpenAPI says of a body that the route reads itself."""
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/score",
    operation_id="scoreLead",
    summary="Decide on one lead sent with its facts; no lead is created",
    responses={200: {"model": DecisionAnswer}, **REFUSALS, **_UNDER_WAY},
    openapi_extra=takes("ScoreRequest"),
)
def score(service: ServiceDependency, _: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The decision, kept with the body it was made from."""

    def read() -> list[Made]:
        request, sent = schemas.read(ScoreRequest, body)
        scorer, requests = _checked(service, attempt, [(request, sent, "")])
        # A large one would keep the others waiting.
        if len(body) >= LARGE:
            return decide_requests(service, scorer, requests)
        return [decide_together(service, scorer, requests[0])]

    return attempt.answer(body, read, lambda connection, made: _kept(connection, made, made[0][0]), shared=True)


@router.post(
    "/score/batch",
    operation_id="scoreLeads",
    summary="Decide on up to 1,000 leads",
    responses={200: {"model": BatchAnswer}, **REFUSALS, **_UNDER_WAY},
    openapi_extra=takes("BatchRequest"),
)
def score_batch(service: ServiceDependency, _: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The decisions in the order sent; one faulty item refuses them all."""

    def read() -> list[Made]:
        batch, sent = schemas.read(BatchRequest, body)
        pairs = enumerate(zip(batch.items, sent["items"], strict=True))
        checked = _checked(service, attempt, [(request, item, f"items.{i}.") for i, (request, item) in pairs])
        return decide_requests(service, *checked)

    def write(connection: Connection, made: list[Made]) -> Written:
        return _kept(connection, made, {"items": [content for content, _ in made]})

    return attempt.answer(body, read, write)


def _checked(
    service: Service, attempt: Attempt, sent: list[tuple[ScoreRequest, dict[str, Any], str]]
) -> tuple[Scorer, list[Sent]]:
    """The scorer of now, and what it is to decide on; each request comes with its JSON and its path in the body."""
    now = service.clock()
    # One scorer throughout: the champion may change between two looks at it.
    scorer = service.champion.scorer()
    declared = scorer.served.bundle.attributes if scorer.served else ()
    for request, _, path in sent:
        schemas.check_attributes(request, declared, path)
    if not attempt.dry_run:
        service.archive.keep(service.engine, scorer.policy, now)
    return scorer, [(r, item, schemas.moment_of(r, now, path)) for r, item, path in sent]


def _kept(connection: Connection, made: list[Made], content: dict[str, Any]) -> Written:
    decisions.add(connection, [decision for _, decision in made])
    leads = {decision.lead_id for _, decision in made if decision.lead_id is not None}
    return Written(200, content, leads, made=made)
