"""The web application: API, pages and health, put together around a service.

A request passes, from the outside in: `Observing` (id, log, numbers), `ErrorBoundary`, `RateLimiting`, `BodyLimit`,
`Admission`, compression, and then its endpoint. So a body is read before a place is taken, and who only sends slowly
holds none.
"""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.middleware.gzip import GZipMiddleware

from serving.api import health, scores
from serving.api.admission import Admission
from serving.api.body import BodyLimit
from serving.api.limiting import RateLimiting
from serving.api.middleware import ErrorBoundary
from serving.api.observing import Observing
from serving.api.problems import install
from serving.api.schemas import BatchRequest, ScoreRequest
from serving.pages import routes as pages
from serving.service import Service

_COMPRESSED_FROM = 1024
"""Bytes; what is smaller goes in one packet anyway."""
_COMPRESSION = 4
"""Of 1 to 9: beyond it answers hardly get smaller, and take longer."""


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service."""
    app = FastAPI(title="EQL", version="1", docs_url=None, redoc_url=None, summary="Scores Ecosystem Qualified Leads.")
    app.state.service = service
    app.include_router(scores.router)
    app.include_router(pages.router(service), include_in_schema=False)
    app.include_router(health.router)
    install(app)
    # The last one added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_FROM, compresslevel=_COMPRESSION)
    app.add_middleware(Admission, metrics=service.metrics)
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimiting, service=service)
    app.add_middleware(ErrorBoundary)
    app.add_middleware(Observing, service=service)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the bodies this API reads itself, and the API key."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        models = [(model, "validation") for model in (ScoreRequest, BatchRequest)]
        _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        document["components"]["schemas"].update(schemas["$defs"])
        document["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}
        document["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
