"""The web application: API, pages and health, put together around a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from serving.api import bulk, decisions, keys, lead_scores, leads, records, runs, scores, webhooks
from serving.api.body import BodyLimit
from serving.api.callers import ServiceDependency
from serving.api.keys import KeyRequest
from serving.api.middleware import ErrorBoundary
from serving.api.problems import Problem, install
from serving.api.schemas import AliasRequest, BatchRequest, LeadRequest, ReplayRequest, ScoreRequest
from serving.api.webhook_bodies import BODIES as WEBHOOK_BODIES
from serving.pages import routes as pages
from serving.service import Service
from serving.store.database import reading


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service."""
    app = FastAPI(
        title="EQL",
        version="1",
        docs_url=None,
        redoc_url=None,
        summary="Scores Ecosystem Qualified Leads.",
        lifespan=_lifespan,
    )
    app.state.service = service
    for module in (scores, lead_scores, decisions, leads, bulk, webhooks, runs, keys):
        app.include_router(module.router)
    # After all that lies below a record: its id may hold slashes.
    app.include_router(records.router())
    app.include_router(pages.router(service), include_in_schema=False)
    app.add_api_route("/healthz", _health, operation_id="getHealth", summary="The process answers", tags=["health"])
    app.add_api_route("/readyz", _ready, operation_id="getReadiness", summary="The store answers", tags=["health"])
    install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(ErrorBoundary)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What runs beside the requests, from the first to the last."""
    service: Service = app.state.service
    if service.shadow is None:
        yield
        return
    service.shadow.start()
    try:
        yield
    finally:
        await run_in_threadpool(service.shadow.stop)


def _health() -> dict[str, str]:
    return {"status": "ok"}


def _ready(service: ServiceDependency) -> JSONResponse:
    try:
        with reading(service.engine) as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        raise Problem(503, "The store cannot be reached.", headers={"Retry-After": "5"}) from None
    scorer = service.champion.scorer()
    served = scorer.served
    model = None if served is None else {"version": served.version, "sha256": served.bundle.sha256}
    return JSONResponse(
        {
            "status": "ready",
            "model": model,
            "fault": service.champion.fault,
            "challenger": _challenger(service),
            "policy": {"version": scorer.policy.version, "sha256": scorer.policy.sha256},
        }
    )


def _challenger(service: Service) -> dict[str, Any] | None:
    """The challenger in shadow and its fault; whatever is wrong with it, the service is ready."""
    if service.shadow is None:
        return None
    served = service.shadow.challenger.scorer().served
    fault = service.shadow.fault
    if served is None and fault is None:
        return None
    model = {} if served is None else {"version": served.version, "sha256": served.bundle.sha256}
    return {**model, "fault": fault, "left_out": service.shadow.left_out}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the bodies this API reads itself, and the API key."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        taken = (ScoreRequest, BatchRequest, ReplayRequest, LeadRequest, AliasRequest, KeyRequest, *WEBHOOK_BODIES)
        models = [(model, "validation") for model in (*taken, *records.bodies(), *bulk.bodies())]
        _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        document["components"]["schemas"].update(schemas["$defs"])
        document["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}
        document["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
