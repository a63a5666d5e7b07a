"""`POST /v1/leads` and aliases from outside: once each, however often sent; what is kept, told and moved."""

import asyncio
import copy
import json
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Engine, event, select, update

from features.catalogue import CATALOGUE
from features.engines.python import evaluate
from features.records import KINDS, Lead, LeadEvent, Stored
from features.value_types import DAY, SECOND, parse_instant
from models.policy import load
from serving.access import keys
from serving.app import create_app
from serving.champion.watcher import ModelWatcher
from serving.decisions import current_scores, rescore_queue, stored_decisions
from serving.decisions.tables import current_score
from serving.http.dependencies import part
from serving.http.middleware.load_shedding import MAX_RUNNING, MAX_WAITING
from serving.http.paging import page_answer
from serving.identity import Role
from serving.leads.partner_namespace import partner_account_id, submission_id
from serving.leads.responses import AliasAnswer, SubmissionAnswer, SubmittedLeadAnswer
from serving.leads.submission import submit_lead
from serving.records import aliases, versions, visible
from serving.records.facts import facts_of
from serving.scoring.scoring import Scoring
from serving.scoring.stored_leads import rescore
from serving.service import Service
from serving.store import idempotency
from serving.store.database import reading
from serving.store.tables import outbox as outbox_table
from serving.tables import metadata
from tests.serving.conftest import asked

both_databases = pytest.mark.both_databases

NOW = parse_instant("2026-11-20T00:00:00Z")
POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
LEAD = {
    "lead_id": "L-1",
    "email": "cto@acme-widgets.example",
    "created_at": "2026-10-20T09:00:00Z",
    "channel": "partner_referral",
    "source_partner_id": "P-1",
    "programme_tier": "gold",
    "referral_date": "2026-10-20",
    "region": "EMEA",
}
ACCOUNT = {"account_id": "A-1", "domain": "acme-widgets.example", "employees": 400, "industry": "software"}
BODY: dict[str, Any] = {
    "lead": LEAD,
    "account": {**ACCOUNT, "country": "DE"},
    "partners": [{"partner_id": "P-1", "name": "Integrators", "kind": "implementation", "certified": True}],
    "referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}],
    "confirmations": [
        {"side": "partner", "partner_id": "P-1", "subjects": ["fit", "intent"], "occurred_at": "2026-10-20T09:00:00Z"},
        {"side": "vendor", "subjects": ["fit", "intent"], "occurred_at": "2026-10-21T09:00:00Z"},
    ],
    "buying_signals": [{"kind": "budget_confirmed", "occurred_at": "2026-10-25T10:00:00Z"}],
}
SIGNAL = {"kind": "timeline_stated", "occurred_at": "2026-11-01T10:00:00Z"}


