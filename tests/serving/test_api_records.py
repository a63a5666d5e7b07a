"""Facts in and out again, from outside: one at a time, in bulk, as history; who may; what becomes due."""

import asyncio
import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from features.provenance import Attribute, Provenance
from features.records import KINDS, Lead, Stored, parse
from features.value_types import DAY, SECOND, parse_instant, rfc3339
from serving.access import keys
from serving.app import create_app
from serving.decisions import current_scores, rescore_queue, stored_decisions
from serving.http.middleware.load_shedding import MAX_RUNNING, MAX_WAITING
from serving.identity import ROLES
from serving.records import provenance
from serving.records import versions as records
from serving.records.examples import EXAMPLES
from serving.scoring.stored_leads import rescore
from serving.service import Service
from serving.store.database import reading
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
CANARY = "canary-7f3a"
TOUCH: dict[str, Any] = dict(EXAMPLES["touchpoints"])


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Api:
    """The API over ASGI, called as admin unless another key is given."""

    client: httpx.AsyncClient
    service: Service
    clock: Clock
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        return self.service.engine

    def key(self, role: str) -> str:
        if role not in self.keys:
            partner = "P-1" if role == "partner" else None
            with self.engine.begin() as connection:
                self.keys[role] = keys.create(connection, role, partner, at=NOW, tokens=secrets.token_bytes)
        return self.keys[role]

    def __call__(self, method: str, path: str, body: Any = None, role: str = "admin") -> httpx.Response:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"X-Api-Key": self.key(role)}

        async def call() -> httpx.Response:
            return await self.client.request(method, path, content=content, headers=headers)

        return anyio.run(call)

    def bulk(self, *lines: dict[str, Any] | bytes, path: str = "/v1/records", role: str = "admin") -> list[Any]:
        texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        response = self("POST", path, b"\n".join(texts), role)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in response.text.splitlines()]

    def versions(self, name: str) -> list[Any]:
        with reading(self.engine) as connection:
            return list(records.versions(connection, KINDS[name]))

    def due(self) -> list[str]:
        """The leads due by now, which are so no more."""
        with self.engine.begin() as connection:
            found = rescore_queue.claim(connection, 10_000, now=self.clock.now, until=self.clock.now + 1)
            rescore_queue.complete(connection, found, self.clock.now + 1)
        return found


@pytest.fixture
def api(store: Engine) -> Api:
    clock = Clock()
    service = service_on(store, clock)
    transport = httpx.ASGITransport(app=create_app(service))
    return Api(httpx.AsyncClient(transport=transport, base_url="http://eql.example"), service, clock)


def touch(**changes: Any) -> dict[str, Any]:
    return {"record": "touchpoints", **TOUCH, **changes}


def own_id(name: str, identity: str) -> dict[str, str]:
    return {KINDS[name].id if KINDS[name].entity else "id": identity}


@pytest.mark.both_databases
def test_every_kind_goes_in_comes_out_and_goes_away(api: Api) -> None:
    for name, example in EXAMPLES.items():
        path = f"/v1/{name}/X-1"
        put = api("PUT", path, example)
        assert (put.status_code, put.headers["location"]) == (201, path)
        shown = api("GET", path)
        assert shown.json() == put.json() == {**shown.json(), **example, "recorded_at": rfc3339(NOW), "id": "X-1"}
        assert api("GET", f"/v1/{name}").json() == {"items": [shown.json()], "next": None}
        again = api("PUT", path, {**example, **own_id(name, "X-1")})
        assert (again.status_code, again.json()) == (200, shown.json())
        assert len(api.versions(name)) == 1
        assert api("DELETE", path).status_code == 204
        assert [api(method, path).status_code for method in ("GET", "DELETE")] == [404, 404]
        assert api("GET", f"/v1/{name}").json()["items"] == []
        assert api("PUT", path, example).status_code == 201
        assert len(api.versions(name)) == 3


