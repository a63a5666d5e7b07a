"""`POST /v1/score` from outside: the golden bodies, exact sums, point in time, who may call, what is never repeated."""

import copy
import json
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from features.catalogue import CATALOGUE
from features.value_types import parse_instant
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import Logistic, LogisticColumn
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY
from serving.decisions.responses import DecisionAnswer
from tests.serving.conftest import asked, service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
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
BODY: dict[str, Any] = {
    "as_of": "2026-11-01T00:00:00Z",
    "lead": LEAD,
    "account": {
        "account_id": "A-1",
        "domain": "acme-widgets.example",
        "employees": 400,
        "industry": "software",
        "country": "DE",
    },
    "partners": [{"partner_id": "P-1", "name": "Integrators", "kind": "implementation", "certified": True}],
    "referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}],
    "confirmations": [
        {"side": "partner", "partner_id": "P-1", "subjects": ["fit", "intent"], "occurred_at": "2026-10-20T09:00:00Z"},
        {"side": "vendor", "subjects": ["fit", "intent"], "occurred_at": "2026-10-21T09:00:00Z"},
    ],
    "buying_signals": [{"kind": "budget_confirmed", "occurred_at": "2026-10-25T10:00:00Z"}],
}


def bundle(intercept: float = -2.0) -> Bundle:
    """A small logistic model, put together by hand."""
    features = (
        EncodedFeature("partner_referrals_90d", "number"),
        EncodedFeature("employees", "number"),
        EncodedFeature("industry", "category", ("software", "mining")),
    )
    columns = (
        LogisticColumn(feature=0, transform="number", mean=0.1, scale=0.5, coefficient=0.4),
        LogisticColumn(feature=1, transform="number", mean=5.0, scale=2.0, coefficient=0.2),
        LogisticColumn(feature=2, transform="level", mean=0.5, scale=0.5, coefficient=0.3, level=0),
    )
    made = Bundle(
        name="test",
        encoding=Encoding(features),
        model=Logistic(3, intercept, columns),
        calibration=Calibration(1.1, -0.1, ((1.0, -0.2), (1.2, 0.1))),
        horizon_days=90,
        base_rate=0.1,
        grades=(0.2, 0.1, 0.05),
        attributes=(),
        features_sha256=CATALOGUE.values_sha256(feature.name for feature in features),
        expected_amount=(100_000, "USD"),
    )
    row = {"partner_referrals_90d": 1, "employees": 400, "industry": "software"}
    parts = made.contributions(made.encoding.encode({name: [value] for name, value in row.items()}, 1))
    return Bundle(**{**fields(made), "golden": ((row, float(parts.sum())),)})


def fields(made: Bundle) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Bundle.__dataclass_fields__}


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Caller:
    """The API over ASGI, called with a key."""

    app: FastAPI
    engine: Engine
    clock: Clock
    key: str

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.key}"} if headers is None else headers
        return asked(self.app, method, path, body, sent)

    def score(self, body: dict[str, Any]) -> dict[str, Any]:
        response = self("POST", "/v1/score", body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def publish(self, made: Bundle, version: str, files: dict[str, bytes] | None = None) -> None:
        with self.engine.begin() as connection:
            bundles.publish(
                connection,
                files or dict(made.files),
                name=made.name,
                version=version,
                sha256=made.sha256,
                actor="tests",
                reason="tests",
                at=self.clock.now,
            )
        self.clock.now += CHECK_EVERY


@pytest.fixture
def bare(store: Engine) -> Caller:
    """A service without a model."""
    clock = Clock()
    service = service_on(store, clock)
    with store.begin() as connection:
        key = keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes)
    return Caller(create_app(service), store, clock, key)


@pytest.fixture
def api(bare: Caller) -> Caller:
    """A service with a promoted model."""
    bare.publish(bundle(), "1")
    return bare


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def usage(days: int) -> list[dict[str, Any]]:
    return [
        {"integration": "slack", "partner_id": "P-1", "day": f"2026-10-{31 - n:02}", "calls": 9} for n in range(days)
    ]


