"""The challenger in shadow: its scores are kept beside the answers, its faults never reach them."""

import json
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, delete, select

from features.catalogue import CATALOGUE
from features.records import KINDS, Lead, LeadEvent, Stored
from features.value_types import DAY, parse_instant
from models.bundle import Bundle
from models.decision import CatalogueReference, CloseProbability, Decision, PolicyReference
from models.policy import load
from models.probability import sigmoid
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY, ModelWatcher
from serving.decisions.tables import decision_payloads
from serving.records import versions
from serving.service import Service
from serving.shadow import shadow_scores as shadow
from serving.shadow.comparison import Judgement, compare, judge
from serving.shadow.shadow import Shadow
from serving.shadow.shadow_scores import MaturedPair, ScoredPair
from serving.shadow.tables import shadow_scores
from serving.store.database import reading
from tests.serving.conftest import saying

NOW = parse_instant("2026-11-20T00:00:00Z")
POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
BODY = {"lead": {"lead_id": "L-1"}, "as_of": "2026-11-01T00:00:00Z"}


@dataclass
class Api:
    engine: Engine
    app: FastAPI
    service: Service
    key: str

    def publish(self, bundle: Bundle, alias: str, files: dict[str, bytes] | None = None) -> None:
        about: dict[str, Any] = {"name": "test", "version": alias, "actor": "tests", "reason": "tests", "at": NOW}
        with self.engine.begin() as connection:
            bundles.publish(connection, files or bundle.files, sha256=bundle.sha256, alias=alias, **about)

    def score(self, times: int = 1, lead_id: str = "L-1") -> list[dict[str, Any]]:
        """Answers while the service runs, from its start to its end."""
        return self.ask([("POST", "/v1/score")] * times, {**BODY, "lead": {"lead_id": lead_id}})

    def ask(self, requests: Sequence[tuple[str, str]], body: dict[str, Any] = BODY) -> list[dict[str, Any]]:
        content = json.dumps(body)

        async def run() -> list[dict[str, Any]]:
            transport, headers = httpx.ASGITransport(app=self.app), {"X-Api-Key": self.key}
            client = httpx.AsyncClient(transport=transport, base_url="http://eql.test")
            async with client:
                async with self.app.router.lifespan_context(self.app):
                    answers = [
                        await client.request(
                            method, path, content=content if method == "POST" else None, headers=headers
                        )
                        for method, path in requests
                    ]
                # Not before: while one thread looks for a new challenger the others go on with the old one.
                self.ready = (await client.get("/readyz")).json()
            assert {answer.status_code for answer in answers} == {200}
            return [answer.json() for answer in answers]

        return anyio.run(run)

    def kept(self) -> dict[str, Any]:
        with reading(self.engine) as connection:
            return {row.decision_id: row for row in connection.execute(select(shadow_scores))}


@pytest.fixture
def api(store: Engine) -> Api:
    ticks = count(NOW, CHECK_EVERY)
    champion = ModelWatcher(store, CATALOGUE, POLICY, lambda: next(ticks))
    challenger = ModelWatcher(store, CATALOGUE, POLICY, lambda: next(ticks), bundles.CHALLENGER)
    beside = Shadow(store, challenger, lambda: NOW)
    service = Service(engine=store, champion=champion, clock=lambda: NOW, tokens=secrets.token_bytes, shadow=beside)
    with store.begin() as connection:
        key = keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes)
    found = Api(store, create_app(service), service, key)
    found.publish(saying(-2.0), bundles.CHAMPION)
    return found


def without_ids(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in answer.items() if name != "decision_id"} for answer in answers]


@pytest.mark.both_databases
def test_the_challenger_scores_what_was_answered_and_changes_no_answer(api: Api) -> None:
    alone = api.score()
    assert api.kept() == {}
    assert api.ready["challenger"] is None
    api.publish(saying(-1.0), bundles.CHALLENGER)
    answers = api.score(3)
    assert without_ids(answers) == without_ids(alone * 3)
    kept = api.kept()
    assert kept.keys() == {answer["decision_id"] for answer in answers}
    assert {row.close_probability for row in kept.values()} == {float(sigmoid(-1.0))}
    assert {row.sha256 for row in kept.values()} == {saying(-1.0).sha256}
    assert api.ready["challenger"]["sha256"] == saying(-1.0).sha256
    assert api.ready["model"]["sha256"] == saying(-2.0).sha256


