"""Decisions come out again as they were made, byte for byte, whatever came to be known, derived or promoted since."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, update

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.records import EVERYONE, KINDS, PARTNER_HISTORY, TIER_HISTORY, Row, Stored, parse
from features.value_types import DAY, parse_instant, rfc3339
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.policy import Policy, load
from models.probability import Logistic, LogisticColumn
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY, ModelWatcher
from serving.decisions import current_scores, seals, stored_decisions
from serving.decisions.responses import DecisionAnswer, ProofAnswer, SealAnswer
from serving.decisions.tables import decision_payloads
from serving.http.paging import page_answer
from serving.records import versions
from serving.replay.replay import replay_all
from serving.replay.responses import ReplayAnswer
from serving.scoring.responses import ScoreAnswer
from serving.scoring.stored_leads import rescore
from serving.service import Service
from serving.store.canonical_json import canonical
from serving.store.database import reading
from tests.serving.conftest import asked

START = parse_instant("2026-11-01T12:00:00Z")
POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
STRICTER = Policy.model_validate({**POLICY.model_dump(by_alias=True), "version": "2", "sql_probability": 0.9})
LEADS = [f"L-{number}" for number in range(6)]
BODY: dict[str, Any] = {
    "lead": {"lead_id": "L-1", "channel": "partner_referral", "source_partner_id": "P-1", "email": "ada@acme.example"},
    "account": {"account_id": "A-1", "employees": 400, "industry": "software", "country": "DE"},
    "partners": [{"partner_id": "P-1", "tier": "gold"}],
    "referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}],
    "shared_customers": [{"partner_id": "P-1", "relationship": "customer", "confidence": 0.95}],
}


def model(intercept: float) -> Bundle:
    """A small logistic model, put together by hand, that reads facts and the partner's history."""
    names = ("buying_signals", "employees", "partner_win_rate")
    columns = [
        LogisticColumn(feature=place, transform="number", mean=1.0, scale=2.0, coefficient=0.4) for place in range(3)
    ]
    made = Bundle(
        name="test",
        encoding=Encoding(tuple(EncodedFeature(name, "number") for name in names)),
        model=Logistic(3, intercept, tuple(columns)),
        calibration=Calibration(1.1, -0.1, ((1.0, -0.2), (1.2, 0.1))),
        horizon_days=90,
        base_rate=0.1,
        grades=(0.2, 0.1, 0.05),
        attributes=(),
        features_sha256=CATALOGUE.values_sha256(names),
        expected_amount=(100_000, "USD"),
    )
    row = {"buying_signals": 1, "employees": 400, "partner_win_rate": 0.25}
    parts = made.contributions(made.encoding.encode({name: [value] for name, value in row.items()}, 1))
    return replace(made, golden=((row, float(parts.sum())),))


