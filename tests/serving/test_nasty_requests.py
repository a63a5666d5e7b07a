"""What must be refused is: no route fails on it, keeps anything of it, or repeats it."""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select

from benchmarks.evidence.contract import clock, served
from serving.access import keys
from serving.store.database import reading
from serving.tables import metadata
from tests.serving import nasty
from tests.serving.nasty import CANARY

LARGE = ("/v1/score", "/v1/score/batch", "/v1/leads")
"""Routes whose examples have very many values."""


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    example: Any

    def at(self, identity: str = "X-1", number: str = "1") -> str:
        return (
            self.path.replace("_id}", "}")
            .replace("{event}", f"evt_{'0' * 32}")
            .format(id=identity, lead=identity, decision=identity, webhook=number, key=number)
        )


@dataclass(frozen=True)
class Sent:
    route: Route
    path: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


@pytest.fixture
def app(store: Engine) -> FastAPI:
    return served(store)


def routes(app: FastAPI, *methods: str) -> Iterator[Route]:
    document = app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method.upper() in methods and path.startswith("/v1/"):
                yield Route(method.upper(), path, _example(document, operation))


def _example(document: Any, operation: Any) -> Any:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            return json.loads(content["example"])
        return document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]["examples"][0]
    return None


def send(app: FastAPI, store: Engine, sent: Sequence[Sent]) -> list[httpx.Response]:
    """The answers to all, sent as admin."""
    with store.begin() as connection:
        key = keys.create(connection, "admin", None, at=clock(), tokens=secrets.token_bytes)

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://eql.test") as client:
            return [
                await client.request(
                    each.route.method,
                    httpx.URL("http://eql.test").copy_with(raw_path=each.path.encode()),
                    content=each.body,
                    headers=[*([] if _names_caller(each) else [(b"X-Api-Key", key.encode())]), *each.headers],
                )
                for each in sent
            ]

    return anyio.run(run)


def refuses(app: FastAPI, store: Engine, sent: Sequence[Sent]) -> None:
    """Sends all and checks that nothing came of it."""
    send(app, store, [])
    before = sizes(store)
    before["api_keys"] += 1
    for each, answer in zip(sent, send(app, store, sent), strict=True):
        told = f"{each.route.method} {each.path[:99]} {each.body[:300]!r} {each.headers}: {answer} {answer.text[:500]}"
        assert refused(answer), told
        assert CANARY not in answer.text, told
        assert CANARY not in str(answer.headers), told
    assert sizes(store) == before


def _names_caller(each: Sent) -> bool:
    return any(name in (b"X-Api-Key", b"Authorization") for name, _ in each.headers)


def refused(answer: httpx.Response) -> bool:
    """Whether a request was refused, or each of its lines."""
    if answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson":
        return all(400 <= json.loads(line)["status"] < 500 for line in answer.text.splitlines())
    problem = answer.headers.get("content-type") == "application/problem+json"
    return problem and 400 <= answer.status_code < 500


def sizes(store: Engine) -> dict[str, int]:
    with reading(store) as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def test_no_body_of_the_corpus_is_taken_by_any_route(store: Engine, app: FastAPI) -> None:
    takers = [route for route in routes(app, "POST", "PUT", "PATCH") if route.example is not None]
    assert len(takers) > 30
    refuses(app, store, [Sent(route, route.at(), body) for route in takers for body in nasty.BODIES.values()])


def test_no_value_of_the_corpus_is_taken_in_any_field(store: Engine, app: FastAPI) -> None:
    takers = [route for route in routes(app, "POST", "PUT", "PATCH") if route.example is not None]
    sent = [
        Sent(route, route.at(), json.dumps(content).encode())
        for route in takers
        if route.path not in LARGE
        for content in nasty.spoilt(route.example)
    ]
    assert len(sent) > 1_000
    refuses(app, store, sent)


@pytest.mark.parametrize("path", LARGE)
def test_no_value_of_the_corpus_is_taken_in_any_fact_of_a_lead(store: Engine, app: FastAPI, path: str) -> None:
    [route] = [route for route in routes(app, "POST") if route.path == path]
    refuses(app, store, [Sent(route, path, json.dumps(content).encode()) for content in nasty.spoilt(route.example)])


@pytest.mark.both_databases
def test_no_address_makes_a_route_fail(store: Engine, app: FastAPI) -> None:
    every = [route for route in routes(app, "POST", "PUT", "PATCH", "DELETE", "GET") if "{" in route.path]
    refuses(
        app,
        store,
        [Sent(route, route.at(identity, identity), CANARY.encode()) for route in every for identity in nasty.IDS],
    )


def test_a_sound_body_with_an_odd_header_is_refused(store: Engine, app: FastAPI) -> None:
    takers = [route for route in routes(app, "POST", "PUT") if route.example is not None and _takes_a_key(app, route)]
    assert len(takers) > 20
    sent = [
        Sent(route, route.at(), json.dumps(route.example).encode(), ((header[0].encode(), header[1]),))
        for route in takers
        for header in nasty.HEADERS
    ]
    refuses(app, store, sent)


def _takes_a_key(app: FastAPI, route: Route) -> bool:
    operation = app.openapi()["paths"][route.path][route.method.lower()]
    return any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))


def test_the_id_of_a_request_that_is_none_is_not_repeated(store: Engine, app: FastAPI) -> None:
    [route] = [route for route in routes(app, "POST") if route.path == "/v1/score"]
    refuses(app, store, [Sent(route, route.path, b"{}", ((b"X-Request-Id", value),)) for value in nasty.REQUEST_IDS])


@pytest.mark.both_databases
def test_no_cursor_makes_a_list_fail(store: Engine, app: FastAPI) -> None:
    lists = [route for route in routes(app, "GET") if _pages(app, route)]
    assert len(lists) > 15
    asked = [Sent(route, f"{route.at()}?cursor={cursor}", b"") for route in lists for cursor in nasty.CURSORS]
    for each, answer in zip(asked, send(app, store, asked), strict=True):
        assert answer.status_code in (200, 404, 422), (each.path, answer.text)
        assert CANARY not in answer.text


def _pages(app: FastAPI, route: Route) -> bool:
    return any(each["name"] == "cursor" for each in app.openapi()["paths"][route.path]["get"].get("parameters", ()))