@dataclass
class Api:
    """The service over ASGI, called with a key of a role."""

    store: Engine
    now: int = NOW
    keys: dict[tuple[Role, str | None], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clock = self.clock
        self.app = create_app(
            Service(
                engine=self.store,
                champion=ModelWatcher(self.store, CATALOGUE, POLICY, clock),
                clock=clock,
                tokens=secrets.token_bytes,
            )
        )

    def clock(self) -> int:
        return self.now

    def key(self, role: Role, partner: str | None) -> str:
        if (role, partner) not in self.keys:
            with self.store.begin() as connection:
                self.keys[role, partner] = keys.create(connection, role, partner, at=NOW, tokens=secrets.token_bytes)
        return self.keys[role, partner]

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: Role = "crm",
        partner: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        return asked(self.app, method, path, body, {"X-Api-Key": self.key(role, partner), **(headers or {})})

    def at_once(self, *sent: tuple[Any, Mapping[str, str]]) -> list[httpx.Response]:
        """The answers to POST /v1/leads sent side by side, as many as a service has places for."""
        key, places = self.key("crm", None), MAX_RUNNING + MAX_WAITING

        async def call() -> list[httpx.Response]:
            transport, free = httpx.ASGITransport(app=self.app), asyncio.Semaphore(places)

            async def one(body: Any, headers: Mapping[str, str]) -> httpx.Response:
                # A busy service says so, and callers come again.
                async with free:
                    while (answer := await self._send(client, body, {"X-Api-Key": key, **headers})).status_code == 503:
                        await asyncio.sleep(0.1)
                    return answer

            async with httpx.AsyncClient(transport=transport, base_url="http://eql.example") as client:
                return await asyncio.gather(*(one(body, headers) for body, headers in sent))

        return anyio.run(call)

    @staticmethod
    async def _send(client: httpx.AsyncClient, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        return await client.post("/v1/leads", content=json.dumps(body), headers=headers)

    def post(self, body: Any, **options: Any) -> httpx.Response:
        return self("POST", "/v1/leads", body, **options)

    def create(self, body: Any) -> dict[str, Any]:
        response = self.post(body)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def alias(self, lead_id: str, alias: str, **options: Any) -> httpx.Response:
        return self("POST", f"/v1/leads/{lead_id}/aliases", {"alias": alias}, **options)

    def contents(self) -> dict[str, list[Any]]:
        """Every row of the store, table by table."""
        with reading(self.store) as connection:
            return {
                name: sorted(map(repr, connection.execute(select(table)).all()))
                for name, table in metadata.tables.items()
            }

    def counts(self) -> dict[str, int]:
        with reading(self.store) as connection:
            return versions.count(connection)

    def events(self) -> list[dict[str, Any]]:
        with reading(self.store) as connection:
            found = connection.execute(select(outbox_table.c.content).order_by(outbox_table.c.id)).scalars()
            return [json.loads(content) for content in found]


@pytest.fixture
def api(store: Engine) -> Api:
    return Api(store)


def lead(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BODY), "lead": {**LEAD, **fields}}


@both_databases
def test_a_lead_is_kept_decided_on_and_told_of(api: Api) -> None:
    response = api.post(BODY)
    answer = response.json()
    SubmittedLeadAnswer.model_validate(answer)
    assert (response.status_code, response.headers["location"]) == (201, "/v1/leads/L-1")
    assert (answer["lead_id"], answer["duplicate"], answer["decision"]["qualification"]) == ("L-1", False, "EQL")
    assert api("GET", f"/v1/decisions/{answer['decision']['decision_id']}").json() == answer["decision"]
    with reading(api.store) as connection:
        current = connection.execute(select(current_score)).one()
        assert evaluate(CATALOGUE, facts_of(connection, "L-1", NOW - 1), NOW - 1).lead == {}
    assert (current.lead_id, current.decision_id) == ("L-1", answer["decision"]["decision_id"])
    told = [(event["type"], event["data"]["lead_id"]) for event in api.events()]
    assert told == [("lead.created", "L-1"), ("lead.scored", "L-1")]
    created, scored = (event["data"] for event in api.events())
    assert created == {**scored, "channel": "partner_referral"}
    assert created["decision_id"] == answer["decision"]["decision_id"]
    assert "acme-widgets" not in json.dumps(api.events())


def test_it_is_decided_as_the_same_facts_sent_to_be_scored(api: Api) -> None:
    kept, scored = api.create(BODY)["decision"], api("POST", "/v1/score", BODY).json()
    own = ("decision_id", "partner_history")
    assert {k: v for k, v in kept.items() if k not in own} == {k: v for k, v in scored.items() if k not in own}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"as_of": "2026-11-01T00:00:00Z"}, ["body"]),
        ({"lead": {**LEAD, "recorded_at": "2026-10-20T09:00:00Z"}}, ["lead.recorded_at"]),
        ({"buying_signals": [{**SIGNAL, "recorded_at": None}]}, ["buying_signals.0.recorded_at"]),
        ({"account": {**ACCOUNT, "recorded_at": "2026-10-20T09:00:00Z"}}, ["account.recorded_at"]),
        ({"lead": {**LEAD, "attributes": {"undeclared": 1}}}, ["lead.attributes"]),
        (
            {"lead": {"lead_id": "L-1", "channel": "partner_referral"}},
            ["lead.source_partner_id", "lead.programme_tier", "lead.referral_date"],
        ),
        ({"lead": {"lead_id": "L-1", "source_partner_id": "P-1"}}, ["lead.programme_tier", "lead.referral_date"]),
    ],
)
def test_what_it_refuses_is_named_and_nothing_is_kept(api: Api, change: dict[str, Any], fields: list[str]) -> None:
    api.key("crm", None)
    before = api.contents()
    response = api.post({**BODY, **change}, headers={"Idempotency-Key": "k"})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == fields
    assert api.contents() == before


def test_the_first_touch_of_a_partner_dates_a_lead_that_nobody_referred(api: Api) -> None:
    undated = {name: value for name, value in LEAD.items() if name != "referral_date"}
    touch = {"channel": "webinar", "occurred_at": "2026-10-20T09:00:00Z"}
    body = {"lead": {**undated, "channel": "webinar"}, "touchpoints": [touch]}
    assert api.post(body).status_code == 422
    body["touchpoints"] = [{**touch, "partner_id": "P-1"}]
    assert api.post({**body, "referrals": BODY["referrals"]}).status_code == 422
    assert api.post(body).status_code == 201


