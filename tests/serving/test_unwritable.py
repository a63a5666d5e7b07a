"""A store that takes nothing, for its disk is full or it is read-only as a standby: told clearly, nothing half done."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import Connection, Engine, event

from features.value_types import parse_instant
from serving.access import keys
from serving.app import create_app
from tests.serving.conftest import asked, service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
FULL = {"sqlite": "PRAGMA max_page_count = 1", "postgresql": "SET TRANSACTION READ ONLY"}
NAME = "x" * 500
LINES = "".join(f'{{"record": "accounts", "account_id": "A-{n}", "name": "{NAME}"}}\n' for n in range(200))


@contextmanager
def taking_nothing(store: Engine) -> Iterator[None]:
    """SQLite may have no page more than it has; PostgreSQL may only read."""

    def bound(connection: Connection) -> None:
        connection.exec_driver_sql(FULL[store.dialect.name])

    event.listen(store, "begin", bound)
    yield
    event.remove(store, "begin", bound)
    store.dispose()


@pytest.mark.both_databases
def test_it_is_told_nothing_is_half_done_and_it_goes_on_afterwards(store: Engine) -> None:
    service = service_on(store, lambda: NOW)
    with store.begin() as connection:
        headers = {"X-Api-Key": keys.create(connection, "admin", None, at=NOW, tokens=secrets.token_bytes)}

    def ask(method: str, path: str, content: str = "") -> httpx.Response:
        return asked(create_app(service), method, path, content.encode(), headers)

    with taking_nothing(store):
        refused = ask("POST", "/v1/records", LINES)
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["retry-after"]) >= 60
        assert "Nothing was kept" in refused.json()["detail"]
        assert NAME not in refused.text
        assert ask("GET", "/v1/accounts").json()["items"] == []
        assert ask("GET", "/readyz").status_code == 200
    taken = ask("POST", "/v1/records", LINES)
    assert {line.split('"status":')[1][:3] for line in taken.text.splitlines()} == {"201"}