def test_head_is_get_without_the_content(api: Api) -> None:
    assert api("PUT", "/v1/touchpoints/T-1", TOUCH).status_code == 201
    for path, status in {
        "/v1/touchpoints/T-1": 200,
        "/v1/touchpoints/T-2": 404,
        "/v1/score": 405,
        "/healthz": 200,
    }.items():
        asked, headers = api("GET", path), api("HEAD", path)
        assert (asked.status_code, headers.status_code, headers.content) == (status, status, b"")
        for name in ("content-type", "content-length"):
            assert headers.headers[name] == asked.headers[name]
    assert api("PATCH", "/healthz").headers["allow"] == "GET, HEAD"
    assert 'method="HEAD",route="/healthz",status="200"' in api("GET", "/metrics").text


def test_post_is_put_with_the_id_in_the_body(api: Api) -> None:
    for name in KINDS.keys() - {"leads"}:
        first = api("POST", f"/v1/{name}", {**EXAMPLES[name], **own_id(name, "X-1")})
        assert (first.status_code, first.headers["location"]) == (201, f"/v1/{name}/X-1")
        assert api("PUT", f"/v1/{name}/X-1", EXAMPLES[name]).json() == first.json()
        assert len(api.versions(name)) == 1


def test_a_correction_is_a_version_more_and_holds(api: Api) -> None:
    api("PUT", "/v1/touchpoints/T", TOUCH)
    api.clock.now += SECOND
    corrected = api("PUT", "/v1/touchpoints/T", {**TOUCH, "kind": "download"})
    assert (corrected.status_code, corrected.json()["kind"]) == (200, "download")
    assert corrected.json()["recorded_at"] == rfc3339(NOW + SECOND)
    assert [row["kind"] for row in api.versions("touchpoints")] == ["visit", "download"]
    assert api("GET", "/v1/touchpoints/T").json() == corrected.json()


def test_a_correction_by_a_process_whose_clock_is_behind_holds(api: Api) -> None:
    api("PUT", "/v1/touchpoints/T", TOUCH)
    api.clock.now -= SECOND
    assert api("GET", "/v1/touchpoints/T").status_code == 200
    api("PUT", "/v1/touchpoints/T", {**TOUCH, "kind": "download"})
    api.clock.now += 2 * SECOND
    assert api("GET", "/v1/touchpoints/T").json()["kind"] == "download"


