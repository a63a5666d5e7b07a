"""Personal data: a thousand canaries by every way in; never in logs, faults and numbers, and after erasure nowhere."""

import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import Engine, func, select

from features.catalogue import CATALOGUE
from features.provenance import Provenance
from features.records import KINDS, Lead, Partner, SharedCustomer, Stored
from features.value_types import DAY, parse_instant
from models.policy import load
from operations.subjects import InvalidSubject, Subject
from serving.access import keys, sessions
from serving.access.tables import api_keys
from serving.app import create_app
from serving.champion.tables import model_aliases
from serving.champion.watcher import ModelWatcher
from serving.decisions import seals, stored_decisions
from serving.decisions.audit import verify
from serving.decisions.tables import decision_payloads
from serving.identity import Principal, Role
from serving.privacy import personal_data, subject_rights
from serving.privacy.retention import Retention, purge, rehearse
from serving.privacy.routes import ErasureAnswer
from serving.privacy.tables import erasures as erasure_log
from serving.records import export, versions
from serving.records.tables import RECORDS
from serving.replay.replay import replay_all
from serving.scoring.stored_leads import rescore
from serving.service import Service
from serving.store.database import connect, reading
from serving.store.migrating import VERSION_TABLE
from serving.store.tables import outbox as outbox_table
from serving.tables import metadata
from serving.webhooks import deliveries
from serving.webhooks.tables import webhooks
from serving.worker.tables import runs
from tests.serving.conftest import asked

both_databases = pytest.mark.both_databases
NOW = parse_instant("2026-11-20T00:00:00Z")
THEN = "2026-11-01T00:00:00Z"
POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
CANARY = "canary"
DOMAIN = f"{CANARY}.example"
OTHER = "ada@company.example"


def canary(number: int) -> str:
    return f"{CANARY}-{number}@{DOMAIN}"


@dataclass
class Api:
    """The service over ASGI, with all it answers and logs."""

    store: Engine
    now: int = NOW
    keys: dict[Role, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        champion = ModelWatcher(self.store, CATALOGUE, POLICY, lambda: self.now)
        self.service = Service(engine=self.store, champion=champion, clock=lambda: self.now, tokens=secrets.token_bytes)
        self.app = create_app(self.service)

    def key(self, role: Role) -> str:
        if role not in self.keys:
            with self.store.begin() as connection:
                self.keys[role] = keys.create(connection, role, None, at=NOW, tokens=secrets.token_bytes)
        return self.keys[role]

    def __call__(
        self, method: str, path: str, body: Any = None, role: Role = "admin", **headers: str
    ) -> httpx.Response:
        sent = {"X-Api-Key": self.key("admin")} | {name.replace("_", "-"): value for name, value in headers.items()}
        answer = asked(self.app, method, path, body, sent)
        if answer.status_code >= 400:
            self.refusals.append(f"{answer.headers} {answer.text}")
        return answer

    def erase(self, **subject: str) -> Any:
        answer = self("POST", "/v1/privacy/erasures", {**subject, "reason": "request 17"})
        assert answer.status_code == 200, answer.text
        return ErasureAnswer.model_validate(answer.json()).model_dump()

    def exported(self, **subject: str) -> list[dict[str, Any]]:
        answer = self("POST", "/v1/privacy/exports", subject)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


def lead(lead_id: str, email: str, **more: Any) -> dict[str, Any]:
    return {"lead_id": lead_id, "email": email, "created_at": THEN, "channel": "demo_request", **more}


def touch(email: str) -> dict[str, Any]:
    url = f"https://shop.example/?e={quote(email, safe='')}&utm_source=x"
    return {"channel": "webinar", "occurred_at": THEN, "url": url}


def inhabited(api: Api) -> None:
    """Somebody else, whose company and touchpoint name canaries."""
    body = {
        "lead": lead("L-other", OTHER, account_id="A-other"),
        "account": {"account_id": "A-other", "employees": 400},
    }
    assert api("POST", "/v1/leads", body).status_code == 201
    name = {"name": f"Acme, ask <{canary(3).upper()}>", "employees": 400, "industry": "software"}
    assert api("PUT", "/v1/accounts/A-other", name).status_code in {200, 201}
    assert api("PUT", "/v1/touchpoints/T-other", {"lead_id": "L-other", **touch(canary(4))}).status_code in {200, 201}
    assert api("GET", "/v1/leads/L-other/score").status_code == 200


def flown(api: Api) -> None:
    """A thousand canaries, by every way in."""
    for number in range(10):
        body = {"lead": lead(f"L-{number}", canary(number)), "touchpoints": [touch(canary(number))]}
        body["account"] = {"account_id": f"A-{number}", "name": f"Of {canary(number)}", "domain": f"a{number}.{DOMAIN}"}
        assert api("POST", "/v1/leads", body, Idempotency_Key=f"lead-{number}").status_code == 201
    assert api("POST", "/v1/leads/L-1/aliases", {"alias": canary(1)}).status_code == 201
    assert api("POST", f"/v1/leads/{canary(9)}/aliases", {"alias": "x"}).status_code == 404
    assert (
        api("PUT", f"/v1/leads/{quote(canary(10))}", {"channel": "demo_request", "created_at": THEN}).status_code == 201
    )
    lines = [{"record": "leads", **lead(f"L-{number}", canary(number))} for number in range(11, 700)]
    lines += [{"record": "leads", **lead(canary(number), f"{canary(number)}@")} for number in range(700, 770)]
    answer = api("POST", "/v1/records", "\n".join(map(json.dumps, lines)).encode(), Idempotency_Key="bulk")
    assert answer.status_code == 200
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["status"] for line in told] == [201] * 689 + [422] * 70
    items = [{"lead": lead(f"S-{n}", canary(n)), "touchpoints": [touch(canary(n))]} for n in range(770, 980)]
    assert api("POST", "/v1/score/batch", {"items": items}, Idempotency_Key="batch").status_code == 200
    for number in range(980, 1000):
        wrong = {"lead": lead(canary(number), canary(number), **{canary(number): canary(number), "region": 7})}
        assert api("POST", "/v1/score", wrong).status_code == 422
    assert api("GET", f"/v1/leads/{canary(1)}?{canary(2)}={canary(2)}").status_code == 200
    list(rescore(api.service.scoring, [f"L-{number}" for number in range(20)]))


