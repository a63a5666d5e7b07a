"""Routers of pages, whose refusals are pages, and the stylesheet."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from serving.html import rendering
from serving.html.rendering import Refusal


class _PageRoute(APIRoute):
    """A route that answers refusals as pages."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as refusal:
                return rendering.refused(refusal)
            except RequestValidationError:
                return rendering.not_found()

        return handle


def page_router() -> APIRouter:
    """A router for the pages of a subject.

    Every endpoint identifies the visitor first. A page that the visitor may not see is answered as if it did not exist.
    """
    return APIRouter(route_class=_PageRoute, include_in_schema=False, default_response_class=Response)


router = page_router()


@router.get("/static/eql.css", response_model=None)
def stylesheet(request: Request) -> Response:
    """The stylesheet of all pages."""
    return rendering.stylesheet(request.headers.get("if-none-match"))