@pytest.mark.both_databases
def test_it_ends_where_there_is_none_and_where_it_serves(store: Engine, api: Api) -> None:
    api.publish(saying(-2.0), bundles.CHALLENGER)
    api.score()
    assert api.kept() == {}
    api.publish(saying(-1.0), bundles.CHALLENGER)
    with store.begin() as connection:
        bundles.clear_alias(connection, bundles.CHALLENGER, actor="tests", reason="tests", at=NOW)
        assert bundles.current(connection, bundles.CHALLENGER) is None
        assert bundles.current(connection) is not None
    api.score()
    assert api.kept() == {}
    assert api.ready["challenger"] is None


def test_a_challenger_that_cannot_be_trusted_is_told_of_and_harms_nothing(api: Api) -> None:
    api.publish(saying(-1.0), bundles.CHALLENGER, {**saying(-1.0).files, "golden.json": b"[]"})
    assert api.score()[0]["model"]["sha256"] == saying(-2.0).sha256
    assert "cannot be served" in api.ready["challenger"]["fault"]
    assert api.ready["fault"] is None
    assert api.kept() == {}


@pytest.fixture
def failing(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    def fail(error: Exception | None) -> None:
        def add(*_: Any) -> None:
            if error is not None:
                raise error

        monkeypatch.setattr(shadow, "add", add)

    return fail


def test_a_challenger_that_fails_later_is_told_of_until_it_works(api: Api, failing: Any) -> None:
    api.publish(saying(-1.0), bundles.CHALLENGER)
    failing(RuntimeError("of the lead secret@acme.example"))
    api.score()
    assert api.service.shadow is not None
    assert api.service.shadow.error == "RuntimeError"
    failing(None)
    api.score()
    assert api.service.shadow.error is None


def test_answers_do_not_wait_where_the_line_is_full(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.publish(saying(-1.0), bundles.CHALLENGER)
    monkeypatch.setattr(Shadow, "_try", lambda *_: time.sleep(0.2))
    beside = api.service.shadow
    assert beside is not None
    beside._queue.maxsize = 1
    api.score(5)
    assert beside.left_out > 0


@pytest.mark.both_databases
def test_what_was_erased_is_compared_no_more(store: Engine, api: Api) -> None:
    api.publish(saying(-1.0), bundles.CHALLENGER)
    decided = [*api.score(lead_id="L-1"), *api.score(lead_id="L-2")]
    with store.begin() as connection:
        gone = decision_payloads.c.decision_id == decided[0]["decision_id"]
        connection.execute(delete(decision_payloads).where(gone))
        compared = list(shadow.pairs(connection, saying(-1.0).sha256))
    assert compared == [ScoredPair(Decision.from_dict(decided[1]), float(sigmoid(-1.0)))]


DAYS_90 = 90 * DAY
CLOSES = {
    "L-won": [("won", NOW + DAY, NOW + 2 * DAY)],
    "L-reopened": [("lost", NOW + DAY, NOW + DAY), ("won", NOW + 30 * DAY, NOW + 30 * DAY)],
    "L-late": [("won", NOW + DAYS_90 + 1, NOW + DAYS_90 + 1)],
    "L-lost": [("lost", NOW + DAY, NOW + DAY)],
    "L-open": [],
    "L-before": [("won", NOW - DAY, NOW - DAY)],
    "L-undated": [("won", None, NOW + DAY)],
    "L-removed": [],
}


@pytest.mark.both_databases
def test_each_lead_counts_once_when_its_horizon_is_over(store: Engine, api: Api) -> None:
    leads, events = KINDS["leads"], KINDS["lead_events"]
    found = [Lead(lead_id=i, created_at=NOW - 2 * DAY, recorded_at=NOW - 2 * DAY) for i in CLOSES]
    with store.begin() as connection:
        versions.add(connection, [Stored(leads, lead.lead_id, lead) for lead in found])
    api.publish(saying(-1.0), bundles.CHALLENGER)
    api.ask([("GET", f"/v1/leads/{lead_id}/score") for lead_id in 2 * list(CLOSES)])
    said = {i: [LeadEvent(event=e, occurred_at=at, recorded_at=r) for e, at, r in told] for i, told in CLOSES.items()}
    with store.begin() as connection:
        stored = [Stored(events, f"{i}-{n}", event, i) for i, told in said.items() for n, event in enumerate(told)]
        versions.add(connection, [*stored, Stored(leads, "L-removed", found[-1], deleted=True)])
        assert list(shadow.matured(connection, saying(-1.0).sha256, 90, NOW + DAYS_90 - 1)) == []
        matured = list(shadow.matured(connection, saying(-1.0).sha256, 90, NOW + DAYS_90 + DAY))
    assert {one.decision.lead_id: one.won for one in matured} == {
        "L-won": True,
        "L-reopened": True,
        "L-late": False,
        "L-lost": False,
        "L-open": False,
    }
    assert len(matured) == 5
    assert judge(matured, 90).champion is None


def decision(value: float | None, horizon_days: int = 90) -> Decision:
    """A decision with this close probability; its other parts play no role in a comparison."""
    probability = value and CloseProbability(
        value=value, lower=value, upper=value, horizon_days=horizon_days, rung="base_rate"
    )
    return Decision(
        lead_id="L-1",
        as_of=NOW,
        qualification="UNQUALIFIED",
        pending=False,
        rules=(),
        missing=(),
        close_probability=probability or None,
        close_probability_reason=None,
        grade="A" if probability else None,
        expected_value=None,
        explanation=None,
        without_partner=None,
        next_actions=(),
        model=None,
        policy=PolicyReference("1", POLICY.sha256),
        catalogue=CatalogueReference(CATALOGUE.sha256),
    )


def outcomes(champion: float, challenger: float, won: int, lost: int, horizon: int = 90) -> list[MaturedPair]:
    made = decision(champion, horizon)
    return [MaturedPair(made, challenger, number < won, f"A-{number}") for number in range(won + lost)]


def test_who_told_outcomes_better_has_the_smaller_loss() -> None:
    found = judge([*outcomes(0.5, 0.25, 10, 30), *outcomes(0.5, 0.9, 3, 3, horizon=30)], 90)
    assert (found.leads, found.won) == (40, 10)
    assert found.champion == pytest.approx(math.log(2))
    assert found.challenger == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))
    assert found.difference == pytest.approx(found.challenger - found.champion)
    # Ten rows at ln 4 - ln 2 and thirty at ln 4/3 - ln 2, each an account of its own.
    reach = 1.96 * math.log(3) * math.sqrt(0.25 * 0.75 / 40)
    assert (found.lower, found.upper) == pytest.approx((found.difference - reach, found.difference + reach))


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (9, 50), (50, 9)])
def test_few_outcomes_judge_nobody(won: int, lost: int) -> None:
    assert judge(outcomes(0.5, 0.25, won, lost), 90) == Judgement(leads=won + lost, won=won)


def test_a_comparison_adds_up() -> None:
    decisions = [decision(value) for value in (0.3, 0.4, 0.6, None)]
    pairs = [ScoredPair(*pair) for pair in zip(decisions, (0.1, 0.3, 0.8, 0.9), strict=True)]
    found = compare(pairs, saying(-1.0))
    assert (found.decisions, found.other_grade) == (3, pytest.approx(1 / 3))
    assert found.difference == pytest.approx(-0.1 / 3)
    assert found.challenger == pytest.approx(0.4)
    assert found.largest == pytest.approx(0.2)
    assert found.correlation == pytest.approx(0.11 / math.sqrt(0.14 / 3 * 0.26))
    assert compare([], saying(-1.0)).decisions == 0
    assert compare([ScoredPair(decisions[0], 0.3)], saying(-1.0)).correlation is None
