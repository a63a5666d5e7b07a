import json
import logging
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import anyio
import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel
from sqlalchemy import Engine, text
from starlette.types import Message, Receive, Scope, Send

from features.catalogue import CATALOGUE
from models.policy import load
from serving.app import create_app
from serving.champion.watcher import ModelWatcher
from serving.http.middleware.errors import BrokenAnswer, ErrorBoundary
from serving.http.problems import Problem, install
from serving.http.strict_json import read_object
from serving.service import Service
from serving.store.database import reading
from serving.validation import FieldError
from tests.serving.conftest import asked

Client: TypeAlias = Callable[[str, str], httpx.Response]


class Paging(BaseModel):
    model_config = {"extra": "forbid"}
    limit: int = 5


@pytest.fixture
def client(store: Engine) -> Client:
    app = FastAPI()
    app.add_middleware(ErrorBoundary)
    install(app)

    @app.get("/problem")
    def problem() -> None:
        raise Problem(409, "Twice.", [FieldError("lead.lead_id", "must be new")], {"Retry-After": "3"})

    @app.get("/malformed")
    def malformed() -> None:
        read_object(b'{"CANARY": 1, "CANARY": 2}')

    @app.get("/numbered/{number}")
    def numbered(number: int, limit: int = 5) -> int:
        return number + limit

    @app.get("/paged")
    def paged(paging: Paging = Query()) -> int:  # noqa: B008
        return paging.limit

    @app.get("/unforeseen")
    def unforeseen(said: str) -> None:
        raise ValueError(said)

    @app.get("/locked")
    def locked() -> None:
        with reading(store) as connection:
            connection.execute(text("UPDATE ingest_counter SET last = :last"), {"last": "CANARY"})

    return lambda method, path: asked(app, method, path)


def test_a_problem_is_answered_in_the_published_form(client: Client) -> None:
    answer = client("GET", "/problem")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Twice.",
        "errors": [{"field": "lead.lead_id", "constraint": "must be new"}],
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/CANARY", 404, None),
        ("POST", "/problem", 405, None),
        ("GET", "/malformed", 400, None),
        ("GET", "/numbered/CANARY", 422, "path.number"),
        ("GET", "/numbered/1?limit=CANARY", 422, "query.limit"),
        ("GET", "/paged?CANARY=1", 422, "query"),
        ("GET", "/unforeseen?said=CANARY", 500, None),
        ("GET", "/locked", 503, None),
    ],
)
def test_every_error_is_a_problem_without_what_was_sent(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, status: int, field: str | None
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client(method, path)
    content = answer.json()
    assert (answer.status_code, content["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in content.get("errors", [])] == ([field] if field else [])
    assert {"type", "title", "status", "detail"} <= content.keys() <= {"type", "title", "status", "detail", "errors"}
    assert "CANARY" not in answer.text
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert "CANARY" not in str(logged)


def test_a_wrong_method_is_told_the_right_ones(client: Client) -> None:
    assert client("POST", "/problem").headers["allow"] == "GET, HEAD"


def test_an_unforeseen_error_is_logged_by_kind_and_place(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client("GET", "/unforeseen?said=CANARY")
    [entry] = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert entry.startswith("ValueError")
    assert "in unforeseen" in entry


def test_a_busy_store_asks_to_try_again(client: Client) -> None:
    answer = client("GET", "/locked")
    assert int(answer.headers["retry-after"]) > 0
    assert json.loads(answer.text)["title"] == "Service Unavailable"


def test_an_answer_that_breaks_off_ends_with_an_error_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(scope["path"])

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/CANARY"}
    with pytest.raises(BrokenAnswer) as raised:
        anyio.run(ErrorBoundary(app), scope, None, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "CANARY" not in "".join(traceback.format_exception(raised.value))
    assert "ValueError" in caplog.text
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize(
    ("path", "accept", "media"),
    [
        ("/nowhere", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("/nowhere", "*/*", "application/problem+json"),
        ("/v1/nowhere", "text/html", "application/problem+json"),
    ],
)
def test_an_address_that_no_route_has_is_a_page_to_a_browser_alone(
    store: Engine, path: str, accept: str, media: str
) -> None:
    champion = ModelWatcher(store, CATALOGUE, load(Path("models/default_policy.yaml"), CATALOGUE), lambda: 0)
    app = create_app(Service(engine=store, champion=champion, clock=lambda: 0, tokens=secrets.token_bytes))
    answer = asked(app, "GET", path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (404, media)
    assert "nowhere" not in answer.text