def test_an_id_that_is_derived_is_that_of_the_content(api: Api) -> None:
    first, again = api("POST", "/v1/touchpoints", TOUCH), api("POST", "/v1/touchpoints", {**TOUCH, "url": TOUCH["url"]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    elsewhere = {**TOUCH, "occurred_at": "2026-10-10T12:00:00+02:00"}
    assert api("POST", "/v1/touchpoints", elsewhere).json()["id"] == first.json()["id"]
    for change in ({"lead_id": "L-2"}, {"kind": None}, {"occurred_at": "2026-10-10T10:00:01Z"}):
        assert api("POST", "/v1/touchpoints", {**TOUCH, **change}).status_code == 201
    assert api("POST", "/v1/accounts", EXAMPLES["accounts"]).json()["errors"] == [
        {"field": "account_id", "constraint": "is required"}
    ]


IDS = ["a/b", "/", "ä ö", "%2F", "a?b#c", "x" * 200, "\U0001f600" * 200, "T-1/score", "a/aliases", "%252f"]
# The stores of an example are one behind the other, so each example speaks of leads of its own.
in_one_store = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
PRINTABLE = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=40)


def test_an_id_may_be_any_printable_text(api: Api) -> None:
    for identity in IDS:
        _put_and_read(api, "touchpoints", identity, TOUCH)


@given(PRINTABLE.filter(lambda text: text.isprintable() and text not in (".", "..")))
@in_one_store
def test_every_printable_id_is_reached_in_every_route_of_a_lead(api: Api, identity: str) -> None:
    address = _put_and_read(api, "leads", identity, {"channel": "demo_request"})
    assert api("GET", f"{address}/score").json()["lead_id"] == identity
    assert api("GET", f"{address}/scores").status_code == 200
    assert api("GET", f"{address}/aliases").json()["items"] == []
    assert api("DELETE", address).status_code == 204


def _put_and_read(api: Api, kind: str, identity: str, body: dict[str, Any]) -> str:
    address = f"/v1/{kind}/{quote(identity, safe='')}"
    put = api("PUT", address, body)
    assert put.headers.get("location", address) == address
    assert api("GET", address).json()["id"] == identity
    return address


@pytest.mark.parametrize("identity", ["a\nb", "a\n", "\r", " a", "a ", "a\u2028b", "a\x1bb", "a\u00a0b", "\ue000"])
def test_an_id_with_unprintable_characters_or_blanks_at_its_ends_is_refused_and_a_kept_one_is_read(
    api: Api, identity: str
) -> None:
    address = f"/v1/touchpoints/{quote(identity, safe='')}"
    assert [error["field"] for error in api("PUT", address, TOUCH).json()["errors"]] == ["path.id"]
    posted = api("POST", "/v1/touchpoints", {**TOUCH, "id": identity})
    assert [error["field"] for error in posted.json()["errors"]] == ["id"]
    content = {name: value for name, value in TOUCH.items() if name != "lead_id"}
    kept = Stored(KINDS["touchpoints"], identity, parse(KINDS["touchpoints"], content), "L-1")
    with api.engine.begin() as connection:
        records.lock_records(connection)
        records.add(connection, [kept])
    assert api("GET", address).json()["id"] == identity
    assert api("DELETE", address).status_code == 204


def test_an_id_that_can_be_none_is_refused(api: Api) -> None:
    calls = (("PUT", TOUCH), ("GET", None), ("DELETE", None))
    for path, (method, body) in product(("", "x" * 201, "a%00", "%FF"), calls):
        refused = api(method, f"/v1/touchpoints/{path}", body)
        assert refused.status_code == 422
        assert {error["field"] for error in refused.json()["errors"]} == {"path.id"}


LATER = rfc3339(NOW + 2 * 60 * SECOND)
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "recorded_at": ("touchpoints", {**TOUCH, "recorded_at": "2026-10-10T10:00:00Z"}, "body"),
    "another id": ("touchpoints", {**TOUCH, "id": CANARY}, "id"),
    "another entity": ("accounts", {"account_id": CANARY}, "account_id"),
    "no parent": ("touchpoints", {key: TOUCH[key] for key in ("channel", "occurred_at")}, "lead_id"),
    "an unknown field": ("touchpoints", {**TOUCH, CANARY: 1}, "body"),
    "an unknown channel": ("touchpoints", {**TOUCH, "channel": CANARY}, "channel"),
    "an e-mail that is none": ("leads", {"email": CANARY}, "email"),
    "an undeclared attribute": ("leads", {"attributes": {CANARY: CANARY}}, "attributes"),
    "a touch to come": ("touchpoints", {**TOUCH, "occurred_at": LATER}, "occurred_at"),
    "a lead to come": ("leads", {"created_at": LATER}, "created_at"),
    "a day not over": ("integration_usage", {**EXAMPLES["integration_usage"], "day": "2026-11-20"}, "day"),
    "a customer to come": ("shared_customers", {**EXAMPLES["shared_customers"], "since": "2026-11-21"}, "since"),
}


def test_what_breaks_the_contract_is_named_and_not_repeated(api: Api) -> None:
    for case, (name, body, place) in REFUSED.items():
        refused = api("PUT", f"/v1/{name}/X-1", body)
        assert refused.status_code == 422, case
        assert place in [error["field"] for error in refused.json()["errors"]], case
        assert CANARY not in refused.text, case
        assert api.versions(name) == []


def test_what_is_agreed_may_lie_in_the_future(api: Api) -> None:
    for name in ("agreements", "exchange_rates"):
        assert api("PUT", f"/v1/{name}/X", {**EXAMPLES[name], "occurred_at": "2027-01-01T00:00:00Z"}).status_code == 201


def test_attributes_are_those_that_an_import_declared(api: Api) -> None:
    declared = (Attribute("visits", "number", "at_creation"), Attribute("days", "number", "later"))
    with api.engine.begin() as connection:
        provenance.add(connection, Provenance(attributes=declared))
        lead = Stored(KINDS["leads"], "L", Lead(lead_id="L"), attributes={"visits": 1.0}, order=7, group="G")
        records.add(connection, [lead])
    assert api("PUT", "/v1/leads/L", {"attributes": {"visits": 1}}).json()["attributes"] == {"visits": 1}
    assert len(api.versions("leads")) == 1
    assert api("PUT", "/v1/leads/L", {"region": "EMEA"}).json()["attributes"] == {}
    newest = api.versions("leads")[-1]
    assert (newest["order"], newest["group"]) == (7, "G")
    for wrong in ({"visits": "1"}, {"days": 1}):
        assert api("PUT", "/v1/leads/L", {"attributes": wrong}).status_code == 422


