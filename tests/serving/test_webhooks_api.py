"""Webhooks over the API: secrets are told once, only admins see them, and the log says what became of each event."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from features.value_types import DAY, SECOND, rfc3339
from serving.access import keys
from serving.app import create_app
from serving.identity import ROLES
from serving.store import outbox
from serving.webhooks import deliveries
from serving.webhooks.deliveries import DeliveryAttempt
from serving.worker import runs as schedules
from tests.serving.conftest import asked, service_on

NOW = 1_800_000_000 * SECOND
URL = "https://crm.example/hooks/eql"
NO_EVENT = f"evt_{0:032}"


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Api:
    app: FastAPI
    engine: Engine
    clock: Clock
    key: str

    def __call__(self, method: str, path: str, body: object = None, key: str | None = None) -> httpx.Response:
        return asked(self.app, method, path, body, {"X-Api-Key": key or self.key})

    def created(self, **body: object) -> dict[str, Any]:
        answer = self("POST", "/v1/webhooks", {"url": URL, **body})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def events(self, *kinds: outbox.EventKind) -> list[str]:
        made = [outbox.event(kind, "L-1", {}, at=self.clock(), tokens=secrets.token_bytes) for kind in kinds]
        with self.engine.begin() as connection:
            outbox.add(connection, made)
            deliveries.fan_out(connection, 1000)
        return [event.event_id for event in made]

    def deliver(self, webhook_id: int, status: int) -> list[str]:
        """Notes attempts at all that is due, as if the receiver had answered so."""
        fault, now = None if status < 300 else "refused", self.clock()
        with self.engine.begin() as connection:
            due = deliveries.claim(connection, webhook_id, 1000, now=now, until=now + 1)
            next_at = fault and now + 5 * SECOND
            made = [DeliveryAttempt(delivery=each, at=now, status=status, error=fault, next_at=next_at) for each in due]
            deliveries.note(connection, made, now + 1)
        return [each.event_id for each in due]


@pytest.fixture
def api(store: Engine) -> Api:
    clock = Clock()
    service = service_on(store, clock)
    with store.begin() as connection:
        key = keys.create(connection, "admin", None, at=NOW, tokens=secrets.token_bytes)
    return Api(create_app(service), store, clock, key)


@pytest.mark.both_databases
def test_a_webhook_is_made_shown_changed_and_removed(api: Api) -> None:
    made = api("POST", "/v1/webhooks", {"url": URL, "events": ["lead.scored"], "description": "CRM"})
    address = made.headers["Location"]
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    shown = api("GET", address).json()
    assert shown == {name: value for name, value in made.json().items() if name != "secret"}
    assert (shown["url"], shown["events"], shown["enabled"]) == (URL, ["lead.scored"], True)
    changed = api("PATCH", address, {"events": None, "enabled": False}).json()
    assert changed == shown | {"events": None, "enabled": False}
    assert api("PATCH", address, {}).json() == changed
    assert api("GET", "/v1/webhooks").json() == {"items": [changed], "next": None}
    assert api("DELETE", address).status_code == 204
    assert [api(method, address).status_code for method in ("GET", "DELETE")] == [404, 404]
    assert api("GET", "/v1/webhooks").json() == {"items": [], "next": None}


def test_a_new_secret_is_told_once_and_the_former_one_named_for_a_day(api: Api) -> None:
    made = api.created()
    address = f"/v1/webhooks/{made['id']}"
    rotated = api("POST", f"{address}/rotate").json()
    assert rotated["secret"] != made["secret"]
    assert rotated["former_secret_until"] == rfc3339(NOW + DAY)
    everything = [api("GET", path).text for path in (address, "/v1/webhooks", f"{address}/deliveries")]
    assert not [text for text in everything if made["secret"] in text or rotated["secret"] in text]
    api.clock.now += DAY
    assert api("GET", address).json()["former_secret_until"] is None


CANARY = "canary-7f3a"


REFUSED: list[tuple[object, str]] = [
    ({"url": f"http://{CANARY}.example/"}, "url"),
    ({"url": f"https://127.0.0.1/{CANARY}"}, "url"),
    ({"url": f"https://{CANARY}@crm.example/"}, "url"),
    ({"url": 7}, "url"),
    ({}, "url"),
    ({"url": URL, "events": [CANARY]}, "events.0"),
    ({"url": URL, "events": ["webhook.test"]}, "events.0"),
    ({"url": URL, "events": []}, "events"),
    ({"url": URL, "secret": CANARY}, "body"),
    ({"url": URL, "description": ""}, "description"),
]


def test_what_is_no_webhook_is_refused_by_field_and_repeated_nowhere(api: Api) -> None:
    for body, field in REFUSED:
        answer = api("POST", "/v1/webhooks", body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert CANARY not in answer.text
    assert api("GET", "/v1/webhooks").json()["items"] == []


def test_a_change_is_held_to_the_same(api: Api) -> None:
    address = f"/v1/webhooks/{api.created()['id']}"
    for body in ({"url": "https://10.0.0.1/"}, {"url": None}, {"enabled": None}, {"enabled": 1}, {"id": 7}):
        assert api("PATCH", address, body).status_code == 422
    assert api("GET", address).json()["url"] == URL


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
def test_only_admins_have_to_do_with_webhooks(api: Api, role: str) -> None:
    webhook = api.created()["id"]
    with api.engine.begin() as connection:
        partner = "P-1" if role == "partner" else None
        key = keys.create(connection, role, partner, at=NOW, tokens=secrets.token_bytes)
    address = f"/v1/webhooks/{webhook}"
    calls = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"), ("GET", "/deliveries")]
    calls += [("POST", "/replay"), ("POST", f"/deliveries/{NO_EVENT}/replay")]
    assert {api(method, address + path, {}, key).status_code for method, path in calls} == {403}
    assert {api(method, "/v1/webhooks", {}, key).status_code for method in ("GET", "POST")} == {403}
    assert api("GET", "/v1/runs", key=key).status_code == (200 if role == "viewer" else 403)


@pytest.mark.both_databases
def test_a_test_goes_to_the_tested_one_alone(api: Api) -> None:
    tested, other = api.created(events=["lead.merged"])["id"], api.created()["id"]
    answer = api("POST", f"/v1/webhooks/{tested}/test")
    assert answer.status_code == 202
    api.events()
    assert api.deliver(tested, 204) == [answer.json()["event_id"]]
    assert api.deliver(other, 204) == []
    assert api("POST", f"/v1/webhooks/{other}/replay", {"since": rfc3339(NOW)}).json() == {"events": 0}
    assert api("POST", f"/v1/webhooks/{tested}/replay", {"since": rfc3339(NOW)}).json() == {"events": 0}
    event = answer.json()["event_id"]
    assert api("POST", f"/v1/webhooks/{other}/deliveries/{event}/replay").status_code == 404
    assert api("POST", f"/v1/webhooks/{tested}/deliveries/{event}/replay").status_code == 202
    assert api.deliver(tested, 204) == [event]


@pytest.mark.both_databases
def test_the_log_says_what_became_of_each_event(api: Api) -> None:
    webhook = api.created()["id"]
    first, second = *api.events("lead.created"), *api.events("lead.scored")
    assert sorted(api.deliver(webhook, 503)) == sorted([first, second])
    api.clock.now += 5 * SECOND
    with api.engine.begin() as connection:
        [due] = deliveries.claim(connection, webhook, 1, now=api.clock(), until=api.clock() + 1)
        delivered = DeliveryAttempt(delivery=due, at=api.clock(), status=200, error=None, next_at=None)
        deliveries.note(connection, [delivered], api.clock() + 1)
    newest, oldest = api("GET", f"/v1/webhooks/{webhook}/deliveries").json()["items"]
    failure = {"at": rfc3339(NOW), "status": 503, "fault": "refused"}
    assert oldest == {
        "event_id": first,
        "kind": "lead.created",
        "at": rfc3339(NOW),
        "state": "delivered",
        "attempts": [failure, {"at": rfc3339(NOW + 5 * SECOND), "status": 200, "fault": None}],
        "next_attempt": None,
    }
    assert (newest["event_id"], newest["state"], newest["attempts"]) == (second, "waiting", [failure])
    assert newest["next_attempt"] == rfc3339(NOW + 5 * SECOND)


@pytest.mark.both_databases
def test_what_was_delivered_can_be_had_again(api: Api) -> None:
    webhook = api.created(events=["lead.scored"])["id"]
    [early] = api.events("lead.scored")
    api.clock.now += DAY
    since = rfc3339(api.clock())
    late = api.events("lead.scored", "lead.scored", "lead.created")[:2]
    assert len(api.deliver(webhook, 204)) == 3
    assert api.deliver(webhook, 204) == []
    assert api("POST", f"/v1/webhooks/{webhook}/deliveries/{early}/replay").json() == {"event_id": early}
    assert api.deliver(webhook, 204) == [early]
    assert api("POST", f"/v1/webhooks/{webhook}/replay", {"since": since}).json() == {"events": 2}
    assert sorted(api.deliver(webhook, 204)) == sorted(late)
    assert api("POST", f"/v1/webhooks/{webhook}/deliveries/{NO_EVENT}/replay").status_code == 404


@pytest.mark.both_databases
def test_lists_page_through_everything_once(api: Api) -> None:
    webhook = min([api.created()["id"] for _ in range(5)])
    api.events(*5 * ["lead.scored"])
    with api.engine.begin() as connection:
        for number in range(5):
            schedules.end(connection, schedules.begin(connection, "task", NOW + number), NOW + number, "ok", None)
    for path, key in (
        ("/v1/webhooks", "id"),
        (f"/v1/webhooks/{webhook}/deliveries", "event_id"),
        ("/v1/runs", "started_at"),
    ):
        whole = [item[key] for item in api("GET", path).json()["items"]]
        found, following = [], f"{path}?limit=2"
        while following:
            page = api("GET", following).json()
            found += [item[key] for item in page["items"]]
            following = page["next"]
        assert found == whole
        assert len({*found}) == 5


def test_what_no_list_and_no_event_gave_is_refused(api: Api) -> None:
    for path in (
        "/v1/webhooks/0",
        f"/v1/webhooks/{2**70}",
        "/v1/webhooks?cursor=x",
        "/v1/runs?limit=0",
        "/v1/webhooks/%00",
    ):
        assert api("GET", path).status_code == 422, path
    webhook = api.created()["id"]
    for event in ("evt_%00", "%ED%A0%80", "evt_" + "A" * 32, "x" * 3000):
        assert api("POST", f"/v1/webhooks/{webhook}/deliveries/{event}/replay").status_code == 422, event