OVERLAP = [
    {"partner_id": f"P-{n}", "relationship": "customer", "since": "2025-03-01", "confidence": 0.95} for n in "123"
]
OWN = {"lead_id": "L-1", "email": "cto@acme-widgets.example", "created_at": "2026-10-20T09:00:00Z", "region": "EMEA"}
NOTHING = without(BODY, "partners", "referrals", "confirmations", "buying_signals")
GOLDEN = {
    "certified referral": (BODY, {"EQL"}),
    "active integration": (
        {
            **without(BODY, "referrals"),
            "lead": {**LEAD, "channel": "integration_marketplace"},
            "integration_usage": usage(26),
        },
        {"EQL"},
    ),
    "demo request": (
        {
            **NOTHING,
            "lead": {**OWN, "channel": "demo_request"},
            "buying_signals": [{"kind": "demo_request", "occurred_at": "2026-10-25T10:00:00Z"}],
        },
        {"MQL", "SQL"},
    ),
    "trade-show list": ({**NOTHING, "lead": {**OWN, "channel": "trade_show"}}, {"UNQUALIFIED"}),
    "overlap only": (
        {**without(BODY, "referrals"), "lead": {**LEAD, "channel": "co_created_content"}, "shared_customers": OVERLAP},
        {"MQL", "SQL"},
    ),
    "free mail": ({**BODY, "lead": {**LEAD, "email": "someone@gmail.com"}}, {"DISQUALIFIED"}),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_bodies(api: Caller, name: str) -> None:
    body, expected = GOLDEN[name]
    assert api.score(body)["qualification"] in expected


@pytest.mark.parametrize("name", GOLDEN)
def test_answers_have_the_published_form_and_add_up(api: Caller, name: str) -> None:
    answer = api.score(GOLDEN[name][0])
    DecisionAnswer.model_validate(answer)
    value, baseline = answer["close_probability"]["value"], answer["explanation"]["baseline"]
    parts = answer["explanation"]["contributions"]
    assert math.isclose(sum(p["log_odds"] for p in parts), log_odds(value) - log_odds(baseline), abs_tol=1e-9)
    assert math.isclose(sum(p["points"] for p in parts), 100 * (value - baseline), abs_tol=1e-9)
    families = answer["explanation"]["families"]
    assert math.isclose(sum(f["points"] for f in families), 100 * (value - baseline), abs_tol=1e-9)
    assert answer["close_probability"]["lower"] <= value <= answer["close_probability"]["upper"]
    assert answer["expected_value"] == {"minor": round(100_000 * value), "currency": "USD"}


def log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


@pytest.mark.both_databases
def test_one_body_gets_one_answer(api: Caller) -> None:
    first, second = api.score(BODY), api.score(BODY)
    assert first["decision_id"] != second["decision_id"]
    assert without(first, "decision_id", "created_at") == without(second, "decision_id", "created_at")


def test_facts_after_the_moment_change_nothing(api: Caller) -> None:
    later = copy.deepcopy(BODY)
    after = "2026-11-01T00:00:01Z"
    later["referrals"].append({"partner_id": "P-1", "occurred_at": after})
    later["buying_signals"].append(
        {"kind": "demo_request", "occurred_at": "2026-10-01T00:00:00Z", "recorded_at": after}
    )
    later["integration_usage"] = [{"integration": "slack", "day": "2026-11-01"}]
    later["touchpoints"] = [{"channel": "webinar", "occurred_at": after}]
    names = ("decision_id", "created_at")
    assert without(api.score(later), *names) == without(api.score(BODY), *names)


def test_a_usage_day_is_known_when_it_ends(api: Caller) -> None:
    body = {**BODY, "integration_usage": [{"integration": "slack", "day": "2026-10-31", "calls": 1}]}
    at_midnight = rule(api.score(body), "ecosystem_signal")["evidence"]["integration_active_days_30d"]
    before = rule(api.score({**body, "as_of": "2026-10-31T23:59:59Z"}), "ecosystem_signal")["evidence"]
    assert (at_midnight, before["integration_active_days_30d"]) == (1, 0)


def rule(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(rule for rule in answer["rules"] if rule["rule"] == name)
    return found


@pytest.mark.both_databases
def test_a_batch_answers_as_its_items_would(api: Caller) -> None:
    bodies = [body for body, _ in GOLDEN.values()]
    items = api("POST", "/v1/score/batch", {"items": bodies}).json()["items"]
    singles = [api.score(body) for body in bodies]
    names = ("decision_id", "created_at")
    assert [without(item, *names) for item in items] == [without(single, *names) for single in singles]


@pytest.mark.both_databases
def test_a_decision_is_kept_as_it_was_given(api: Caller) -> None:
    answer = api.score(BODY)
    assert api("GET", f"/v1/decisions/{answer['decision_id']}").json() == answer
    assert api("GET", "/v1/decisions/none").status_code == 404


@pytest.mark.both_databases
def test_without_a_model_rules_decide_and_say_why(bare: Caller) -> None:
    answer = bare.score(BODY)
    DecisionAnswer.model_validate(answer)
    assert answer["qualification"] == "EQL"
    assert answer["close_probability"] is None
    assert "eql promote" in answer["close_probability_reason"]
    assert bare.score(GOLDEN["overlap only"][0])["qualification"] == "MQL"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer eql_live_x"}, {"X-Api-Key": "nothing"}])
def test_nobody_unknown_gets_in(api: Caller, headers: dict[str, str]) -> None:
    assert api("POST", "/v1/score", BODY, headers).status_code == 401


@pytest.mark.both_databases
def test_both_headers_carry_a_key_and_roles_count(api: Caller) -> None:
    assert api("POST", "/v1/score", BODY, {"X-Api-Key": api.key}).status_code == 200
    with api.engine.begin() as connection:
        viewer = keys.create(connection, "viewer", None, at=NOW, tokens=secrets.token_bytes)
    assert api("POST", "/v1/score", BODY, {"X-Api-Key": viewer}).status_code == 403


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *steps, last = path.split(".")

    def apply(body: dict[str, Any]) -> None:
        here: Any = body
        for step in steps:
            here = here[int(step)] if step.isdigit() else here[step]
        here[last] = value

    return apply


CANARY = "canary-7f3a"
REFUSED = {
    "as_of": change("as_of", "2027-01-01T00:00:00Z"),
    "lead.channel": change("lead.channel", CANARY),
    "lead.email": change("lead.email", CANARY),
    "lead.created_at": change("lead.created_at", "2026-10-20T09:00:00"),
    "lead": change("lead." + CANARY, 1),
    "account.employees": change("account.employees", -1),
    "account.country": change("account.country", CANARY),
    "referrals.0.partner_id": change("referrals.0.partner_id", None),
    "partners.0.certified": change("partners.0.certified", CANARY),
    "buying_signals.0.kind": change("buying_signals.0.kind", CANARY),
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_fault_is_named_and_nothing_is_repeated(api: Caller, field: str) -> None:
    body = copy.deepcopy(BODY)
    REFUSED[field](body)
    response = api("POST", "/v1/score", body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert field in [error["field"] for error in response.json()["errors"]]
    assert CANARY not in response.text


def test_a_lead_before_its_creation_is_not_known(api: Caller) -> None:
    answer = api.score({**BODY, "as_of": "2026-10-01T00:00:00Z"})
    assert answer["qualification"] == "UNQUALIFIED"


@pytest.mark.both_databases
def test_the_champion_swaps_and_a_bad_one_is_kept_out(api: Caller) -> None:
    first = api.score(BODY)["model"]
    better = bundle(-1.0)
    api.publish(better, "2")
    second = api.score(BODY)["model"]
    assert (first["version"], second["version"]) == ("1", "2")
    assert second["sha256"] == better.sha256
    worse = bundle(-3.0)
    api.publish(worse, "3", {**worse.files, "bundle.json": better.files["bundle.json"] + b" "})
    assert api.score(BODY)["model"] == second
    ready = api("GET", "/readyz").json()
    assert ready["model"]["version"] == "2"
    assert "version 3" in ready["fault"]


def test_health_needs_no_key(bare: Caller) -> None:
    assert bare("GET", "/healthz", headers={}).status_code == 200
    assert bare("GET", "/readyz", headers={}).json()["model"] is None


def test_openapi_names_the_bodies_it_takes(bare: Caller) -> None:
    document = bare("GET", "/openapi.json", headers={}).json()
    schemas = document["components"]["schemas"]
    for path, name in (("/v1/score", "ScoreRequest"), ("/v1/score/batch", "BatchRequest")):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{name}"}
        assert name in schemas
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in schemas