def sealed(api: Api) -> int:
    with api.store.begin() as connection:
        seals.seal(connection, api.now)
    with api.store.begin() as connection:
        deliveries.fan_out(connection, 10_000)
    with reading(api.store) as connection:
        verdict = verify(connection)
        assert verdict.error is None
        return verdict.erased


def held(store: Engine) -> str:
    """Every row of every table as text; of SQLite the bytes of its files too."""
    with reading(store) as connection:
        text = "\n".join(
            str(tuple(row)) for table in metadata.tables.values() for row in connection.execute(select(table))
        )
    if store.dialect.name == "sqlite":
        files = Path(str(store.url.database)).parent.glob("store.sqlite*")
        text += "".join(path.read_bytes().decode(errors="replace") for path in files)
    return text.lower()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that anything logs, at any level."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # The client of this test tells of its requests by itself.
            if not record.name.startswith(("httpx", "httpcore")):
                lines.append(f"{logging.Formatter().format(record)} {vars(record)}")

    root, handler = logging.getLogger(), Keeping()
    level, names = root.level, [name for name in logging.root.manager.loggerDict if name.startswith("serving")]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


@both_databases
def test_after_erasure_no_canary_is_anywhere_and_the_chain_verifies(
    store: Engine, logged: list[str], tmp_path: Path
) -> None:
    api = Api(store)
    inhabited(api)
    flown(api)
    assert sealed(api) == 0
    with reading(store) as connection:
        ids = list(connection.execute(select(decision_payloads.c.decision_id)).scalars())
    # One of them by itself: of the others' rows only those that name no more than it.
    assert canary(7) in held(store)
    assert api.erase(email=canary(7).upper())["leads"] == 1
    assert canary(7) not in held(store)
    assert canary(8) in held(store)

    assert api.erase(domain=DOMAIN)["leads"] == 701 - 1
    assert CANARY not in held(store)
    with reading(store) as connection:
        export.export(connection, tmp_path / "export", Provenance())
    assert not any(CANARY.encode() in path.read_bytes() for path in (tmp_path / "export").rglob("*") if path.is_file())
    told = "".join((*logged, *api.refusals, api("GET", "/metrics").text))
    assert len(api.refusals) == 21
    assert CANARY not in told.lower()

    erased = sealed(api)
    with reading(store) as connection:
        gone = [decision_id for decision_id in ids if stored_decisions.get(connection, decision_id) is None]
    assert len(gone) == erased > 200
    assert api("GET", f"/v1/decisions/{gone[0]}").status_code == 410
    assert api("POST", f"/v1/decisions/{gone[0]}/replay", {}).status_code == 410
    # What is left comes out as it was: of the other lead the decision made before anybody was named.
    assert {
        found is not None and found.equal for _, found in replay_all(store, api.service.scoring.scorers, "facts")
    } == {True}
    assert api("GET", "/v1/leads/L-other").json()["email"] == OTHER


