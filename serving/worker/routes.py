"""The route of the worker's runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from features.value_types import rfc3339
from serving.http.authentication import Permitted
from serving.http.dependencies import StoreDependency
from serving.http.paging import Paging, page_answer
from serving.http.responses import REFUSALS
from serving.store.database import reading
from serving.worker import runs
from serving.worker.responses import RunAnswer
from serving.worker.runs import Run

router = APIRouter(prefix="/v1", tags=["runs"])


@router.get(
    "/runs",
    operation_id="listRuns",
    summary="The runs of scheduled work, newest first, and what came of them",
    responses={200: {"model": page_answer(RunAnswer)}, **REFUSALS},
)
def listed(store: StoreDependency, _: Permitted, page: Annotated[Paging, Query()]) -> JSONResponse:
    """A page of runs."""
    key = page.after(int)
    with reading(store.engine) as connection:
        found = runs.listed(connection, None if key is None else int(key[0]), page.limit + 1)
    return JSONResponse(page.answer("/v1/runs", found, lambda run: (run.id,), _shown))


def _shown(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "task": run.task,
        "started_at": rfc3339(run.started_at),
        "finished_at": None if run.finished_at is None else rfc3339(run.finished_at),
        "outcome": run.outcome,
        "detail": run.detail,
    }
