"""Traces of requests for an OpenTelemetry collector: FastAPI's own spans, without sent values.

FastAPI's logs quote errors, so only traces are sent. The numbers are at `/metrics`.
"""

from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from typing_extensions import override

from serving.http.middleware.load_shedding import PROBES

HIDDEN = ("url.path", "url.query")
"""Attributes that contain ids; `http.route` has the template of the path."""
_TIMEOUT = 2
"""Seconds that a collector may take to answer, also when the service ends."""


class Discreet(SpanProcessor):
    """Removes attributes that may identify a person from new spans."""

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for name in (span.attributes or {}).keys() & set(HIDDEN):
            span.set_attribute(name, "REDACTED")


def exported(endpoint: str) -> TracerProvider:
    """Traces that are sent to a collector by OTLP over HTTP. OTEL_TRACES_SAMPLER in the environment sets the sampler.

    Args:
        endpoint: the collector's address, such as `http://localhost:4318`.
    """
    # Imported here, because the import takes time and only services with a collector need it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(Discreet())
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _resource() -> Resource:
    named = Resource.create()
    nameless = str(named.attributes[SERVICE_NAME]).startswith("unknown_service")
    return named.merge(Resource({SERVICE_NAME: "eql"})) if nameless else named


def configuration(traces: TracerProvider | None) -> TelemetryConfig:
    """FastAPI's telemetry settings, whatever the environment says: traces of all requests but probes, or nothing."""
    return {
        "tracing": traces is not None,
        "tracer_provider": traces,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in PROBES,
    }