@both_databases
def test_erasing_again_finds_nothing_and_the_log_names_nobody(store: Engine) -> None:
    api = Api(store)
    inhabited(api)
    before = api("POST", "/v1/leads", {"lead": lead("L-1", canary(1))}).json()
    rehearsed = api("POST", "/v1/privacy/erasures", {"email": canary(1), "reason": "x"}, Eql_Dry_Run="true")
    assert rehearsed.headers["Eql-Dry-Run"] == "true"
    assert api("GET", "/v1/leads/L-1").status_code == 200
    with reading(store) as connection:
        last = versions.last_ingest(connection)
    first = api.erase(email=canary(1))
    assert rehearsed.json() == {**first, "id": None, "dry_run": True}
    assert first["rows"].keys() == {"leads", "lead_emails", "decision_payloads", "current_score", "outbox"}
    assert api.erase(email=canary(1)) == {"id": 2, "leads": 0, "rows": {}, "remains": False, "dry_run": False}
    assert api("GET", f"/v1/decisions/{before['decision']['decision_id']}").status_code == 410
    assert api("GET", "/v1/leads/L-1/score").status_code == 404
    with reading(store) as connection:
        log = connection.execute(select(erasure_log)).mappings().all()
        assert versions.last_ingest(connection) == last
    assert [(row["reason"], row["leads"], row["finished_at"]) for row in log] == [
        ("request 17", n, NOW) for n in (1, 0)
    ]
    assert all(row["actor"].startswith("eql_live_") for row in log)


@both_databases
def test_others_keep_all_but_what_names_the_person(store: Engine) -> None:
    api = Api(store)
    inhabited(api)
    named = api("GET", "/v1/leads/L-other/score").json()["decision_id"]
    exported = api.exported(email=canary(3))
    # Of what is another's only what names the person.
    assert {frozenset(each["row"]) for each in exported if each["table"] == "accounts"} == {
        frozenset({"ingest", "name"})
    }
    api.erase(email=canary(3))
    api.erase(email=canary(4))
    account, touched = api("GET", "/v1/accounts/A-other").json(), api("GET", "/v1/touchpoints/T-other").json()
    assert (account.get("name"), account["employees"]) == (None, 400)
    assert (touched.get("url"), touched["channel"]) == (None, "webinar")
    # Features read of an address only whether it is tagged, and that is kept.
    with reading(store) as connection:
        assert connection.execute(select(RECORDS["touchpoints"].c.url_tagged)).scalars().all() == [True]
    assert api("GET", f"/v1/decisions/{named}").status_code == 410
    assert api("GET", "/v1/leads/L-other/score").json()["decision_id"] != named


@both_databases
def test_a_name_in_any_other_table_goes_too(store: Engine) -> None:
    api = Api(store)
    named = canary(1)
    with store.begin() as connection:
        values = {"enabled": True, "created_at": 1, "secret": "s"}
        connection.execute(webhooks.insert().values(url=f"https://x.example/?e={quote(quote(named))}", **values))
        connection.execute(webhooks.insert().values(url="https://y.example/", description=f"of {named}", **values))
        keys.create(connection, "partner", named, at=1, tokens=secrets.token_bytes)
        keys.create(connection, "partner", "P-1", at=1, tokens=secrets.token_bytes)
        sessions.offer(connection, "partner", named, expires_at=10, tokens=secrets.token_bytes)
        sessions.open_for(connection, Principal("partner", named, "session"), expires_at=10, tokens=secrets.token_bytes)
        connection.execute(runs.insert().values(task="rescore", started_at=1, detail=f"failed for {named}"))
        alias = {"alias": "champion", "actor": named, "reason": f"asked by {named.replace('@', '&#64;')}", "at": 1}
        connection.execute(model_aliases.insert().values(alias))
    assert named in held(store)
    exported = [line["row"] for line in subject_rights.export(store, Subject(email=named))]
    assert exported, "the person's own mentions"
    assert {name for row in exported for name in row}.isdisjoint({"secret", "sha256", "prefix"})
    assert api.erase(email=named)["rows"] == {
        "api_keys": 1,
        "model_aliases": 1,
        "runs": 1,
        "sessions": 1,
        "sign_in_tokens": 1,
        "webhooks": 2,
    }
    assert named not in held(store)
    assert named.partition("@")[0] not in held(store)
    with reading(store) as connection:
        assert connection.execute(select(webhooks.c.url)).scalars().all() == ["https://y.example/"]
        partners = select(api_keys.c.partner_id).where(api_keys.c.partner_id.is_not(None))
        assert connection.execute(partners).scalars().all() == ["P-1"]
        assert connection.execute(select(model_aliases.c.actor, model_aliases.c.reason)).all() == [("erased", "erased")]


