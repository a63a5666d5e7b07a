"""What is told of requests: ids, numbers, log lines; and that personal data is never among it."""

import json
import logging
import re
import secrets
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from features.value_types import SECOND, parse_instant
from serving.access import keys
from serving.app import create_app
from serving.decisions import rescore_queue
from serving.logs import REQUESTS, JsonLines
from serving.service import Service
from serving.worker.schedules import run_due
from serving.worker.tasks import HEARTBEAT, schedules
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
CANARIES = 200


@pytest.fixture
def service(store: Engine) -> Service:
    return service_on(store, lambda: NOW)


@pytest.fixture
def key(service: Service) -> str:
    with service.engine.begin() as connection:
        return keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes)


def ask(service: Service, *requests: tuple[str, str, Any, dict[str, str]]) -> list[httpx.Response]:
    app = create_app(service)

    @app.get("/crashes/{lead_id}")
    def crashes(lead_id: str) -> None:
        raise ValueError(lead_id)

    async def asking() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return [await client.request(m, path, json=body, headers=headers) for m, path, body, headers in requests]

    return anyio.run(asking)


def numbers(service: Service) -> dict[str, dict[tuple[str, ...], float]]:
    [answer] = ask(service, ("GET", "/metrics", None, {}))
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize("given", ["7f3a-0123_ABC", "a" * 64])
def test_a_well_formed_id_is_kept(service: Service, given: str) -> None:
    assert ask(service, ("GET", "/healthz", None, {"X-Request-Id": given}))[0].headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "short", "cto@acme.example", "a" * 65, "with space", "line\tbreak"])
def test_any_other_is_replaced(service: Service, given: str) -> None:
    [answer] = ask(service, ("GET", "/none", None, {"X-Request-Id": given}))
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


@pytest.mark.both_databases
def test_the_numbers_tell_what_was_asked_and_what_waits(service: Service, key: str) -> None:
    body = {"lead": {"lead_id": "L-1"}}
    score = ("POST", "/v1/score", body, {"X-Api-Key": key})
    crash = ("GET", "/crashes/L-1", None, {})
    ask(service, score, score, ("POST", "/v1/score", {}, {"X-Api-Key": key}), crash, ("GET", "/nowhere", None, {}))
    with service.engine.begin() as connection:
        rescore_queue.enqueue(connection, ["L-1", "L-2"], NOW)
    found = numbers(service)
    assert found["eql_requests_total"] == {
        ("POST", "/v1/score", "200"): 2,
        ("POST", "/v1/score", "422"): 1,
        ("GET", "/crashes/{lead_id}", "500"): 1,
        ("GET", "none", "404"): 1,
    }
    assert found["eql_decisions_total"] == {("UNQUALIFIED",): 2}
    assert found["eql_request_seconds_count"][("/v1/score",)] == 3
    assert found["eql_requests_in_flight"] == {(): 1}
    assert (found["eql_leads_due"], found["eql_deliveries_waiting"]) == ({(): 2}, {(): 0})
    assert (found["eql_store_up"], found["eql_model_fault"]) == ({(): 1}, {(): 0})


def test_the_numbers_tell_when_a_worker_last_lived(service: Service) -> None:
    assert "eql_worker_seen_timestamp_seconds" not in numbers(service)
    [beat, *_] = schedules(service.scoring, service.retention)
    run_due(service.engine, beat, service.clock)
    assert abs(numbers(service)["eql_worker_seen_timestamp_seconds"][()] - NOW / SECOND) <= HEARTBEAT / SECOND


def test_without_a_store_the_numbers_still_come(service: Service) -> None:
    ask(service, ("GET", "/healthz", None, {}))
    service.engine.dispose()
    Path(str(service.engine.url.database)).write_bytes(b"rubbish" * 1000)
    assert numbers(service)["eql_store_up"] == {(): 0}


