"""Decisions as they were made: read back, made again, and proven to be in the sealed chain."""

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from features.value_types import Text
from serving.champion.scorer_cache import Unavailable
from serving.decisions import partner_view as partners_view
from serving.decisions import seals
from serving.decisions import stored_decisions as decisions
from serving.decisions.stored_decisions import StoredDecision
from serving.http.authentication import Permitted, ServiceDependency
from serving.http.problems import Problem, from_status
from serving.http.responses import (
    DecisionAnswer,
    PartnerDecisionAnswer,
    ProblemAnswer,
    ProofAnswer,
    ReplayAnswer,
    SealAnswer,
)
from serving.replay.replay import replay
from serving.scoring import requests as schemas
from serving.scoring.requests import ReplayRequest
from serving.scoring.routes import REFUSALS, Body, takes
from serving.store.database import reading

router = APIRouter(prefix="/v1", tags=["decisions"])
DecisionId = Annotated[Text, Path(description="The decision's id.")]
_MISSING: dict[int | str, dict[str, Any]] = {status: {"model": ProblemAnswer} for status in (404, 409, 410)}


@router.get(
    "/decisions/{decision_id}",
    operation_id="getDecision",
    summary="A decision as it was made",
    responses={200: {"model": DecisionAnswer | PartnerDecisionAnswer}, **_MISSING, **REFUSALS},
)
def decision(service: ServiceDependency, caller: Permitted, decision_id: DecisionId) -> Response:
    """The stored decision, 410 once it was erased; a partner sees those on its own leads, of them what concerns it."""
    with reading(service.engine) as connection:
        if caller.role != "partner":
            return Response(_kept(connection, decision_id).content, media_type="application/json")
        found = decisions.get(connection, decision_id)
        if found is None or not partners_view.sees(connection, caller, found):
            raise from_status(404)
    return JSONResponse(partners_view.shown(json.loads(found.content)))


@router.post(
    "/decisions/{decision_id}/replay",
    operation_id="replayDecision",
    summary="Make a decision again and compare",
    responses={200: {"model": ReplayAnswer}, **_MISSING, **REFUSALS},
    openapi_extra=takes("ReplayRequest"),
)
def replay_decision(service: ServiceDependency, _: Permitted, decision_id: DecisionId, body: Body) -> JSONResponse:
    """Whether the decision comes out as it is kept, byte for byte; 409 where what it was made with is not to be had."""
    request, _sent = schemas.read(ReplayRequest, body or b"{}")
    with reading(service.engine) as connection:
        kept = _kept(connection, decision_id)
        try:
            found = replay(connection, service.archive, kept, request.origin)
        except Unavailable as error:
            raise Problem(409, f"The decision cannot be made again: {error}.") from None
    return JSONResponse({"equal": found.equal, "from": found.origin, "differences": list(found.differences)})


@router.get(
    "/decisions/{decision_id}/proof",
    operation_id="proveDecision",
    summary="The proof that a decision is in the sealed chain",
    responses={200: {"model": ProofAnswer}, **_MISSING, **REFUSALS},
)
def proof(service: ServiceDependency, _: Permitted, decision_id: DecisionId) -> JSONResponse:
    """The decision's leaf with its path to the root of its seal, which holds after erasure too."""
    with reading(service.engine) as connection:
        found = seals.proof(connection, decision_id)
        if found is None and not decisions.known(connection, decision_id):
            raise from_status(404)
    if found is None:
        raise Problem(409, "The decision is not sealed yet; try again.", headers={"Retry-After": "1"})
    return JSONResponse({"decision_id": decision_id, **asdict(found)})


@router.get(
    "/seals/head",
    operation_id="getSealsHead",
    summary="The last seal, whose head commits to every decision sealed",
    responses={200: {"model": SealAnswer}, **_MISSING, **REFUSALS},
)
def head(service: ServiceDependency, _: Permitted) -> JSONResponse:
    """The head of the chain, to be kept elsewhere; 404 before the first seal."""
    with reading(service.engine) as connection:
        last = seals.newest(connection)
    if last is None:
        raise from_status(404)
    return JSONResponse(asdict(last))


def _kept(connection: Connection, decision_id: str) -> StoredDecision:
    found = decisions.get(connection, decision_id)
    if found is not None:
        return found
    if decisions.known(connection, decision_id):
        raise Problem(410, "What this decision said was erased; its proof is still there.")
    raise from_status(404)