@both_databases
def test_every_table_is_searched_or_is_known_to_name_nobody(store: Engine) -> None:
    with reading(store) as connection:
        other = {table.name for table in personal_data._other_tables(connection)}
    searched = other | {table.name for table in (*personal_data._KINDS, *personal_data._COPIES, *personal_data._OWNED)}
    assert {*metadata.tables, VERSION_TABLE} == searched | personal_data._KEPT
    assert {"webhooks", "api_keys", "sessions", "sign_in_tokens", "runs", "model_aliases"} <= other


@both_databases
def test_a_merged_lead_is_one_with_all_its_ids(store: Engine) -> None:
    api = Api(store)
    for number in (1, 2, 3):
        body = {"lead": lead(f"L-{number}", canary(number)), "touchpoints": [touch(canary(number))]}
        assert api("POST", "/v1/leads", body).status_code == 201
    assert api("POST", "/v1/leads/L-1/aliases", {"alias": "L-2"}).json()["merged"]
    assert api.erase(email=canary(2))["leads"] == 2
    assert not any(canary(number) in held(store) for number in (1, 2))
    assert [api("GET", f"/v1/leads/L-{number}").status_code for number in (1, 2, 3)] == [404, 404, 200]


@both_databases
def test_of_anothers_attributes_and_ids_that_name_the_person_only_those_go(store: Engine) -> None:
    noted = Stored(KINDS["leads"], "L-1", Lead(lead_id="L-1"), attributes={"size": 3, "note": f"ask {canary(1)}"})
    told = SharedCustomer(partner_id=canary(1), relationship="customer")
    by_partner = [
        Stored(KINDS["partners"], canary(1), Partner(partner_id=canary(1))),
        Stored(KINDS["shared_customers"], "C-1", told, "A-1"),
        Stored(KINDS["leads"], "L-2", Lead(lead_id="L-2", region="EMEA", source_partner_id=canary(1))),
    ]
    with store.begin() as connection:
        versions.add(connection, [noted, *by_partner])
    done = subject_rights.erase(store, Subject(email=canary(1)), actor="a", reason="r", clock=lambda: NOW)
    assert done.counts == subject_rights.DataCounts(0, {"leads": 2, "partners": 1, "shared_customers": 1})
    kinds = ("leads", "partners", "shared_customers")
    with reading(store) as connection:
        left = {name: list(versions.versions(connection, KINDS[name])) for name in kinds}
    first, second = left["leads"]
    assert (first["attributes.size"], "attributes.note" in first) == (3, False)
    assert (second["region"], second["source_partner_id"]) == ("EMEA", None)
    assert left["partners"] == left["shared_customers"] == []
    assert CANARY not in held(store)


@both_databases
def test_an_export_holds_every_version_and_decision_and_nobody_elses(store: Engine) -> None:
    api = Api(store)
    inhabited(api)
    api("POST", "/v1/leads", {"lead": lead("L-1", canary(1)), "touchpoints": [touch(canary(1))]}, Idempotency_Key="k")
    api("PUT", "/v1/leads/L-1", {"email": "new@elsewhere.example", "created_at": THEN, "channel": "direct"})
    api("POST", "/v1/score", {"lead": lead("S-1", canary(1))})
    exported = api.exported(email=canary(1))
    found = {table: [each["row"] for each in exported if each["table"] == table] for table in metadata.tables}
    assert [row["email"] for row in found["leads"]] == [canary(1), "new@elsewhere.example"]
    assert (
        found["leads"][0]["created_at"]
        if "created_at" in found["leads"][0]
        else found["leads"][0]["occurred_at"] == THEN
    )
    assert {row["lead_id"] for row in found["decision_payloads"]} == {"L-1", "S-1"}
    assert found["decision_payloads"][0]["content"]["qualification"]
    assert len(found["touchpoints"]) == len(found["idempotency_keys"]) == 1
    assert OTHER not in json.dumps(exported)
    # By the address of a later version it is the same lead.
    assert [row["ingest"] for row in found["leads"]] == [
        each["row"]["ingest"] for each in api.exported(email="new@elsewhere.example") if each["table"] == "leads"
    ]


