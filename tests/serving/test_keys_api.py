"""Keys over the API: shown once, listed page by page, revoked at once; for admins."""

import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from features.value_types import parse_instant
from serving.access import keys
from serving.app import create_app
from serving.identity import Principal, visible_part
from serving.store.database import reading
from tests.serving.conftest import asked, service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
Api = Callable[..., httpx.Response]


@pytest.fixture
def api(store: Engine) -> Api:
    service = service_on(store, lambda: NOW)
    app = create_app(service)
    with store.begin() as connection:
        admin = keys.create(connection, "admin", None, at=NOW, tokens=secrets.token_bytes)

    def call(method: str, path: str, body: Any = None) -> httpx.Response:
        return asked(app, method, path, body, {"X-Api-Key": admin})

    return call


@pytest.mark.both_databases
def test_a_key_is_shown_once_works_and_is_revoked(store: Engine, api: Api) -> None:
    made = api("POST", "/v1/keys", {"role": "partner", "partner_id": "P-1"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json().pop("key")
    with reading(store) as connection:
        assert keys.verify(connection, key) == Principal("partner", "P-1", visible_part(key))
    kept = api("GET", made.headers["location"])
    assert kept.json() == {name: value for name, value in made.json().items() if name != "key"}
    assert key.removeprefix(visible_part(key)) not in api("GET", "/v1/keys").text
    assert api("DELETE", made.headers["location"]).status_code == 204
    assert api("DELETE", made.headers["location"]).status_code == 404
    assert api("GET", made.headers["location"]).json()["revoked_at"] == "2026-11-20T00:00:00Z"
    with reading(store) as connection:
        assert keys.verify(connection, key) is None


@pytest.mark.both_databases
def test_the_list_pages(api: Api) -> None:
    made = [api("POST", "/v1/keys", {"role": "viewer"}).json()["id"] for _ in range(4)]
    found, path = [], "/v1/keys?limit=2"
    while path:
        page = api("GET", path).json()
        assert len(page["items"]) <= 2
        found += [key["id"] for key in page["items"]]
        path = page["next"]
    assert found == [1, *made]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "root"}, "role"),
        ({"role": "partner"}, "partner_id"),
        ({"role": "partner", "partner_id": "P" * 201}, "partner_id"),
        ({"role": "crm", "partner_id": "P-1"}, "partner_id"),
        ({"role": "crm", "key": "mine"}, "body"),
        ({}, "role"),
    ],
)
def test_what_is_no_key_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api("POST", "/v1/keys", body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=LTE", "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5"]
)
def test_a_page_that_no_list_named_is_refused(api: Api, query: str) -> None:
    assert api("GET", f"/v1/keys?{query}").status_code == 422


@pytest.mark.parametrize("key_id", ["0", "-1", "x", str(2**63), "9" * 5000])
def test_an_id_that_no_key_has_is_refused(api: Api, key_id: str) -> None:
    assert api("GET", f"/v1/keys/{key_id}").status_code == 422
    assert api("DELETE", f"/v1/keys/{key_id}").status_code == 422
