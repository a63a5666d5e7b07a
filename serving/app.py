"""The web application: the routes and pages of all subjects, put together around a service.

A request passes the middleware from the outside in: `RequestLog` (id, log, metrics), `HeadRequests`, `ErrorBoundary`,
`RateLimiting`, `BodyLimit`, `LoadShedding`, compression, and then its route. A body is read before the request takes a
place, so a client that sends slowly holds none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from serving.access import pages as access_pages
from serving.access import routes as access
from serving.access.callers import SignIn, identification
from serving.decisions import routes as decisions
from serving.documentation import pages as documentation_pages
from serving.documentation.documents import Documents
from serving.health import routes as health
from serving.html import page_routes
from serving.html.rendering import not_found
from serving.http import openapi
from serving.http.dependencies import provide
from serving.http.metrics import Metrics
from serving.http.middleware.body_limit import BodyLimit
from serving.http.middleware.encoded_slashes import EncodedSlashes
from serving.http.middleware.errors import ErrorBoundary
from serving.http.middleware.head_requests import HeadRequests
from serving.http.middleware.load_shedding import LoadShedding
from serving.http.middleware.rate_limit import RateLimiting
from serving.http.middleware.request_log import RequestLog
from serving.http.problems import as_problem, install
from serving.http.telemetry import configuration
from serving.leads import pages as lead_pages
from serving.leads import routes as leads
from serving.privacy import routes as privacy
from serving.quality import pages as quality_pages
from serving.records import bulk_routes
from serving.records import routes as records
from serving.replay import routes as replay
from serving.scoring import lead_routes
from serving.scoring import routes as scoring
from serving.service import Service
from serving.webhooks import routes as webhooks
from serving.webhooks.addresses import AllowedHosts
from serving.work_list import pages as work_list_pages
from serving.worker import routes as worker

_MIN_COMPRESSED = 1024
"""Bytes from which on answers are compressed; a smaller answer fits into one packet anyway."""
_SIGN_INS = 16
"""Requests that wait on the identity provider at once, and that wait for a place to do so; they take no thread."""
_COMPRESSION_LEVEL = 4
"""Of 1 to 9: higher levels take longer and hardly save bytes."""
_SUBJECTS = (health, scoring, lead_routes, decisions, replay, leads, bulk_routes, webhooks, worker, access, privacy)
_DOCUMENTED = (scoring, replay, leads, access, privacy, webhooks, records, bulk_routes)
"""The modules with bodies that their routes read themselves."""
_PAGES = (work_list_pages, lead_pages, quality_pages, access_pages, documentation_pages, page_routes)


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service."""
    app = FastAPI(
        title="EQL",
        version="1",
        docs_url=None,
        redoc_url=None,
        summary="Scores Ecosystem Qualified Leads.",
        lifespan=_lifespan(service),
        # A redirect would repeat the path that was sent.
        redirect_slashes=False,
        telemetry=configuration(service.traces),
    )
    provide_parts(app, service)
    # Routes are tried in this order: probes must cost little under any load.
    for subject in _SUBJECTS:
        app.include_router(subject.router)
    # The routes of records come last, because a record's id in a path may hold slashes.
    app.include_router(records.router())
    include_pages(app)
    install(app)
    app.add_exception_handler(404, _not_found)
    _add_middleware(app, service)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def provide_parts(app: FastAPI, service: Service) -> None:
    """Provides the parts of a service to the routes and pages."""
    sign_in = SignIn(service.sign_in)
    provide(
        app,
        service.store,
        service.scoring,
        service.metrics,
        service.exploration,
        AllowedHosts(service.webhook_hosts),
        sign_in,
        identification(service.store, sign_in),
        Documents(service.docs),
    )


def include_pages(app: FastAPI) -> None:
    """Includes the pages of all subjects."""
    for pages in _PAGES:
        app.include_router(pages.router)


def _add_middleware(app: FastAPI, service: Service) -> None:
    """Adds the layers from the innermost to the outermost."""
    app.add_middleware(GZipMiddleware, minimum_size=_MIN_COMPRESSED, compresslevel=_COMPRESSION_LEVEL)
    app.add_middleware(_load_shedding, metrics=service.metrics)
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimiting, limit=service.rate_limit, clock=service.clock, metrics=service.metrics)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(HeadRequests)
    app.add_middleware(EncodedSlashes)
    app.add_middleware(RequestLog, clock=service.clock, tokens=service.tokens, metrics=service.metrics)


def _load_shedding(app: ASGIApp, metrics: Metrics) -> LoadShedding:
    """The layer that bounds the running requests; those that wait on the identity provider have places of their own."""
    waiting = LoadShedding(app, metrics, max_running=_SIGN_INS, max_waiting=_SIGN_INS)
    return LoadShedding(app, metrics, apart=waiting)


def _not_found(request: Request, error: Exception) -> Response:
    """The answer to an unknown address: a page for a browser, a problem for the API."""
    browser = "text/html" in request.headers.get("accept", "")
    return not_found() if browser and not request.url.path.startswith("/v1/") else as_problem(error).response()


def _lifespan(service: Service) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Runs the shadow and the traces from the first request to the last."""
        if service.shadow is not None:
            service.shadow.start()
        try:
            yield
        finally:
            if service.shadow is not None:
                await run_in_threadpool(service.shadow.stop)
            if service.traces is not None:
                await run_in_threadpool(service.traces.shutdown)

    return lifespan


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app, (body for module in _DOCUMENTED for body in module.BODIES))
    return app.openapi_schema
