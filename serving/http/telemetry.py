"""Traces of requests for an OpenTelemetry collector: FastAPI's own spans, without what was sent.

What FastAPI records of errors quotes them, so of its three signals traces alone are sent; numbers are at `/metrics`.
"""

from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from typing_extensions import override

from serving.http.middleware.load_shedding import PROBES

HIDDEN = ("url.path", "url.query")
"""Attributes that hold ids; `http.route` tells the template of the path."""
_SECONDS = 2
"""How long a collector may take, also when the service ends."""


class Discreet(SpanProcessor):
    """Takes out of spans, as they begin, what may tell of a person."""

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for name in (span.attributes or {}).keys() & set(HIDDEN):
            span.set_attribute(name, "REDACTED")


def exported(endpoint: str) -> TracerProvider:
    """Traces that go to a collector, by OTLP over HTTP; the sampler is that of the environment's OTEL_TRACES_SAMPLER.

    Args:
        endpoint: the collector's address, such as `http://localhost:4318`.
    """
    # Imported here, for it takes time that only those need who have a collector.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(Discreet())
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _resource() -> Resource:
    named = Resource.create()
    nameless = str(named.attributes[SERVICE_NAME]).startswith("unknown_service")
    return named.merge(Resource({SERVICE_NAME: "eql"})) if nameless else named


def configuration(traces: TracerProvider | None) -> TelemetryConfig:
    """What FastAPI is told: to trace all but health, or without traces nothing, whatever the environment says."""
    return {
        "tracing": traces is not None,
        "tracer_provider": traces,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in PROBES,
    }