def test_who_is_meant_and_why_are_checked(store: Engine) -> None:
    api = Api(store)
    for body in ({}, {"email": "x"}, {"email": canary(1), "domain": DOMAIN}, {"domain": "gmail.com"}, {"emails": []}):
        answers = [api("POST", f"/v1/privacy/{what}", {**body, "reason": "r"}) for what in ("exports", "erasures")]
        assert [answer.status_code for answer in answers] == [422, 422]
    answer = api("POST", "/v1/privacy/erasures", {"email": canary(1), "reason": f"{canary(1)} asked"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reason")
    assert not any(CANARY in refusal for refusal in api.refusals)
    with pytest.raises(InvalidSubject):
        subject_rights.erase(store, Subject(email=canary(1)), actor="a", reason=f"for {canary(1)}", clock=lambda: NOW)
    with reading(store) as connection:
        assert connection.execute(select(func.count()).select_from(erasure_log)).scalar_one() == 0


def test_who_reads_an_earlier_state_of_the_file_is_told_of(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.store.database._BUSY_MILLISECONDS", 50)
    store = connect(store_url)
    api = Api(store)
    api("POST", "/v1/leads", {"lead": lead("L-1", canary(1))})
    with reading(store) as connection:
        connection.execute(select(RECORDS["leads"])).all()
        assert api.erase(email=canary(1))["remains"]
    assert CANARY in held(store)
    assert not api.erase(email=canary(1))["remains"]
    assert CANARY not in held(store)
    store.dispose()


@both_databases
def test_what_is_over_is_deleted_and_what_is_not_stays(store: Engine) -> None:
    api = Api(store, now=NOW - 100 * DAY)
    dated = {"created_at": "2026-08-01T00:00:00Z", "channel": "demo_request"}
    for lead_id in ("L-idle", "L-won", "L-active"):
        api("POST", "/v1/leads", {"lead": {"lead_id": lead_id, **dated}}, Idempotency_Key=lead_id)
    api("PUT", "/v1/lead_events/E-1", {"lead_id": "L-won", "event": "won", "occurred_at": dated["created_at"]})
    sent = api("POST", "/v1/score", {"lead": {"lead_id": "S-1", **dated}}).json()["decision_id"]
    sealed(api)
    with store.begin() as connection:
        sessions.offer(connection, "admin", None, expires_at=api.now + 1, tokens=secrets.token_bytes)
    api.now = NOW
    api("PUT", "/v1/buying_signals/B-1", {"lead_id": "L-active", "kind": "demo_request", "occurred_at": THEN})
    kept = api("POST", "/v1/score", {"lead": {"lead_id": "S-2", **dated}}, Idempotency_Key="kept").json()["decision_id"]

    assert not any(purge(store, Retention(events=None), NOW - 101 * DAY).values())
    policy = Retention(scored=30, idle=30, events=90)
    before = held(store)
    expected = rehearse(store, policy, NOW)
    assert held(store) == before or store.dialect.name == "sqlite"
    assert purge(store, policy, NOW) == expected
    # Each lead has two events, and the won lead a third; the idle lead's events and its kept answer go with it.
    assert [*expected.values()] == [1, 1, 3 * 2 + 1 - 2, 3 - 1, 1, 0]
    assert not any(purge(store, policy, NOW).values())
    assert [api("GET", f"/v1/leads/{name}").status_code for name in ("L-idle", "L-won", "L-active")] == [404, 200, 200]
    assert [api("GET", f"/v1/decisions/{name}").status_code for name in (sent, kept)] == [410, 200]
    assert sealed(api) == 2
    with reading(store) as connection:
        assert connection.execute(select(func.count()).select_from(outbox_table)).scalar_one() == 0


@both_databases
def test_a_decision_that_a_worker_was_making_meanwhile_goes_the_night_after(store: Engine) -> None:
    api = Api(store)
    made = api("POST", "/v1/leads", {"lead": lead("L-1", canary(1))}).json()["decision"]
    with reading(store) as connection:
        row = {**connection.execute(select(decision_payloads)).mappings().one()}
    api.erase(email=canary(1))
    with store.begin() as connection:
        connection.execute(decision_payloads.insert(), row)
    assert api("GET", f"/v1/decisions/{made['decision_id']}").status_code == 200
    assert purge(store, Retention(), NOW)["rows of leads that are no more"] == 1
    assert api("GET", f"/v1/decisions/{made['decision_id']}").status_code == 410
