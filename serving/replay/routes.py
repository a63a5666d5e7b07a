"""The route that makes a kept decision again."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from serving.champion.scorer_cache import Unavailable
from serving.decisions.routes import MISSING, DecisionId, kept_decision
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.openapi import RequestBody
from serving.http.problems import Problem
from serving.http.responses import REFUSALS
from serving.replay.replay import replay
from serving.replay.requests import ReplayRequest
from serving.replay.responses import ReplayAnswer
from serving.scoring.dependencies import ScoringDependency
from serving.store.database import reading

BODIES = (RequestBody(ReplayRequest, {"from": "facts"}),)
router = APIRouter(prefix="/v1", tags=["decisions"])


@router.post(
    "/decisions/{decision_id}/replay",
    operation_id="replayDecision",
    summary="Make a decision again and compare",
    responses={200: {"model": ReplayAnswer}, **MISSING, **REFUSALS},
    openapi_extra=json_body(ReplayRequest),
)
def replay_decision(scoring: ScoringDependency, _: Permitted, decision_id: DecisionId, body: Body) -> JSONResponse:
    """Whether the decision comes out as it is kept, byte for byte; 409 where the model or the facts are missing."""
    request, _sent = read(ReplayRequest, body or b"{}")
    with reading(scoring.store.engine) as connection:
        kept = kept_decision(connection, decision_id)
        try:
            result = replay(connection, scoring.scorers, kept, request.origin)
        except Unavailable as error:
            raise Problem(409, f"The decision cannot be made again: {error}.") from None
    return JSONResponse({"equal": result.equal, "from": result.origin, "differences": list(result.differences)})
