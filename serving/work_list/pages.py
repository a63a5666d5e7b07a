"""The page of the work list."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from operations import work_list as views
from operations.exploration import Exploration
from serving.html import rendering, visitors, words
from serving.html.page_routes import page_router
from serving.html.rendering import NOT_FOUND, Refusal
from serving.http.dependencies import StoreDependency, provided
from serving.scoring.dependencies import ScoringDependency
from serving.store.database import reading
from serving.work_list.exploration import log
from serving.work_list.work_list_page import work_list

PAGE_SIZE = 25
_MAX_OFFSET = 1_000_000_000

Limit = Annotated[int | None, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=_MAX_OFFSET)]
ExplorationDependency = Annotated[Exploration, Depends(provided(Exploration))]
router = page_router()


@router.get("/", response_model=None)
def leads(
    request: Request,
    store: StoreDependency,
    scoring: ScoringDependency,
    exploration: ExplorationDependency,
    view: str | None = None,
    limit: Limit = None,
    offset: Offset = 0,
) -> Response:
    """A view of the leads in the order for sales."""
    visitor = visitors.visitor(request)
    chosen = views.view(visitor.role, view)
    if chosen is None:
        raise Refusal(404, *NOT_FOUND)
    now = store.clock()
    with reading(store.engine) as connection:
        listed = work_list(
            connection,
            chosen,
            views.views(visitor.role),
            partner_id=visitor.partner_id,
            now=now,
            limit=limit or PAGE_SIZE,
            offset=offset,
            exploration=exploration,
            requested_limit=limit,
        )
    model = scoring.champion.scorer().served
    around = {"visitor": visitor, "now": now, "model": model, "error": scoring.champion.error}
    meanings = {"order": views.ORDER, "grades": words.grades(model.bundle.grades if model else None)}
    content = {**around, **meanings, "list": listed}
    answer = rendering.page("work_list/work_list.html", content)
    # A page that a browser fetches ahead of a click was not seen.
    seen = "prefetch" not in request.headers.get("sec-purpose", "")
    if visitor.role == "sales" and listed.exposures and seen:
        log(store.engine, listed.exposures)
    return answer