@dataclass
class World:
    """A service over a store whose facts, history, model and policy can be moved on."""

    engine: Engine
    now: int = START
    policy: Policy = POLICY
    catalogue: Catalogue = CATALOGUE
    service: Service = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.restart()
        with self.engine.begin() as connection:
            self.key = keys.create(connection, "crm", None, at=self.now, tokens=secrets.token_bytes)

    def restart(self, policy: Policy | None = None, catalogue: Catalogue | None = None) -> None:
        self.policy, self.catalogue = policy or self.policy, catalogue or self.catalogue
        champion = ModelWatcher(self.engine, self.catalogue, self.policy, lambda: self.now)
        self.service = Service(
            engine=self.engine, champion=champion, clock=lambda: self.now, tokens=secrets.token_bytes
        )
        self.app = create_app(self.service)

    def store(self, name: str, identity: str, parent: str | None = None, /, **content: Any) -> None:
        deleted = content.pop("deleted", False)
        known = {"recorded_at": self.now} | content
        with self.engine.begin() as connection:
            stored = Stored(KINDS[name], identity, parse(KINDS[name], known), parent, deleted=deleted)
            versions.add(connection, [stored])

    def derive(self, wins: int) -> None:
        """Puts other partners' history in the place of that there is."""
        times = {"occurred_at": START - DAY, "recorded_at": START - DAY, "deleted": False}
        own: list[Row] = [{**times, "partner_id": "P-1", "leads": 40, "wins": wins, "days_to_close": 30.5}]
        strengths = {"partner_strength": 7.25, "tier_strength": 3.5}
        tiers: list[Row] = [
            {**times, "tier": tier, "leads": 90, "wins": wins + 9, **strengths} for tier in ("gold", EVERYONE)
        ]
        with self.engine.begin() as connection:
            versions.replace_derived(connection, {PARTNER_HISTORY: own, TIER_HISTORY: tiers})

    def promote(self, made: Bundle, version: str) -> None:
        known = {"name": made.name, "version": version, "sha256": made.sha256, "actor": "a", "reason": "b"}
        with self.engine.begin() as connection:
            bundles.publish(connection, dict(made.files), **known, at=self.now)
        self.now += CHECK_EVERY

    def rescore(self, lead_ids: Iterable[str] = LEADS) -> None:
        assert list(rescore(self.service.scoring, lead_ids))

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        return asked(self.app, method, path, body, {"X-Api-Key": key or self.key})

    def get(self, path: str) -> dict[str, Any]:
        response = self.ask("GET", path)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def score(self, body: dict[str, Any] = BODY) -> dict[str, Any]:
        response = self.ask("POST", "/v1/score", body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def outcomes(self) -> list[tuple[str, bool | None]]:
        """Of every decision and origin, whether it comes out equal."""
        return [
            (origin, replayed and replayed.equal)
            for origin in ("features", "facts")
            for _, replayed in replay_all(self.engine, self.service.scoring.scorers, origin)
        ]


@pytest.fixture
def world(store: Engine) -> World:
    """Leads with some facts, a model, and partners' history."""
    made = World(store)
    made.store("partners", "P-1", partner_id="P-1", tier="gold", name="Integrators")
    for number, lead_id in enumerate(LEADS):
        source = {"source_partner_id": "P-1", "channel": "partner_referral"} if number % 2 else {"channel": "email"}
        fits = {"employees": 100 + number, "industry": "software", "country": "DE"}
        made.store("accounts", f"A-{number}", account_id=f"A-{number}", **fits)
        email = f"canary-{number}@acme.example"
        made.store("leads", lead_id, lead_id=lead_id, account_id=f"A-{number}", email=email, **source)
    made.derive(4)
    made.promote(model(-2.0), "1")
    return made


def signal(world: World, identity: str, lead_id: str, **content: Any) -> None:
    known = {"kind": "demo_request", "occurred_at": rfc3339(world.now)} | content
    world.store("buying_signals", identity, lead_id, **known)


@pytest.mark.both_databases
def test_decisions_of_both_kinds_come_out_again_whatever_happened_since(world: World) -> None:
    for turn in range(3):
        world.rescore()
        for number in range(4):
            world.score({**BODY, "as_of": rfc3339(world.now - number * DAY)})
        world.score()
        world.now += 3600 * 1_000_000
        signal(world, f"S-{turn}", "L-1")
        signal(world, "S-late", "L-1", occurred_at=rfc3339(START), recorded_at=START)
        world.store("accounts", "A-1", account_id="A-1", employees=5000 + turn, recorded_at=START)
        world.store("leads", "L-2", lead_id="L-2", account_id="A-1", source_partner_id="P-1")
        world.store("partners", "P-1", partner_id="P-1", tier="silver" if turn else "gold")
        signal(world, "S-0", "L-1", deleted=True)
        world.derive(5 + turn)
        world.promote(model(-1.5 + turn), str(2 + turn))
        world.restart(POLICY if turn else STRICTER)
    found = world.outcomes()
    assert found == [(origin, True) for origin in ("features", "facts") for _ in range(3 * (len(LEADS) + 5))]


def test_a_decision_without_a_model_comes_out_again(store: Engine) -> None:
    world = World(store)
    world.score()
    world.promote(model(-2.0), "1")
    assert world.outcomes() == [("features", True), ("facts", True)]


def replayed(world: World, decision_id: str, origin: str) -> dict[str, Any]:
    response = world.ask("POST", f"/v1/decisions/{decision_id}/replay", {"from": origin})
    assert response.status_code == 200, response.text
    ReplayAnswer.model_validate(response.json())
    return dict(response.json())


def alter(world: World, decision_id: str, **columns: Any) -> None:
    with world.engine.begin() as connection:
        chosen = decision_payloads.c.decision_id == decision_id
        connection.execute(update(decision_payloads).where(chosen).values(columns))


def test_numbers_as_earlier_versions_spelt_them_are_the_same(world: World) -> None:
    just_now = [{"kind": "demo_request", "occurred_at": rfc3339(world.now - 1_000_000)}]
    decision_id = world.score({**BODY, "as_of": rfc3339(world.now), "buying_signals": just_now})["decision_id"]
    with reading(world.engine) as connection:
        kept = stored_decisions.get(connection, decision_id)
    before = json.dumps(json.loads(kept.features), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert before != kept.features
    alter(world, decision_id, features=before)
    for origin in ("features", "facts"):
        assert replayed(world, decision_id, origin)["equal"]


def test_where_a_decision_comes_out_otherwise_is_told_without_values(world: World) -> None:
    decision_id = world.score()["decision_id"]
    assert replayed(world, decision_id, "features") == {"equal": True, "from": "features", "differences": []}
    with reading(world.engine) as connection:
        kept = stored_decisions.get(connection, decision_id)
    content, features = json.loads(kept.content), json.loads(kept.features)
    first = content["rules"][0]["rule"]
    alter(world, decision_id, content=kept.content.replace(f'"rule":"{first}"', '"rule":"canary"'))
    for origin in ("features", "facts"):
        assert replayed(world, decision_id, origin)["differences"] == ["/rules/0/rule"]
    alter(world, decision_id, content=kept.content.replace('"pending"', '"pending" '))
    assert replayed(world, decision_id, "features")["differences"] == [""]
    features["features"]["partner_referrals"] += 1
    alter(world, decision_id, content=kept.content, features=json.dumps(features))
    assert "/features/features/partner_referrals" in replayed(world, decision_id, "facts")["differences"]


@pytest.mark.both_databases
def test_a_decision_that_lost_a_part_differs_there(world: World) -> None:
    decision_id = world.score(BODY)["decision_id"]
    with reading(world.engine) as connection:
        kept = stored_decisions.get(connection, decision_id)
    rest = {name: value for name, value in json.loads(kept.content).items() if name != "grade"}
    alter(world, decision_id, content=canonical(rest))
    for origin in ("features", "facts"):
        assert replayed(world, decision_id, origin)["differences"] == ["/grade"]


def test_the_history_that_was_read_is_replayed_and_no_other(world: World) -> None:
    world.rescore(["L-1"])
    [(decision_id, found)] = replay_all(world.engine, world.service.scoring.scorers, "facts")
    assert found.equal
    alter(world, decision_id, history=None)
    differences = replayed(world, decision_id, "facts")["differences"]
    assert "/features/features/partner_win_rate" in differences
    assert not [each for each in differences if "canary" in each]


def test_what_cannot_be_made_again_says_why(world: World) -> None:
    decision_id = world.score()["decision_id"]
    path = f"/v1/decisions/{decision_id}/replay"
    world.restart(catalogue=Catalogue(CATALOGUE.entries[:-1]))
    refused = world.ask("POST", path, {})
    assert (refused.status_code, "another catalogue" in refused.json()["detail"]) == (409, True)
    world.restart(catalogue=CATALOGUE)
    assert world.ask("POST", path).json() == {"equal": True, "from": "facts", "differences": []}
    faulty = world.ask("POST", path, {"from": "canary"})
    assert faulty.status_code == 422
    assert faulty.json()["errors"][0]["field"] == "from"
    assert "canary" not in faulty.text
    alter(world, decision_id, features=None)
    assert world.ask("POST", path, {}).status_code == 409
    assert world.outcomes() == [("features", None), ("facts", None)]
    alter(world, decision_id, features="[]", content='{"model":0}')
    assert world.ask("POST", path, {}).status_code == 409


@pytest.mark.both_databases
def test_an_erased_decision_is_gone_and_still_proven(world: World) -> None:
    decision_id = world.score()["decision_id"]
    path = f"/v1/decisions/{decision_id}"
    assert world.ask("GET", f"{path}/proof").status_code == 409
    assert world.ask("GET", "/v1/seals/head").status_code == 404
    with world.engine.begin() as connection:
        made = seals.seal(connection, world.now)
        stored_decisions.erase(connection, ["L-1"])
    assert world.ask("GET", path).status_code == 410
    assert world.ask("POST", f"{path}/replay", {}).status_code == 410
    proof, head = world.get(f"{path}/proof"), world.get("/v1/seals/head")
    ProofAnswer.model_validate(proof)
    SealAnswer.model_validate(head)
    assert proof["seal"] == head
    assert head["head"] == made.head
    for unknown in ("/v1/decisions/none", "/v1/decisions/none/proof"):
        assert world.ask("GET", unknown).status_code == 404
    assert world.ask("POST", "/v1/decisions/none/replay", {}).status_code == 404
    assert world.ask("GET", "/v1/decisions/a%00b").status_code == 422


def test_a_score_is_made_anew_when_something_is_new(world: World) -> None:
    first = world.get("/v1/leads/L-1/score")
    DecisionAnswer.model_validate(first)
    world.now += 60 * 1_000_000
    assert world.get("/v1/leads/L-1/score") == first
    signal(world, "S-1", "L-2")
    assert world.get("/v1/leads/L-1/score") == first
    signal(world, "S-2", "L-1")
    second = world.get("/v1/leads/L-1/score")
    assert second["close_probability"]["value"] > first["close_probability"]["value"]
    world.promote(model(-1.0), "2")
    third = world.get("/v1/leads/L-1/score")
    assert third["model"]["version"] == "2"
    world.restart(STRICTER)
    assert world.get("/v1/leads/L-1/score")["policy"]["version"] == "2"
    latest = world.get("/v1/leads/L-1/score")
    with reading(world.engine) as connection:
        assert current_scores.get(connection, "L-1").decision_id == latest["decision_id"]
    world.now += DAY
    assert world.get("/v1/leads/L-1/score")["decision_id"] != latest["decision_id"]


@pytest.mark.both_databases
def test_a_score_of_the_past_knows_what_was_recorded_by_then(world: World) -> None:
    now = world.get("/v1/leads/L-1/score")
    world.now += DAY
    signal(world, "S-1", "L-1")
    later = world.get("/v1/leads/L-1/score")
    past = world.get(f"/v1/leads/L-1/score?as_of={now['as_of']}")
    names = ("decision_id", "created_at")
    assert {k: v for k, v in past.items() if k not in names} == {k: v for k, v in now.items() if k not in names}
    assert world.get("/v1/leads/L-1/score") == later
    assert world.outcomes() == [(origin, True) for origin in ("features", "facts") for _ in range(3)]


REFUSED = {
    "/v1/leads/L-1/score?as_of=2200-01-01T00:00:00Z": 422,
    "/v1/leads/L-1/score?as_of=canary": 422,
    "/v1/leads/L-1/score?canary=2026-10-21T00:00:00Z": 422,
    "/v1/leads/L-1/score?as_of=2026-10-01T00:00:00Z": 404,
    "/v1/leads/L-9/score": 404,
    "/v1/leads/L-9/scores": 404,
    "/v1/leads/a%00b/scores": 422,
    "/v1/leads/L-1/scores?limit=0": 422,
    "/v1/leads/L-1/scores?limit=201": 422,
    "/v1/leads/L-1/scores?cursor=canary": 422,
    "/v1/leads/L-1/scores?cursor=WzEsIDFlMzAsICJEIl0": 422,
}


@pytest.mark.both_databases
def test_what_is_asked_amiss_is_refused(world: World) -> None:
    answers = {path: world.ask("GET", path) for path in REFUSED}
    assert {path: answer.status_code for path, answer in answers.items()} == REFUSED
    assert not [path for path, answer in answers.items() if "canary" in answer.text]


@pytest.mark.both_databases
def test_a_history_pages_newest_first_and_its_changes_add_up(world: World) -> None:
    assert world.get("/v1/leads/L-1/scores") == {"items": [], "next": None}
    world.rescore(["L-1"])
    for turn in range(4):
        world.now += DAY
        signal(world, f"S-{turn}", "L-1")
        if turn == 1:
            world.promote(model(-0.5), "2")
        if turn == 2:
            world.restart(STRICTER)
        world.rescore(["L-1"])
    items, path = [], "/v1/leads/L-1/scores?limit=2"
    while path:
        page = world.get(path)
        page_answer(ScoreAnswer).model_validate(page)
        items, path = [*items, *page["items"]], page["next"]
    assert items == world.get("/v1/leads/L-1/scores")["items"]
    assert [item["as_of"] for item in items] == sorted((item["as_of"] for item in items), reverse=True)
    *changed, first = items
    assert (first["change"], first["change_reason"]) == (None, "there is no decision before")
    for after, before in pairwise(items):
        change = after["change"]
        assert change["points"] == pytest.approx(
            100 * (after["close_probability"] - before["close_probability"]), abs=1e-9
        )
        causes = [change[cause]["points"] for cause in ("facts", "model", "policy")]
        assert sum(causes) == pytest.approx(change["points"], abs=1e-9)
        assert sum(f["points"] for f in change["features"]) == pytest.approx(causes[0], abs=1e-9)
        assert (change["facts"]["before"], change["policy"]["after"]) == (
            before["qualification"],
            after["qualification"],
        )
        assert change["features"][0]["sentence"]
    assert [bool(item["change"]["model"]["points"]) for item in changed] == [False, False, True, False]
    verdicts = [(item["change"]["policy"]["before"], item["change"]["policy"]["after"]) for item in changed]
    assert [before != after for before, after in verdicts] == [False, True, False, False]


def test_a_change_that_cannot_be_taken_apart_says_why(world: World) -> None:
    world.rescore(["L-1"])
    world.now += DAY
    world.rescore(["L-1"])
    [last, first] = world.get("/v1/leads/L-1/scores")["items"]
    alter(world, first["decision_id"], features=None)
    [again, _] = world.get("/v1/leads/L-1/scores")["items"]
    ScoreAnswer.model_validate(again)
    assert last["change"]
    assert (again["change"], "not kept" in again["change_reason"]) == (None, True)


def test_partners_do_not_read_scores(world: World) -> None:
    with world.engine.begin() as connection:
        partner = keys.create(connection, "partner", "P-1", at=START, tokens=secrets.token_bytes)
    for path in ("/v1/leads/L-1/score", "/v1/leads/L-1/scores", "/v1/seals/head"):
        assert world.ask("GET", path, key=partner).status_code == 403
