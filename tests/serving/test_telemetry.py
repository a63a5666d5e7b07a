"""What an OpenTelemetry collector is told of requests: each with its route, nothing of what was sent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import anyio
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine

from features.value_types import parse_instant
from serving.app import create_app
from serving.http.telemetry import Discreet, exported
from serving.service import Service
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
CANARY = "canary@acme.example"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def service(store: Engine) -> Service:
    return service_on(store, lambda: NOW)


def ask(service: Service, *paths: str) -> list[int]:
    """The status of each path's answer, POST and GET, from a service that has started and ended."""

    async def asking() -> list[int]:
        app = create_app(service)
        transport, sent = httpx.ASGITransport(app), {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        body = {"lead": {"lead_id": CANARY, "email": 1}}
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, headers=sent) as client:
            urls = [f"http://test{path}" for path in paths]
            answers = [await client.request(way, url, json=body) for url in urls for way in ("POST", "GET")]
            return [answer.status_code for answer in answers]

    return anyio.run(asking)


def test_spans_name_the_route_go_on_with_the_caller_s_trace_and_tell_of_nobody(service: Service) -> None:
    kept, traces = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(Discreet())
    traces.add_span_processor(SimpleSpanProcessor(kept))
    ask(replace(service, traces=traces), "/v1/score", f"/v1/leads/{CANARY}/score?as_of={CANARY}", f"/{CANARY}")
    spans = kept.get_finished_spans()
    assert {span.context.trace_id for span in spans if span.context} == {int(TRACE, 16)}
    assert {"POST /v1/score", "GET /v1/leads/{lead_id}/score"} <= {span.name for span in spans}
    assert not [span.to_json() for span in spans if "canary" in span.to_json()]


def test_health_is_not_traced(service: Service) -> None:
    kept, traces = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(kept))
    ask(replace(service, traces=traces), "/healthz", "/metrics")
    assert not kept.get_finished_spans()


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", received
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_has_every_request_once_the_service_has_ended(service: Service) -> None:
    with collector() as (endpoint, received):
        ask(replace(service, traces=exported(endpoint)), "/v1/score")
        [(path, content)] = received
    [resource] = ExportTraceServiceRequest.FromString(content).resource_spans
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert path == "/v1/traces"
    assert "POST /v1/score" in names
    assert ("service.name", "eql") in [(each.key, each.value.string_value) for each in resource.resource.attributes]


def test_a_collector_that_is_gone_holds_up_neither_answers_nor_the_end(service: Service) -> None:
    with collector() as (endpoint, _):
        pass
    began = time.monotonic()
    assert ask(replace(service, traces=exported(endpoint)), "/v1/score") == [401, 405]
    assert time.monotonic() - began < 5