def test_a_request_is_one_line_of_json(service: Service, key: str, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"X-Api-Key": key, "X-Request-Id": "7f3a-0123"}
    with caplog.at_level(logging.INFO, REQUESTS.name):
        ask(service, ("GET", "/v1/decisions/personal", None, headers))
    [record] = [record for record in caplog.records if record.name == REQUESTS.name]
    line = json.loads(JsonLines().format(record))
    assert line.pop("time").endswith("Z")
    assert line.pop("milliseconds") >= 0
    assert line == {
        "level": "INFO",
        "logger": REQUESTS.name,
        "method": "GET",
        "route": "/v1/decisions/{decision_id}",
        "status": 404,
        "key": key[: len("eql_live_") + 8],
    }


def test_an_error_is_told_by_kind_and_places(caplog: pytest.LogCaptureFixture) -> None:
    said = "CANARY"
    try:
        raise ValueError(said)
    except ValueError:
        logging.getLogger("serving").exception("it failed")
    line = json.loads(JsonLines().format(caplog.records[0]))
    assert (line["message"], line["error"]) == ("it failed", "ValueError")
    assert "test_an_error_is_told" in line["places"]
    assert "CANARY" not in json.dumps(line)


def test_personal_data_is_in_no_log_no_error_and_no_number(
    service: Service, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [request for n in range(CANARIES // 5) for request in _canaries(n, key)]
    assert len(requests) == CANARIES
    with caplog.at_level(logging.DEBUG):
        answers = ask(service, *requests)
    assert {answer.status_code for answer in answers} == {200, 400, 404, 422, 500}
    lines = [
        JsonLines().format(record) for record in caplog.records if not record.name.startswith(("httpx", "asyncio"))
    ]
    told = [*lines, *(answer.text for answer in answers if answer.status_code != 200), str(numbers(service))]
    told += [str(answer.headers) for answer in answers]
    assert len(lines) >= CANARIES
    assert not [text for text in told if "canary" in text.lower()]


def _canaries(n: int, key: str) -> list[tuple[str, str, Any, dict[str, str]]]:
    headers = {"X-Api-Key": key, "X-Request-Id": f"canary{n}@acme.example"}
    lead = {"lead_id": f"canary-lead-{n}", "email": f"canary{n}@acme.example", "created_at": "2026-10-20T09:00:00Z"}
    visit = {
        "channel": "webinar",
        "url": f"https://canary{n}.example/?utm_source=canary",
        "occurred_at": lead["created_at"],
    }
    valid = {"lead": lead, "account": {"account_id": "A", "name": f"Canary {n}"}, "touchpoints": [visit]}
    return [
        ("POST", "/v1/score", valid, headers),
        ("POST", "/v1/score", {**valid, f"canary-{n}": 1}, headers),
        ("POST", "/v1/score", f"canary {n}", headers),
        ("GET", f"/v1/decisions/canary-{n}?canary={n}", None, headers),
        ("GET", f"/crashes/canary-{n}", None, headers),
    ]


def test_long_answers_are_compressed_for_who_asks(service: Service, key: str) -> None:
    body, headers = {"lead": {"lead_id": "L-1"}}, {"X-Api-Key": key}
    asked, plain, short = ask(
        service,
        ("POST", "/v1/score", body, {**headers, "Accept-Encoding": "gzip"}),
        ("POST", "/v1/score", body, {**headers, "Accept-Encoding": "identity"}),
        ("GET", "/healthz", None, {"Accept-Encoding": "gzip"}),
    )
    assert asked.headers["Content-Encoding"] == "gzip"
    assert asked.json()["rules"] == plain.json()["rules"]
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in short.headers


def test_every_answer_is_taken_for_what_it_says_and_kept_by_nobody(service: Service, key: str) -> None:
    score = ("POST", "/v1/score", {"lead": {"lead_id": "L-1"}}, {"X-Api-Key": key})
    crash, unknown = ("GET", "/crashes/L-1", None, {}), ("GET", "/v1/none", None, {})
    for answer in ask(
        service, score, crash, unknown, ("GET", "/healthz", None, {}), ("GET", "/openapi.json", None, {})
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
