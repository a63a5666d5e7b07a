"""The routes of health: liveness, readiness and metrics, answered without a key and under any load."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from features.value_types import SECOND
from serving.champion import bundles
from serving.decisions import rescore_queue
from serving.http.dependencies import provided
from serving.http.metrics import Metrics
from serving.http.problems import Problem
from serving.scoring.dependencies import ScoringDependency
from serving.scoring.scoring import Scoring
from serving.store.database import reading
from serving.webhooks import deliveries
from serving.worker.tasks import last_beat

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="getHealth", summary="The process answers")
async def health() -> dict[str, str]:
    """Alive. A coroutine, because under load a thread may have to be waited for."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="getReadiness", summary="The store answers")
def ready(scoring: ScoringDependency) -> JSONResponse:
    """Ready, with what decides; 503 where the store cannot be read."""
    try:
        with reading(scoring.store.engine) as connection:
            connection.execute(text("SELECT 1"))
        scorer = scoring.champion.scorer()
    except SQLAlchemyError:
        raise Problem(503, "The store cannot be reached.", headers={"Retry-After": "5"}) from None
    served = scorer.served
    model = None if served is None else {"version": served.version, "sha256": served.bundle.sha256}
    return JSONResponse(
        {
            "status": "ready",
            "model": model,
            "fault": scoring.champion.error,
            "challenger": _challenger(scoring),
            "policy": {"version": scorer.policy.version, "sha256": scorer.policy.sha256},
        }
    )


def _challenger(scoring: Scoring) -> dict[str, Any] | None:
    """The challenger in shadow and its error; the service is ready even where the challenger cannot be used."""
    if scoring.shadow is None:
        return None
    served = scoring.shadow.challenger.scorer().served
    error = scoring.shadow.error
    if served is None and error is None:
        return None
    model = {} if served is None else {"version": served.version, "sha256": served.bundle.sha256}
    return {**model, "fault": error, "left_out": scoring.shadow.left_out}


@router.get("/metrics", operation_id="getMetrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
def metrics(scoring: ScoringDependency, counted: Annotated[Metrics, Depends(provided(Metrics))]) -> Response:
    """The counters of all processes, and the state of the store."""
    registry = CollectorRegistry()
    registry.register(_StoreState(scoring))
    content = counted.exposition() + generate_latest(registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


class _StoreState(Collector):
    """The model in service and the queues of the store, read at each scrape."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            served = self.scoring.champion.scorer().served
            with reading(self.scoring.store.engine) as connection:
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
        failed = self.scoring.champion.error is not None
        yield GaugeMetricFamily("eql_model_fault", "Whether the champion cannot be served; /readyz says why.", failed)


def _waiting(connection: Connection) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("eql_leads_due", "Leads to be scored anew.", rescore_queue.length(connection))
    yield GaugeMetricFamily(
        "eql_deliveries_waiting", "Webhook deliveries not made yet.", deliveries.waiting(connection)
    )
    if (beat := last_beat(connection)) is not None:
        description = "When a worker last showed that it lives, seconds since 1970."
        yield GaugeMetricFamily("eql_worker_seen_timestamp_seconds", description, beat / SECOND)
    if (champion := bundles.current(connection)) is not None:
        description = "When the champion was appointed, seconds since 1970."
        yield GaugeMetricFamily("eql_champion_appointed_timestamp_seconds", description, champion.at / SECOND)