def test_a_lead_sent_again_changes_nothing(api: Api) -> None:
    first = api.create(BODY)
    before = api.contents()
    api.now += DAY
    again = api.post(BODY)
    assert (again.status_code, again.json()) == (200, {**first, "duplicate": True})
    assert api.contents() == before


def test_a_decision_that_is_kept_is_answered_in_the_order_that_it_is_kept_in(api: Api) -> None:
    decision_id = api.create(BODY)["decision"]["decision_id"]
    with reading(api.store) as connection:
        kept = stored_decisions.get(connection, decision_id)
    assert kept is not None
    assert kept.content in api.post(BODY).text
    [item] = api("GET", "/v1/leads/L-1/scores").json()["items"]
    assert list(item["policy"]) == list(json.loads(kept.content)["policy"]) == ["sha256", "version"]


@both_databases
def test_a_duplicate_adds_its_facts_and_overwrites_nothing(api: Api) -> None:
    api.create(BODY)
    api.now += DAY
    other = {"lead_id": "L-2", "email": "CTO@Acme-Widgets.example", "region": "APAC"}
    account = {"account_id": "A-1", "employees": 1}
    answer = api.post({"lead": {**LEAD, **other}, "account": account, "buying_signals": [SIGNAL]})
    assert (answer.status_code, answer.json()["lead_id"], answer.json()["duplicate"]) == (200, "L-1", True)
    with reading(api.store) as connection:
        facts = facts_of(connection, "L-1", api.now)
    assert [row["region"] for row in facts["leads"]] == ["EMEA"]
    assert [row["employees"] for row in facts["accounts"]] == [400]
    assert [(row["kind"], row["recorded_at"]) for row in facts["buying_signals"]] == [
        ("budget_confirmed", NOW),
        ("timeline_stated", api.now),
    ]
    assert answer.json()["decision"]["as_of"] == "2026-11-21T00:00:00Z"


@both_databases
def test_a_lead_that_is_closed_is_no_duplicate_of_a_new_one(api: Api) -> None:
    api.create(BODY)

    def tell(event: Any, at: int) -> None:
        with api.store.begin() as connection:
            said = LeadEvent(event=event, occurred_at=at, recorded_at=at)
            versions.add(connection, [Stored(KINDS["lead_events"], f"E-{at}", said, "L-1")])

    tell("lost", NOW + 1)
    tell("reopened", NOW + 2)
    assert api.post(lead(lead_id="L-2")).json()["lead_id"] == "L-1"
    tell("won", NOW + 3)
    assert api.post(lead(lead_id="L-2")).json() | {"decision": None} == {
        "lead_id": "L-2",
        "duplicate": False,
        "decision": None,
        "assignment": None,
    }
    assert api.post(lead(lead_id="L-3")).json()["lead_id"] == "L-2"
    assert api.post(BODY).json()["duplicate"]


def test_an_address_that_was_corrected_is_free(api: Api) -> None:
    api.create(BODY)
    with api.store.begin() as connection:
        corrected = Lead(lead_id="L-1", email="cio@acme-widgets.example", recorded_at=NOW + 1)
        versions.add(connection, [Stored(KINDS["leads"], "L-1", corrected)])
    assert api.post(lead(lead_id="L-2")).status_code == 201
    assert api.post(lead(lead_id="L-3", email="CIO@acme-widgets.example")).json()["lead_id"] == "L-1"


def test_leads_of_an_import_are_known_too(api: Api) -> None:
    with api.store.begin() as connection:
        imported = Lead(lead_id="old", email="cto@acme-widgets.example", created_at=NOW - DAY)
        versions.add(connection, [Stored(KINDS["leads"], "old", imported)])
    assert api.post(BODY).json()["lead_id"] == "old"


def test_what_is_known_of_companies_grows_and_is_not_forgotten(api: Api) -> None:
    api.create(BODY)
    api.now += 1
    body = lead(lead_id="L-2", email="other@acme-widgets.example")
    api.create({**body, "account": {"account_id": "A-1", "employees": 500}, "partners": [{"partner_id": "P-1"}]})
    with reading(api.store) as connection:
        facts = facts_of(connection, "L-2", api.now)
    assert [(row["employees"], row["industry"]) for row in facts["accounts"]] == [(400, "software"), (500, "software")]
    assert len(facts["partners"]) == 1


SPELLINGS = [
    "straße@münchen.example",
    "STRASSE@xn--mnchen-3ya.example",
    "Ｓtraße@MÜNCHEN.example",
    "straſse@MüNCHEN.example",
]