OF_PARTNERS = {"referrals", "confirmations", "shared_customers", "agreements", "spend"}


def test_who_may_write_read_and_bring_history(api: Api) -> None:
    for name, example in EXAMPLES.items():
        for role in ROLES:
            status = api("PUT", f"/v1/{name}/X-1", example, role).status_code
            may = role in ("crm", "admin") or (role == "partner_manager" and name in OF_PARTNERS)
            assert (status in (200, 201)) == may, (name, role)
            assert status in (200, 201, 403)
            assert may or api("DELETE", f"/v1/{name}/X-1", role=role).status_code == 403
            assert api("GET", f"/v1/{name}/X-1", role=role).status_code in ({403} if role == "partner" else {200, 404})
    for role in ROLES:
        assert api("GET", "/v1/leads", role=role).status_code == (403 if role == "partner" else 200)
        line = json.dumps(touch()).encode()
        assert api("POST", "/v1/history", line, role).status_code == (200 if role == "admin" else 403)
        may = role in ("crm", "partner_manager", "admin")
        assert api("POST", "/v1/records", line, role).status_code == (200 if may else 403)
    told = api.bulk(touch(), {"record": "spend", **EXAMPLES["spend"]}, role="partner_manager")
    assert [line["status"] for line in told] == [403, 201]


@pytest.mark.both_databases
def test_lists_page_through_every_record_once(api: Api) -> None:
    ids = sorted([f"T-{number:02}" for number in range(23)] + ["T/ä", "~"])
    api.bulk(*(touch(id=identity, lead_id="L-1" if "1" in identity else "L-2") for identity in ids))
    for removed in ("T-03", "T-04", "T-05", "T-11"):
        api("DELETE", f"/v1/touchpoints/{removed}")
        ids.remove(removed)
    api("PUT", "/v1/touchpoints/T-12", {**TOUCH, "lead_id": "L-2"})

    def walk(path: str) -> list[str]:
        found = []
        while path:
            page = api("GET", path).json()
            assert len(page["items"]) <= 3
            found += [item["id"] for item in page["items"]]
            path = page["next"]
            if path and len(found) < 4:
                api("PUT", "/v1/touchpoints/A%20first", TOUCH)
        return found

    assert walk("/v1/touchpoints?limit=3") == ids
    of_lead = [identity for identity in ids if "1" in identity and identity != "T-12"]
    assert walk("/v1/touchpoints?limit=3&lead_id=L-1") == ["A first", *of_lead]
    assert [item["id"] for item in api("GET", "/v1/touchpoints?limit=200").json()["items"]] == ["A first", *ids]


NOT_CURSORS = ("", "CANARY", "*", "ä", "A", "W1tb" * 500)


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_what_is_no_cursor_is_refused(api: Api) -> None:
    others = ({}, [], ["a"], {"after": "a"}, {"after": [1]}, {"after": ["a", "b"]}, {"after": ["\0"]})
    for cursor in (*NOT_CURSORS, *map(encoded, others)):
        refused = api("GET", f"/v1/touchpoints?cursor={quote(cursor)}")
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == ["query.cursor"]
    assert api("GET", f"/v1/touchpoints?cursor={encoded({'after': ['a']})}").status_code == 200


def test_a_query_that_is_not_understood_is_refused(api: Api) -> None:
    for query in ("limit=0", "limit=201", "limit=x", "lead=L-1", "account_id=A-1", "lead_id="):
        assert api("GET", f"/v1/touchpoints?{query}").status_code == 422


@pytest.mark.both_databases
def test_of_many_at_once_who_say_the_same_one_writes(api: Api) -> None:
    headers, many = {"X-Api-Key": api.key("admin")}, MAX_RUNNING + MAX_WAITING

    async def post() -> list[httpx.Response]:
        asked = (api.client.post("/v1/touchpoints", json=TOUCH, headers=headers) for _ in range(many))
        return await asyncio.gather(*asked)

    assert sorted(answer.status_code for answer in anyio.run(post)) == [200] * (many - 1) + [201]
    assert len(api.versions("touchpoints")) == 1


