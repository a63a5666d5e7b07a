"""Is it alive, is it ready, what does it count: answered to anyone, and under any load."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from features.value_types import SECOND
from serving.champion import bundles
from serving.decisions import rescore_queue as due
from serving.http.authentication import ServiceDependency
from serving.http.problems import Problem
from serving.service import Service
from serving.store.database import reading
from serving.webhooks import deliveries
from serving.worker.worker import beaten_at

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="getHealth", summary="The process answers")
async def health() -> dict[str, str]:
    """Alive. Not on a thread, which under load may have to be waited for."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="getReadiness", summary="The store answers")
def ready(service: ServiceDependency) -> JSONResponse:
    """Ready, with what decides; 503 where the store cannot be read."""
    try:
        with reading(service.engine) as connection:
            connection.execute(text("SELECT 1"))
        scorer = service.champion.scorer()
    except SQLAlchemyError:
        raise Problem(503, "The store cannot be reached.", headers={"Retry-After": "5"}) from None
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


@router.get("/metrics", operation_id="getMetrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
def metrics(service: ServiceDependency) -> Response:
    """What the processes counted, and what the store says now."""
    registry = CollectorRegistry()
    registry.register(_State(service))
    content = service.metrics.exposition() + generate_latest(registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


class _State(Collector):
    """The model in service and what waits in the store, read when asked."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            served = self.service.champion.scorer().served
            with reading(self.service.engine) as connection:
                waiting = list(_waiting(connection))
        except SQLAlchemyError:
            yield GaugeMetricFamily("eql_store_up", "Whether the store answers.", 0)
            return
        yield GaugeMetricFamily("eql_store_up", "Whether the store answers.", 1)
        yield from waiting
        model = GaugeMetricFamily("eql_model", "The model in service, as labels.", labels=["version", "sha256"])
        if served is not None:
            model.add_metric([served.version, served.bundle.sha256], 1)
        yield model
        fault = self.service.champion.fault is not None
        yield GaugeMetricFamily("eql_model_fault", "Whether the champion cannot be served; /readyz says why.", fault)


def _waiting(connection: Connection) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("eql_leads_due", "Leads to be scored anew.", due.waiting(connection))
    yield GaugeMetricFamily(
        "eql_deliveries_waiting", "Webhook deliveries not made yet.", deliveries.waiting(connection)
    )
    if (beaten := beaten_at(connection)) is not None:
        told = "When a worker last showed that it lives, seconds since 1970."
        yield GaugeMetricFamily("eql_worker_seen_timestamp_seconds", told, beaten / SECOND)
    if (champion := bundles.current(connection)) is not None:
        told = "When the champion was appointed, seconds since 1970."
        yield GaugeMetricFamily("eql_champion_appointed_timestamp_seconds", told, champion.at / SECOND)