@both_databases
def test_of_a_hundred_identical_leads_at_once_one_is_kept(api: Api) -> None:
    bodies = [lead(lead_id=f"L-{n % 7}", email=SPELLINGS[n % len(SPELLINGS)]) for n in range(100)]
    responses = api.at_once(*((body, {}) for body in bodies))
    assert sorted(response.status_code for response in responses) == [200] * 99 + [201]
    assert len({response.json()["lead_id"] for response in responses}) == 1
    assert api.counts() | {"leads": 1, "referrals": 1, "confirmations": 2, "buying_signals": 1} == api.counts()
    assert [event["type"] for event in api.events()] == ["lead.created", "lead.scored"]


@both_databases
def test_a_key_gets_one_answer_however_often_it_is_used_at_once(api: Api) -> None:
    keys = [n for n in range(8) for _ in range(5)]
    bodies = [lead(lead_id=f"L-{n}", email=f"cto{n}@acme-widgets.example") for n in keys]
    sent = [(body, {"Idempotency-Key": f"k{n}"}) for body, n in zip(bodies, keys, strict=True)]
    answers = list(zip(keys, api.at_once(*sent), strict=True))
    for n in range(8):
        mine = [answer for key, answer in answers if key == n]
        assert {answer.status_code for answer in mine} == {201}
        assert (
            len({(answer.content, answer.headers["location"], answer.headers["content-type"]) for answer in mine}) == 1
        )
        assert sum("idempotency-replayed" in answer.headers for answer in mine) == 4
    assert api.counts()["leads"] == 8
    assert len(api.events()) == 16


def test_a_key_bare_and_quoted_is_one_and_goes_with_caller_address_and_body(api: Api) -> None:
    first = api.post(BODY, headers={"Idempotency-Key": '"a1"'})
    again = api.post(BODY, headers={"Idempotency-Key": "a1"})
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    other = api.post(lead(lead_id="L-9"), headers={"Idempotency-Key": "a1"})
    assert other.status_code == 422
    assert "idempotency-replayed" not in other.headers
    manager = api.post(BODY, headers={"Idempotency-Key": "a1"}, role="partner_manager")
    assert manager.json()["duplicate"]
    assert api.alias("L-1", "006", headers={"Idempotency-Key": "a1"}).status_code == 201
    assert api.alias("L-9", "006", headers={"Idempotency-Key": "a1"}).status_code == 404