@pytest.mark.both_databases
def test_a_bulk_answers_line_by_line(api: Api) -> None:
    told = api.bulk(
        touch(id="T-1"),
        b"",
        b'{"record": "touchpoints", ' + CANARY.encode(),
        touch(id="T-1"),
        {"record": CANARY},
        touch(id="T-1", kind="download"),
        b" \r",
        touch(channel=CANARY),
        b'["' + CANARY.encode() + b'"]',
        {"record": "leads", "lead_id": "L-1", "email": CANARY},
        {"record": "accounts", "account_id": "A-1"},
        touch(occurred_at=LATER),
        touch(recorded_at="2026-10-10T10:00:00Z"),
    )
    lines = [(line["line"], line["status"], line.get("id")) for line in told]
    good = [(1, 201, "T-1"), (4, 200, "T-1"), (6, 200, "T-1"), (11, 201, "A-1")]
    assert [line for line in lines if line[1] != 422] == good
    assert [line["line"] for line in told] == [1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]
    for line in told:
        assert ("problem" in line) == (line["status"] == 422)
        assert line["status"] != 422 or line["problem"]["status"] == 422
    assert CANARY not in json.dumps(told)
    assert {row["recorded_at"] for name in ("touchpoints", "accounts") for row in api.versions(name)} == {NOW}
    assert [row["kind"] for row in api.versions("touchpoints")] == ["visit", "download"]


def test_a_bulk_has_some_lines_but_not_too_many(api: Api) -> None:
    for body in (b"", b"\n \r\n", b"{}\n" * 10_001):
        refused = api("POST", "/v1/records", body)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "body"


def test_a_bulk_as_large_as_may_be(api: Api) -> None:
    lead_ids = [f"L-{number % 300}" for number in range(10_000)]
    leads = [{"record": "leads", "lead_id": lead_id} for lead_id in sorted({*lead_ids})]
    touches = [touch(lead_id=lead_id, kind=str(n), url=None) for n, lead_id in enumerate(lead_ids)][: 10_000 - 300]
    told = api.bulk(*leads, *touches)
    assert {line["status"] for line in told} == {201}
    assert [line["line"] for line in told] == list(range(1, 10_001))
    assert len(api.versions("touchpoints")) == 9_700
    assert api.due() == sorted({*lead_ids})


some_lines = st.lists(
    st.one_of(
        st.builds(touch, id=st.sampled_from("ab"), lead_id=st.sampled_from("LM"), kind=st.sampled_from("xyz")),
        st.builds(touch, lead_id=st.sampled_from("LM"), kind=st.sampled_from("xyz")),
        st.builds(
            lambda lead, account: {"record": "leads", "lead_id": lead, "account_id": account},
            st.sampled_from("LM"),
            st.sampled_from(["A", "B", None]),
        ),
        st.just(touch(channel="nothing")),
    ),
    min_size=1,
    max_size=12,
)


def renamed(line: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key: prefix + value if key in ("id", "lead_id") else value for key, value in line.items()}


def told_of(api: Api, prefix: str) -> list[tuple[Any, ...]]:
    """All versions of what begins with a prefix, without what numbers and times them."""
    found = []
    for name in ("touchpoints", "leads"):
        rows = [row for row in api.versions(name) if row["lead_id"].startswith(prefix)]
        found += [(row["lead_id"].removeprefix(prefix), row.get("kind"), row.get("account_id")) for row in rows]
    return found


@given(some_lines)
@in_one_store
def test_a_bulk_is_its_lines_one_after_another(api: Api, lines: list[dict[str, Any]]) -> None:
    whole, single, seen = secrets.token_hex(8), secrets.token_hex(8), []
    told = api.bulk(*(renamed(line, whole) for line in lines))
    marked = [lead_id.removeprefix(whole) for lead_id in api.due()]
    for line in lines:
        seen += api.bulk(renamed(line, single))
    assert [line["status"] for line in told] == [line["status"] for line in seen]
    assert told_of(api, whole) == told_of(api, single)
    assert marked == [lead_id.removeprefix(single) for lead_id in api.due()]
    current = {row["lead_id"] for row in api.versions("leads")}
    assert {whole + lead_id for lead_id in marked} <= current


