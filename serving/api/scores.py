"""Scoring leads that are sent along with the request."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from serving.api import schemas
from serving.api.answers import BatchAnswer, DecisionAnswer, ProblemAnswer
from serving.api.callers import Permitted, ServiceDependency
from serving.api.problems import MEDIA_TYPE
from serving.api.schemas import BatchRequest, ScoreRequest
from serving.scoring import score_requests
from serving.service import Service

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}} for status in (400, 401, 403, 408, 413, 422, 429, 503)
}
"""The answers, in OpenAPI, that any route may give instead of its own."""
router = APIRouter(prefix="/v1", tags=["scores"])


async def _body(request: Request) -> bytes:
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
    responses={200: {"model": DecisionAnswer}, **REFUSALS},
    openapi_extra=takes("ScoreRequest"),
)
def score(service: ServiceDependency, _: Permitted, body: Body) -> JSONResponse:
    """The decision, kept with the body it was made from."""
    request, sent = schemas.read(ScoreRequest, body)
    return JSONResponse(_score(service, [(request, sent, "")])[0])


@router.post(
    "/score/batch",
    operation_id="scoreLeads",
    summary="Decide on up to 1,000 leads",
    responses={200: {"model": BatchAnswer}, **REFUSALS},
    openapi_extra=takes("BatchRequest"),
)
def score_batch(service: ServiceDependency, _: Permitted, body: Body) -> JSONResponse:
    """The decisions in the order sent; one faulty item refuses them all."""
    batch, sent = schemas.read(BatchRequest, body)
    pairs = zip(batch.items, sent["items"], strict=True)
    return JSONResponse({"items": _score(service, [(r, s, f"items.{i}.") for i, (r, s) in enumerate(pairs)])})


def _score(service: Service, sent: list[tuple[ScoreRequest, dict[str, Any], str]]) -> list[dict[str, Any]]:
    now = service.clock()
    # One scorer throughout: the champion may change between two looks at it.
    scorer = service.champion.scorer()
    declared = scorer.served.bundle.attributes if scorer.served else ()
    for request, _, path in sent:
        schemas.check_attributes(request, declared, path)
    return score_requests(service, scorer, [(r, content, schemas.moment_of(r, now, path)) for r, content, path in sent])