@pytest.mark.parametrize("key", ["", '"', '"a', "a b", 'a"b', "k" * 256, "é", '""', '"a\\b"', "a, b"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    response = api.post(BODY, headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    assert response.status_code == 400
    assert api.counts()["leads"] == 0


@both_databases
def test_a_refusal_is_not_kept_and_an_answer_goes_with_its_lead(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert api.post({**BODY, "as_of": "2026-11-01T00:00:00Z"}, headers=headers).status_code == 422
    assert api.post(BODY, headers=headers).status_code == 201
    with api.store.begin() as connection:
        assert idempotency.forget(connection, ["L-2"]) == 0
        assert idempotency.forget(connection, ["L-1"]) == 1
    assert api.post(BODY, headers=headers).json()["duplicate"]
    with api.store.begin() as connection:
        assert idempotency.purge(connection, NOW) == 0
        assert idempotency.purge(connection, NOW + 1) == 1


@both_databases
def test_of_a_write_that_failed_no_key_stays(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.key("crm", None)
    before = api.contents()
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "keep", lambda *_: 1 / 0)
        assert api.post(BODY, headers={"Idempotency-Key": "k"}).status_code == 500
    assert api.contents() == before
    assert api.post(BODY, headers={"Idempotency-Key": "k"}).status_code == 201


HASTY = {"sqlite": ("PRAGMA busy_timeout = 100", 503), "postgresql": ("SET LOCAL lock_timeout = 100", 409)}


@both_databases
def test_a_repetition_does_not_wait_for_ever_for_an_attempt_under_way(
    api: Api, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done = Event(), Event()

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert done.wait(20)
        return submit_lead(*arguments)

    api.key("crm", None)
    monkeypatch.setattr("serving.leads.routes.submit_lead", slow)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(api.post, BODY, headers={"Idempotency-Key": "k"})
        assert begun.wait(20)
        hasty, status = HASTY[database]
        event.listen(api.store, "begin", lambda connection: connection.exec_driver_sql(hasty), insert=True)
        second = api.post(BODY, headers={"Idempotency-Key": "k"})
        done.set()
        assert first.result().status_code == 201
    assert (second.status_code, second.headers["retry-after"]) == (status, "1")
    assert api.post(BODY, headers={"Idempotency-Key": "k"}).content == first.result().content


@both_databases
def test_a_dry_run_answers_and_keeps_nothing(api: Api) -> None:
    api.key("crm", None)
    headers = {"Eql-Dry-Run": "true", "Idempotency-Key": "k"}
    before = api.contents()
    rehearsed = api.post(BODY, headers=headers)
    assert api.contents() == before
    assert (rehearsed.status_code, rehearsed.json()["dry_run"]) == (201, True)
    assert "location" not in rehearsed.headers
    SubmittedLeadAnswer.model_validate(rehearsed.json())
    done = api.post(BODY, headers={"Idempotency-Key": "k"}).json()
    for answer in (done, rehearsed.json()):
        answer["decision"].pop("decision_id")
    assert rehearsed.json()["decision"] | done["decision"] == done["decision"] | {
        "decision_id": rehearsed.json()["decision"]["decision_id"]
    }
    before = api.contents()
    assert api.post(lead(lead_id="L-2"), headers=headers).json()["lead_id"] == "L-1"
    assert api.alias("L-1", "006", headers=headers).json()["dry_run"] is True
    assert api.contents() == before
    assert api.post(BODY, headers={"Eql-Dry-Run": "yes"}).status_code == 422


@both_databases
def test_a_lead_is_known_by_its_alias(api: Api) -> None:
    api.create(BODY)
    response = api.alias("L-1", "006")
    assert (response.status_code, response.headers["location"]) == (201, "/v1/leads/L-1/aliases")
    assert response.json() == {"alias": "006", "lead_id": "L-1", "merged": False, "recorded_at": "2026-11-20T00:00:00Z"}
    assert api.alias("L-1", "006").status_code == 200
    assert api.alias("006", "007").json()["lead_id"] == "L-1"
    before = api.contents()
    duplicate = api.post(lead(lead_id="006", email="new@acme-widgets.example"))
    assert (duplicate.status_code, duplicate.json()["lead_id"]) == (200, "L-1")
    assert api.contents() == before
    for known in ("L-1", "006"):
        listed = api("GET", f"/v1/leads/{known}/aliases").json()
        page_answer(AliasAnswer).model_validate(listed)
        assert [item["alias"] for item in listed["items"]] == ["006", "007"]
    page = api("GET", "/v1/leads/L-1/aliases?limit=1").json()
    assert [item["alias"] for item in api("GET", page["next"]).json()["items"]] == ["007"]
    assert api("GET", "/v1/leads/none/aliases").status_code == 404
    assert api("GET", "/v1/leads/L-1/aliases?cursor=x").status_code == 422


def test_no_alias_leads_in_a_circle_to_another_lead_or_nowhere(api: Api) -> None:
    api.create(BODY)
    api.create(lead(lead_id="L-2", email="cio@acme-widgets.example"))
    api.alias("L-1", "006")
    assert api.alias("L-2", "006").status_code == 409
    assert api.alias("006", "L-1").status_code == 422
    assert api.alias("L-1", "L-1").status_code == 422
    assert api.alias("none", "007").status_code == 404
    assert api.alias("L-1", "").status_code == 422
    for role in ("sales", "partner_manager", "viewer"):
        assert api.alias("L-1", "008", role=role).status_code == 403


MERGED = lead(lead_id="L-2", email="cio@acme-widgets.example")
MERGED["buying_signals"] = [*BODY["buying_signals"], SIGNAL]


def merged(api: Api) -> int:
    """Two leads with facts of their own and one in common, L-2 merged into L-1; when, in microseconds."""
    api.create(BODY)
    api.create(MERGED)
    api.alias("L-2", "L-3")
    api.now += DAY
    assert api.alias("L-1", "L-2").json()["merged"]
    return api.now


@both_databases
def test_a_merged_leads_facts_are_the_others_and_count_once(api: Api) -> None:
    merged(api)
    with reading(api.store) as connection:
        facts = facts_of(connection, "L-1", api.now)
        told = evaluate(CATALOGUE, facts, api.now).features
        assert told["partner_referrals"] == 1
        mine = visible.visible_about(connection, KINDS["buying_signals"], ["L-1"], api.now)
        assert sorted(row["kind"] for row in mine) == ["budget_confirmed", "timeline_stated"]
        assert visible.visible_about(connection, KINDS["buying_signals"], ["L-2"], api.now) == []
        assert visible.visible(connection, KINDS["leads"], ["L-2"], api.now) == {}
        assert {aliases.resolve(connection, name) for name in ("L-1", "L-2", "L-3")} == {"L-1"}
        assert current_scores.open_ids(connection) == ["L-1"]
    assert api.events()[-1]["data"] == {"lead_id": "L-1", "merged_lead_id": "L-2"}
    before = api.contents()
    for body in (MERGED, lead(lead_id="L-4", email="CIO@acme-widgets.example")):
        assert api.post(body).json()["lead_id"] == "L-1"
    assert api.counts()["leads"] == 2
    assert api.contents()["buying_signals"] == before["buying_signals"]


@both_databases
def test_what_was_known_before_a_merge_is_known_as_of_then(api: Api) -> None:
    api.create(BODY)
    api.create(MERGED)
    then = api.now
    with reading(api.store) as connection:
        before = [evaluate(CATALOGUE, facts_of(connection, each, then), then) for each in ("L-1", "L-2")]
    api.now += DAY
    api.alias("L-1", "L-2")
    with reading(api.store) as connection:
        for moment in (then, api.now - 1):
            after = [evaluate(CATALOGUE, facts_of(connection, each, moment), moment) for each in ("L-1", "L-2")]
            if moment == then:
                assert after == before
            assert [found.lead["lead_id"] for found in after] == ["L-1", "L-2"]
        assert evaluate(CATALOGUE, facts_of(connection, "L-2", api.now), api.now).lead == {}


def test_a_merged_lead_that_a_worker_scores_late_leaves_the_lists_again(api: Api) -> None:
    merged(api)
    scoring = part(api.app, Scoring)
    with api.store.begin() as connection:
        connection.execute(update(current_score).values(removed=False))
        claimed = rescore_queue.claim(connection, 10, now=api.now, until=api.now + SECOND)
    assert claimed == ["L-1", "L-2"]
    assert list(rescore(scoring, claimed)) == [2]
    with reading(api.store) as connection:
        assert current_scores.open_ids(connection) == ["L-1"]


OWN = {name: BODY[name] for name in ("lead", "account", "referrals")} | {"confirmations": BODY["confirmations"][:1]}


def test_a_partner_sends_its_own_lead_and_learns_its_standing(api: Api) -> None:
    response = api.post(OWN, role="partner", partner="P-1")
    assert response.status_code == 201
    SubmissionAnswer.model_validate(response.json())
    standing = api("POST", "/v1/score", OWN).json()
    shown = {name: standing[name] for name in ("qualification", "pending")}
    own = submission_id("P-1", "L-1")
    assert response.json() == {"lead_id": own, "duplicate": False, **shown, "missing": []}
    assert api("GET", response.headers["location"]).json()["id"] == own
    again = api.post(OWN, role="partner", partner="P-1")
    assert (again.status_code, again.json()) == (200, {**response.json(), "duplicate": True})


@both_databases
def test_a_partner_takes_no_id_from_the_crm(api: Api) -> None:
    unlike = {"email": None, "source_partner_id": "P-1"}
    theirs = api.post({**OWN, "lead": {**LEAD, **unlike}}, role="partner", partner="P-1").json()
    ours = api.create({**BODY, "lead": {**LEAD, "email": "ceo@other.example"}})
    assert (ours["lead_id"], ours["duplicate"]) == ("L-1", False)
    assert api("GET", "/v1/leads/L-1").json()["email"] == "ceo@other.example"
    named = {theirs["lead_id"], submission_id("P-2", "L-1"), submission_id("P-1", "L-2")}
    assert len({*named, "L-1"}) == 4


@both_databases
def test_a_partner_adds_to_its_own_lead_by_the_id_it_is_kept_under(api: Api) -> None:
    own = api.post({**OWN, "confirmations": []}, role="partner", partner="P-1").json()["lead_id"]
    api.create({**BODY, "lead": {**LEAD, "lead_id": "L-9", "email": "ceo@other.example"}})
    for lead_id in (own, "L-9"):
        named = {**OWN, "lead": {**LEAD, "lead_id": lead_id, "email": None}}
        answer = api.post(named, role="partner", partner="P-1").json()
        assert (answer["lead_id"], answer["duplicate"]) == (lead_id, True)
    assert api.counts()["leads"] == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lead": {**LEAD, "source_partner_id": "P-2"}}, "lead.source_partner_id"),
        ({"lead": {"lead_id": "L-1", "channel": "direct"}}, "lead.source_partner_id"),
        ({"referrals": [{"partner_id": "P-2", "occurred_at": "2026-10-20T09:00:00Z"}]}, "referrals.0.partner_id"),
        ({"confirmations": [{**BODY["confirmations"][1], "partner_id": "P-1"}]}, "confirmations.0.side"),
        ({"buying_signals": [SIGNAL]}, "buying_signals"),
        ({"partners": [{"partner_id": "P-1", "certified": True}]}, "partners"),
    ],
)
def test_a_partner_speaks_for_nobody_else(api: Api, change: dict[str, Any], field: str) -> None:
    response = api.post({**OWN, **change}, role="partner", partner="P-1")
    assert response.status_code == 403
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert api.counts()["leads"] == 0


@both_databases
def test_a_partner_learns_of_anothers_lead_only_that_it_is_registered(api: Api) -> None:
    api.create(BODY)
    api.alias("L-1", "006")
    api.key("partner", "P-2")
    before = api.contents()
    theirs = {**LEAD, "source_partner_id": "P-2"}
    for lead_id in ("X", "L-1", "006"):
        response = api.post({"lead": {**theirs, "lead_id": lead_id}}, role="partner", partner="P-2")
        assert response.status_code == 200
        assert response.json() == {"lead_id": None, "duplicate": True, "qualification": None, "pending": None}
    assert api.contents() == before


def test_a_partner_does_not_learn_which_ids_are_taken(api: Api) -> None:
    api.create(BODY)
    api.alias("L-1", "006")
    for lead_id in ("L-1", "006", "free"):
        theirs = {**LEAD, "source_partner_id": "P-2", "lead_id": lead_id, "email": None}
        response = api.post({"lead": theirs}, role="partner", partner="P-2")
        assert (response.status_code, response.json()["duplicate"]) == (201, False)


_OURS = {"account_id": "A-1", "domain": "victim.example", "name": "Victim Plc", "employees": 900, "country": "DE"}


@both_databases
def test_a_partner_reads_and_plants_no_account_by_its_id(api: Api) -> None:
    api("PUT", "/v1/accounts/A-1", {**_OURS, "industry": "software"})
    guess = {"lead": {**LEAD, "account_id": "A-1", "email": None}, "referrals": BODY["referrals"]}
    answer = api.post(guess, role="partner", partner="P-1").json()
    stored = api("GET", f"/v1/leads/{answer['lead_id']}").json()
    assert stored["account_id"] == partner_account_id("P-1", "A-1")
    planted = {**guess, "lead": {**LEAD, "lead_id": "L-2", "account_id": None, "email": None}}
    api.post({**planted, "account": {"account_id": "A-2", "employees": 100}}, role="partner", partner="P-1")
    assert api("GET", "/v1/accounts/A-2").status_code == 404
    again = {**planted, "lead": {**LEAD, "lead_id": "L-3", "account_id": "A-2", "email": None}}
    theirs = api.post(again, role="partner", partner="P-1").json()["lead_id"]
    assert api("GET", f"/v1/leads/{theirs}").json()["account_id"] == partner_account_id("P-1", "A-2")


@both_databases
def test_a_partner_names_no_lead_of_another_as_the_original(api: Api) -> None:
    api.create(BODY)
    named = {"lead": {**LEAD, "lead_id": "L-2", "email": None, "duplicate_of": "L-1"}}
    kept = api.post({"lead": {**named["lead"], "source_partner_id": "P-2"}}, role="partner", partner="P-2").json()
    duplicate_of = api("GET", f"/v1/leads/{kept['lead_id']}").json()["duplicate_of"]
    assert duplicate_of == submission_id("P-2", "L-1")


@both_databases
@pytest.mark.parametrize(
    ("email", "known", "joined"),
    [
        ("cto@victim.example", {}, True),
        ("cto@mail.victim.example", {}, True),
        ("cto@VICTIM.example", {"domain": "www.victim.example"}, True),
        ("cto@gmail.com", {"domain": "gmail.com"}, False),
        ("cto@other.example", {}, False),
    ],
)
def test_an_address_joins_our_account_for_our_score_and_the_partner_sees_no_difference(
    api: Api, email: str, known: dict[str, Any], joined: bool
) -> None:
    sent = {**OWN, "lead": {**LEAD, "email": email}, "account": {"account_id": "A-1", "employees": 9}}
    unmatched = api.post(sent, role="partner", partner="P-1").json()
    assert api("DELETE", f"/v1/leads/{unmatched['lead_id']}").status_code == 204
    account = {**_OURS, "industry": "software", **known, "account_id": "A-7"}
    assert api("PUT", "/v1/accounts/A-7", account).status_code == 201
    sent["lead"] = {**sent["lead"], "lead_id": "L-2"}
    matched = api.post(sent, role="partner", partner="P-1").json()
    assert {**matched, "lead_id": ""} == {**unmatched, "lead_id": ""}
    lead = api("GET", f"/v1/leads/{matched['lead_id']}").json()
    assert (lead["account_id"] == "A-7") == joined
    score = api("GET", f"/v1/leads/{matched['lead_id']}/score").json()
    assert ("900 employees" in json.dumps(score["rules"])) == joined


def test_an_account_that_a_partner_sent_is_matched_to_nobody_elses_lead(api: Api) -> None:
    planted = {"account_id": "A-1", "domain": "victim.example", "employees": 400}
    api.post({**OWN, "account": planted}, role="partner", partner="P-1")
    theirs = {"lead": {**LEAD, "lead_id": "L-2", "source_partner_id": "P-2", "email": "cto@victim.example"}}
    answer = api.post(theirs, role="partner", partner="P-2").json()
    assert api("GET", f"/v1/leads/{answer['lead_id']}").json()["account_id"] is None


def test_a_partner_changes_nothing_known_of_a_company(api: Api) -> None:
    api.create(BODY)
    mine = {**OWN, "lead": {**LEAD, "lead_id": "L-2", "email": "x@acme-widgets.example"}}
    response = api.post({**mine, "account": {**ACCOUNT, "employees": 5}}, role="partner", partner="P-1")
    assert response.status_code == 201
    with reading(api.store) as connection:
        assert [row["employees"] for row in facts_of(connection, response.json()["lead_id"], NOW)["accounts"]] == [400]


@both_databases
def test_every_post_keeps_its_key_and_every_write_can_be_rehearsed(api: Api) -> None:
    api.create(BODY)
    touch = {"channel": "webinar", "occurred_at": "2026-11-01T00:00:00Z", "lead_id": "L-1"}
    line = json.dumps({"record": "touchpoints", "id": "T-2", **touch}).encode()
    sent = {
        "/v1/score": BODY,
        "/v1/score/batch": {"items": [BODY, BODY]},
        "/v1/touchpoints": touch,
        "/v1/records": line,
        "/v1/leads/L-1/aliases": {"alias": "006"},
    }
    for path, body in sent.items():
        before = api.contents()
        rehearsed = api("POST", path, body, headers={"Eql-Dry-Run": "true", "Idempotency-Key": "k"})
        assert (rehearsed.status_code // 100, rehearsed.headers["eql-dry-run"]) == (2, "true"), path
        assert api.contents() == before, path
        first, again = (api("POST", path, body, headers={"Idempotency-Key": "k"}) for _ in range(2))
        assert (
            (again.status_code, again.content)
            == (first.status_code, first.content)
            == (rehearsed.status_code, first.content)
        )
        assert first.headers["content-type"] == again.headers["content-type"] == rehearsed.headers["content-type"]
        assert again.headers["idempotency-replayed"] == "true"


@both_databases
def test_a_removal_can_be_rehearsed_and_is_done_once_for_a_key(api: Api) -> None:
    api.create(BODY)
    before, keyed = api.contents(), {"Idempotency-Key": "k"}
    rehearsed = api("DELETE", "/v1/leads/L-1", headers={"Eql-Dry-Run": "true", **keyed})
    assert (rehearsed.status_code, rehearsed.content, rehearsed.headers["eql-dry-run"]) == (204, b"", "true")
    assert api.contents() == before
    first, again = (api("DELETE", "/v1/leads/L-1", headers=keyed) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (204, 204, b"")
    assert again.headers["idempotency-replayed"] == "true"
    assert "content-type" not in again.headers
    for headers in ({}, {"Eql-Dry-Run": "true"}, {"Idempotency-Key": "k2"}):
        assert api("DELETE", "/v1/leads/L-1", headers=headers).status_code == 404
    assert api("DELETE", "/v1/leads/L-1", headers={"Eql-Dry-Run": "yes"}).status_code == 422


@both_databases
def test_an_alias_names_its_lead_wherever_an_id_comes_in(api: Api) -> None:
    api.create(BODY)
    api.alias("L-1", "00/6")
    alias = "00%2F6"
    touch = {"channel": "webinar", "occurred_at": "2026-11-01T00:00:00Z"}
    assert api("POST", "/v1/touchpoints", {**touch, "lead_id": "00/6"}).json()["lead_id"] == "L-1"
    assert api("PUT", f"/v1/leads/{alias}", {"region": "APAC"}).json()["id"] == "L-1"
    assert api("GET", f"/v1/leads/{alias}").json()["region"] == "APAC"
    assert api("GET", f"/v1/leads/{alias}/aliases").json()["items"][0]["alias"] == "00/6"
    api.alias("L-1", "006")
    assert api("GET", "/v1/leads/006/score").json()["lead_id"] == "L-1"
    assert api("GET", "/v1/leads/006/scores").json()["items"]
    assert api.counts()["leads"] == 1


def test_a_merged_lead_was_its_own_before(api: Api) -> None:
    api.create(BODY)
    api.create(MERGED)
    api.now += DAY
    api.alias("L-1", "L-2")
    scores = [api("GET", f"/v1/leads/L-2/score?as_of=2026-11-{day}T00:00:00Z").json()["lead_id"] for day in (20, 21)]
    assert scores == ["L-2", "L-1"]