def test_a_fact_makes_its_lead_due_and_waits_for_one_that_is_not_there(api: Api) -> None:
    api("PUT", "/v1/touchpoints/T-1", TOUCH)
    assert api.due() == []
    api("PUT", "/v1/leads/L-1", {"account_id": "A-1", "source_partner_id": "P-1"})
    api("PUT", "/v1/leads/L-2", {"account_id": "A-1"})
    api("PUT", "/v1/leads/L-3", {"account_id": "A-2"})
    assert api.due() == ["L-1", "L-2", "L-3"]
    for path, body, expected in (
        ("touchpoints/T-1", TOUCH, []),
        ("touchpoints/T-1", {**TOUCH, "lead_id": "L-2"}, ["L-1", "L-2"]),
        ("lead_events/E-1", EXAMPLES["lead_events"], ["L-1"]),
        ("accounts/A-1", EXAMPLES["accounts"], ["L-1", "L-2"]),
        ("accounts/A-9", EXAMPLES["accounts"], []),
        ("integration_usage/U-1", EXAMPLES["integration_usage"], ["L-1", "L-2"]),
        ("integration_usage/U-1", {**EXAMPLES["integration_usage"], "account_id": "A-2"}, ["L-1", "L-2", "L-3"]),
        ("partners/P-1", EXAMPLES["partners"], ["L-1"]),
        ("spend/S-1", EXAMPLES["spend"], []),
        ("leads/L-1", {"account_id": "A-2"}, ["L-1"]),
        ("accounts/A-1", {"employees": 1}, ["L-2"]),
        ("partners/P-1", {"tier": "silver"}, []),
    ):
        api("PUT", f"/v1/{path}", body)
        assert api.due() == expected, path
    api("DELETE", "/v1/touchpoints/T-1")
    assert api.due() == ["L-2"]


@pytest.mark.both_databases
def test_a_removed_lead_leaves_the_lists(api: Api) -> None:
    for lead_id in ("L-1", "L-2"):
        api("PUT", f"/v1/leads/{lead_id}", EXAMPLES["leads"])
    list(rescore(api.service.scoring, api.due()))
    api("DELETE", "/v1/leads/L-1")
    assert api.due() == []
    with reading(api.engine) as connection:
        assert [current_scores.get(connection, lead) is None for lead in ("L-1", "L-2")] == [True, False]
        assert len(stored_decisions.of_lead(connection, "L-1", 10)) == 1
    api("PUT", "/v1/touchpoints/T", TOUCH)
    assert api.due() == []


def past(kind: str, day: int, deleted: bool = False) -> dict[str, Any]:
    return touch(id="T-1", kind=kind, recorded_at=rfc3339(NOW - day * DAY), deleted=deleted)


def known_at(api: Api, moment: int) -> Any:
    with reading(api.engine) as connection:
        row = records.latest_versions(connection, KINDS["touchpoints"], ["T-1"], moment).get("T-1")
    return None if row is None or row["deleted"] else row["kind"]


@pytest.mark.both_databases
def test_history_is_what_was_known_at_each_moment(api: Api) -> None:
    api("PUT", "/v1/leads/L-1", {})
    api.due()
    before = api.versions("leads")[-1]["ingest"]
    told = api.bulk(past("x", 30), past("y", 20), past("y", 10, deleted=True), past("z", 5), path="/v1/history")
    assert [line["status"] for line in told] == [201, 200, 200, 200]
    assert [known_at(api, NOW - day * DAY) for day in (31, 30, 20, 10, 5, 0)] == [None, "x", "y", None, "z", "z"]
    assert min(row["ingest"] for row in api.versions("touchpoints")) > before
    assert api.due() == ["L-1"]
    assert api("GET", "/v1/touchpoints/T-1").json()["recorded_at"] == rfc3339(NOW - 5 * DAY)
    unchanged = {key: value for key, value in past("z", 0).items() if key not in ("recorded_at", "deleted", "record")}
    assert api("PUT", "/v1/touchpoints/T-1", unchanged).status_code == 200
    assert len(api.versions("touchpoints")) == 4


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 5), st.booleans()), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@in_one_store
def test_history_is_the_same_in_any_order_and_however_often(api: Api, given: list[Any], random: Any) -> None:
    moments = {day: (kind, day, deleted) for kind, day, deleted in given}
    lines = [past(*moment) | {"id": secrets.token_hex(8)} for moment in moments.values()]
    first, second = secrets.token_hex(8), secrets.token_hex(8)
    mixed = [*lines, *lines]
    random.shuffle(mixed)
    api.bulk(*({**line, "id": first} for line in lines), path="/v1/history")
    api.bulk(*({**line, "id": second} for line in mixed), path="/v1/history")
    api.bulk(*({**line, "id": second} for line in mixed), path="/v1/history")
    rows = {
        identity: [r for r in api.versions("touchpoints") if r["touchpoint_id"] == identity]
        for identity in (first, second)
    }
    seen = [sorted((r["recorded_at"], r["kind"], r["deleted"]) for r in found) for found in rows.values()]
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(moments)


