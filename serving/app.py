"""The web application: API, pages and health, put together around a service.

A request passes, from the outside in: `Observing` (id, log, numbers), `Head`, `ErrorBoundary`, `RateLimiting`,
`BodyLimit`, `Admission`, compression, and then its endpoint. So a body is read before a place is taken, and who only
sends slowly holds none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

from serving.access import routes as keys
from serving.decisions import routes as decisions
from serving.health import routes as health
from serving.html import routes as pages
from serving.html.rendering import not_found
from serving.http import openapi
from serving.http.middleware.body_limit import BodyLimit
from serving.http.middleware.errors import ErrorBoundary
from serving.http.middleware.head_requests import Head
from serving.http.middleware.load_shedding import Admission
from serving.http.middleware.rate_limit import RateLimiting
from serving.http.middleware.request_log import Observing
from serving.http.problems import as_problem, install
from serving.http.telemetry import configuration
from serving.leads import routes as leads
from serving.privacy import routes as privacy
from serving.records import bulk_routes as bulk
from serving.records import routes as records
from serving.scoring import lead_routes as lead_scores
from serving.scoring import routes as scores
from serving.service import Service
from serving.webhooks import routes as webhooks
from serving.worker import routes as runs

_COMPRESSED_FROM = 1024
"""Bytes; what is smaller goes in one packet anyway."""
_COMPRESSION = 4
"""Of 1 to 9: beyond it answers hardly get smaller, and take longer."""


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service."""
    app = FastAPI(
        title="EQL",
        version="1",
        docs_url=None,
        redoc_url=None,
        summary="Scores Ecosystem Qualified Leads.",
        lifespan=_lifespan,
        # A redirect would repeat the path that was sent.
        redirect_slashes=False,
        telemetry=configuration(service.traces),
    )
    app.state.service = service
    # Routes are tried in this order, and probes must cost little under any load.
    for module in (health, scores, lead_scores, decisions, leads, bulk, webhooks, runs, keys, privacy):
        app.include_router(module.router)
    # After all that lies below a record: its id may hold slashes.
    app.include_router(records.router())
    app.include_router(pages.router(service), include_in_schema=False)
    install(app)
    app.add_exception_handler(404, _nowhere)
    # The last one added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_FROM, compresslevel=_COMPRESSION)
    app.add_middleware(Admission, metrics=service.metrics)
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimiting, service=service)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(Head)
    app.add_middleware(Observing, service=service)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _nowhere(request: Request, error: Exception) -> Response:
    """The answer at an address that no route has: a page to a browser, unless it looks for the API."""
    browses = "text/html" in request.headers.get("accept", "")
    return not_found() if browses and not request.url.path.startswith("/v1/") else as_problem(error).response()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What runs beside the requests, from the first to the last."""
    service: Service = app.state.service
    if service.shadow is not None:
        service.shadow.start()
    try:
        yield
    finally:
        if service.shadow is not None:
            await run_in_threadpool(service.shadow.stop)
        if service.traces is not None:
            await run_in_threadpool(service.traces.shutdown)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app)
    return app.openapi_schema
