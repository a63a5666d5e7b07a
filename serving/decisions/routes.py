"""The routes of stored decisions: the decision as it was made, and the proof that it is in the sealed chain."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from features.value_types import Text
from serving.decisions import partner_standings, partner_view, seals, stored_decisions
from serving.decisions.responses import DecisionAnswer, PartnerDecisionAnswer, ProofAnswer, SealAnswer
from serving.decisions.stored_decisions import StoredDecision
from serving.http.authentication import Permitted
from serving.http.dependencies import StoreDependency
from serving.http.problems import Problem, from_status
from serving.http.responses import REFUSALS, refusals
from serving.store.database import reading

router = APIRouter(prefix="/v1", tags=["decisions"])
DecisionId = Annotated[Text, Path(description="The decision's id.")]
MISSING = refusals(404, 409, 410)


@router.get(
    "/decisions/{decision_id}",
    operation_id="getDecision",
    summary="A decision as it was made",
    responses={200: {"model": DecisionAnswer | PartnerDecisionAnswer}, **MISSING, **REFUSALS},
)
def decision(store: StoreDependency, caller: Permitted, decision_id: DecisionId) -> Response:
    """The stored decision; 410 where it was erased. A partner sees its part of the decisions on its own leads."""
    with reading(store.engine) as connection:
        if caller.role != "partner":
            return Response(kept_decision(connection, decision_id).content, media_type="application/json")
        stored = stored_decisions.get(connection, decision_id)
        if stored is None or not partner_view.may_see(connection, caller, stored):
            raise from_status(404)
        standing = partner_standings.of_decisions(connection, [decision_id]).get(decision_id)
    return JSONResponse(partner_view.partner_view(stored.issued, standing))


@router.get(
    "/decisions/{decision_id}/proof",
    operation_id="proveDecision",
    summary="The proof that a decision is in the sealed chain",
    responses={200: {"model": ProofAnswer}, **MISSING, **REFUSALS},
)
def proof(store: StoreDependency, _: Permitted, decision_id: DecisionId) -> JSONResponse:
    """The decision's leaf with its path to the root of its seal. The proof stays valid after an erasure."""
    with reading(store.engine) as connection:
        found = seals.proof(connection, decision_id)
        if found is None and not stored_decisions.exists(connection, decision_id):
            raise from_status(404)
    if found is None:
        raise Problem(409, "The decision is not sealed yet; try again.", headers={"Retry-After": "1"})
    return JSONResponse({"decision_id": decision_id, **asdict(found)})


@router.get(
    "/seals/head",
    operation_id="getSealsHead",
    summary="The last seal; its head commits to every sealed decision",
    responses={200: {"model": SealAnswer}, **MISSING, **REFUSALS},
)
def head(store: StoreDependency, _: Permitted) -> JSONResponse:
    """The head of the chain, to keep outside the store; 404 before the first seal."""
    with reading(store.engine) as connection:
        last = seals.newest(connection)
    if last is None:
        raise from_status(404)
    return JSONResponse(asdict(last))


def kept_decision(connection: Connection, decision_id: str) -> StoredDecision:
    """The stored decision with this id.

    Raises:
        Problem: 404, the decision never existed; 410, it was erased.
    """
    stored = stored_decisions.get(connection, decision_id)
    if stored is not None:
        return stored
    if stored_decisions.exists(connection, decision_id):
        raise Problem(410, "This decision was erased; its proof still exists.")
    raise from_status(404)