TIED = [past(kind, 3) for kind in "xyz"]


@given(st.permutations(TIED))
@in_one_store
def test_of_two_versions_of_one_moment_the_same_one_holds_in_any_order_and_both_are_told(
    api: Api, lines: list[Any]
) -> None:
    api.bulk(*(dict(line, id="tie") for line in TIED), path="/v1/history")
    expected = api("GET", "/v1/touchpoints/tie").json()["kind"]
    other = secrets.token_hex(8)
    once = past("x", 9) | {"id": other}
    told = api.bulk(*(dict(line, id=other) for line in lines), once, path="/v1/history")
    assert ["warning" in line for line in told] == [True, True, True, False]
    assert api("GET", f"/v1/touchpoints/{other}").json()["kind"] == expected


def test_history_is_neither_to_come_nor_known_before_it_happened(api: Api) -> None:
    moments = (rfc3339(NOW + SECOND), "2026-10-10T09:59:59Z", "2026-10-10", 1)
    for told in api.bulk(*(touch(recorded_at=moment) for moment in moments), path="/v1/history"):
        assert told["status"] == 422
        assert [error["field"] for error in told["problem"]["errors"]] == ["recorded_at"]


def test_the_document_names_every_route_and_body_and_its_examples_work(api: Api) -> None:
    document = api("GET", "/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name, kind in KINDS.items():
        put = document["paths"][f"/v1/{name}/{{id}}"]["put"]
        reference = put["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        model = schemas[reference.rpartition("/")[2]]
        assert "recorded_at" not in model["properties"]
        assert not kind.parent or kind.parent in model["required"]
        posted = document["paths"][f"/v1/{name}"]["post"]["operationId"]
        assert posted == f"create{kind.model.__name__}"
        for example in model["examples"]:
            assert api("PUT", f"/v1/{name}/example", example).status_code == 201
    for path in ("/v1/records", "/v1/history"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/x-ndjson"]
        assert api("POST", path, content["example"].encode()).status_code == 200
        assert content["x-itemSchema"]["$ref"].rpartition("/")[2] in schemas


def test_the_page_shows_what_works(api: Api) -> None:
    page = Path("docs/facts.md").read_text("utf-8")
    curl = r"curl -X (\w+) http://127.0.0.1:8000(\S+) [^\n]*"
    for method, path, body in re.findall(curl + r"-d '(\{.*?\})'", page, re.DOTALL):
        assert api(method, path, body.encode()).status_code == 201
    assert [api(*call).status_code for call in re.findall(curl + r'KEY"\n', page)] == [204]
    [lines] = re.findall(r"<<'END'\n(.*?)END", page, re.DOTALL)
    told = [(line["line"], line["status"], line.get("id")) for line in api.bulk(lines.encode())]
    shown = re.findall(r'\{"line":(\d+),"status":(\d+)(?:,"id":"(.+?)")?', page)
    assert told == [(int(line), int(status), identity or None) for line, status, identity in shown]
    [past] = re.findall(r"```\n(\{[^`]*?recorded_at[^`]*?deleted[^`]*?)```", page)
    assert {line["status"] for line in api.bulk(past.encode(), path="/v1/history")} == {200}
