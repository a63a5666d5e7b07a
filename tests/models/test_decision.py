"""The decision: sums that hold, the score without partners, one lead as many, and answers without a model."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.engines.python import Evaluation, evaluate
from features.records import OWN_CHANNELS, PARTNER_CHANNELS
from features.value_types import DAY, rfc3339
from models import policy
from models.bundle import Bundle
from models.decision import CatalogueReference, ExpectedValue, ModelReference, PolicyReference
from models.probability import RUNGS, BaseRate, Rung, logit
from models.scorer import NO_MODEL, Scorer, ServedModel
from serving.scoring.requests import ScoreRequest

NOW = 20_000 * DAY
POLICY = policy.load(Path(policy.__file__).with_name("default_policy.yaml"), CATALOGUE)
Body = dict[str, Any]
some = settings(max_examples=30)

instants = st.one_of(
    st.integers(NOW - 200 * DAY, NOW + 3 * DAY), st.sampled_from([NOW, NOW - 30 * DAY, NOW - 90 * DAY])
)
partners = st.sampled_from(["P-1", "P-2", "P-3"])
channels = st.sampled_from((*PARTNER_CHANNELS, *OWN_CHANNELS))


def record(needed: Mapping[str, Any], known: Mapping[str, Any]) -> st.SearchStrategy[Body]:
    """A record; what may be unknown may be absent."""
    return st.fixed_dictionaries(dict(needed), optional=dict(known))


def several(needed: Mapping[str, Any], **known: Any) -> st.SearchStrategy[list[Body]]:
    return st.lists(record(needed, known), max_size=3)


leads = record(
    {"lead_id": st.just("L-1")},
    {
        "email": st.sampled_from(["cto@acme.example", "cto@gmail.com"]),
        "created_at": instants,
        "channel": channels,
        "source_partner_id": partners,
        "programme_tier": st.just("gold"),
        "referral_date": instants,
        "region": st.sampled_from(["EMEA", "AMER", "ANTARCTICA"]),
        "product_line": st.sampled_from(["core", "plus"]),
    },
)
accounts = record(
    {"account_id": st.just("A-1")},
    {
        "employees": st.integers(0, 9000),
        "annual_revenue": st.just({"minor": 500_000_00, "currency": "USD"}),
        "industry": st.sampled_from(["software", "mining"]),
        "country": st.sampled_from(["DE", "US", "AQ"]),
    },
)
bodies = st.fixed_dictionaries(
    {
        "as_of": st.just(NOW),
        "lead": leads,
        "account": accounts,
        "partners": st.lists(
            record({"partner_id": partners}, {"certified": st.booleans(), "recorded_at": instants}), max_size=3
        ),
        "referrals": several({"partner_id": partners, "occurred_at": instants}),
        "confirmations": several(
            {
                "side": st.sampled_from(["partner", "vendor"]),
                "subjects": st.sampled_from([["fit"], ["intent"], ["fit", "intent"]]),
                "occurred_at": instants,
            },
            partner_id=partners,
        ),
        "integration_usage": several(
            {"integration": st.sampled_from(["slack", "jira"]), "day": instants},
            partner_id=partners,
            calls=st.integers(0, 999),
            active_users=st.integers(0, 99),
        ),
        "shared_customers": several(
            {"partner_id": partners, "relationship": st.sampled_from(["customer", "opportunity", "prospect"])},
            since=instants,
            confidence=st.floats(0, 1),
        ),
        "touchpoints": several({"occurred_at": instants, "channel": channels}, partner_id=partners),
        "buying_signals": several(
            {"kind": st.sampled_from(["demo_request", "budget_confirmed"]), "occurred_at": instants}
        ),
    }
)
histories = st.lists(
    st.fixed_dictionaries(
        {
            "partner_id": partners,
            "occurred_at": instants,
            "leads": st.integers(0, 50),
            "wins": st.integers(0, 50),
            "days_to_close": st.none() | st.floats(1, 90),
        }
    ).map(lambda row: row | {"recorded_at": row["occurred_at"], "deleted": False}),
    max_size=4,
)


EVERYONE = {"tier": "*", "leads": 100, "wins": 20, "partner_strength": 20.0, "tier_strength": 20.0, "recorded_at": 0}


def evaluation(body: Body, history: list[Body]) -> Evaluation:
    facts = ScoreRequest.model_validate(body).facts()
    return evaluate(CATALOGUE, {**facts, "partner_history": history, "tier_history": [EVERYONE]}, NOW)


def without_partners(body: Body) -> Body:
    """The body with every partner fact, source field and partner channel removed."""
    gone = {"source_partner_id", "programme_tier", "referral_date"}
    if evaluation(body, []).features["partner_channel"] is not None:
        gone.add("channel")
    return {
        **body,
        "lead": {name: value for name, value in body["lead"].items() if name not in gone},
        "confirmations": [each for each in body["confirmations"] if each["side"] == "vendor"],
        "touchpoints": [each for each in body["touchpoints"] if "partner_id" not in each],
        **{kind: [] for kind in ("partners", "referrals", "integration_usage", "shared_customers")},
    }


def scorer(bundle: Bundle | None) -> Scorer:
    return Scorer(CATALOGUE, POLICY, None if bundle is None else ServedModel(bundle, "3"))


@pytest.mark.parametrize("rung", RUNGS)
@some
@given(body=bodies, history=histories)
def test_log_odds_and_points_of_a_decision_add_up(
    bundles: Mapping[Rung, Bundle], rung: Rung, body: Body, history: list[Body]
) -> None:
    decision = scorer(bundles[rung]).decide("L-1", NOW, evaluation(body, history))
    probability, explanation = decision.close_probability, decision.explanation
    value, baseline = probability.value, explanation.baseline
    assert probability.lower <= value <= probability.upper
    log_odds = sum(each.log_odds for each in explanation.contributions)
    assert log_odds == pytest.approx(float(logit(value) - logit(baseline)), abs=1e-9)
    points = sum(each.points for each in explanation.contributions)
    assert points == pytest.approx(100 * (value - baseline), abs=1e-9)
    assert sum(explanation.families.values()) == pytest.approx(points, abs=1e-9)


@given(bodies, histories)
def test_neutral_values_are_what_removing_every_partner_leaves(body: Body, history: list[Body]) -> None:
    kept, removed = evaluation(body, history).features, evaluation(without_partners(body), []).features
    for entry in CATALOGUE:
        assert removed[entry.name] == (entry.neutral if entry.partner else kept[entry.name]), entry.name


@pytest.mark.parametrize("rung", RUNGS)
@some
@given(body=bodies, history=histories)
def test_without_partner_is_the_score_of_the_lead_without_any_partner(
    bundles: Mapping[Rung, Bundle], rung: Rung, body: Body, history: list[Body]
) -> None:
    served = scorer(bundles[rung])
    decision = served.decide("L-1", NOW, evaluation(body, history))
    alone = served.decide("L-1", NOW, evaluation(without_partners(body), []))
    found = decision.without_partner
    assert found.close_probability == alone.close_probability.value
    assert found.difference == decision.close_probability.value - found.close_probability
    assert alone.without_partner.difference == 0


@pytest.mark.parametrize("rung", RUNGS)
@some
@given(found=st.lists(st.tuples(bodies, histories), max_size=4))
def test_many_leads_are_decided_as_each_alone(
    bundles: Mapping[Rung, Bundle], rung: Rung, found: list[tuple[Body, list[Body]]]
) -> None:
    served = scorer(bundles[rung])
    asked = [(f"L-{i}", NOW, evaluation(body, history)) for i, (body, history) in enumerate(found)]
    together = served.decide_all(asked)
    assert [json.dumps(each.to_dict()) for each in together] == [
        json.dumps(served.decide(*each).to_dict()) for each in asked
    ]


@given(bodies)
def test_facts_recorded_later_change_no_byte(bundles: Mapping[Rung, Bundle], body: Body) -> None:
    earlier = {
        name: [each for each in found if each.get("recorded_at", each.get("occurred_at", 0)) <= NOW]
        if name in ("referrals", "confirmations", "touchpoints", "buying_signals", "partners")
        else found
        for name, found in body.items()
    }
    served = scorer(bundles["lightgbm"])
    decisions = [json.dumps(served.decide("L-1", NOW, evaluation(each, [])).to_dict()) for each in (body, earlier)]
    assert decisions[0] == decisions[1]


BODY: Body = {
    "lead": {"lead_id": "L-1", "channel": "partner_referral", "source_partner_id": "P-1", "created_at": NOW - DAY},
    "partners": [{"partner_id": "P-1", "name": "Integrators"}],
    "referrals": [{"partner_id": "P-1", "occurred_at": NOW - DAY}],
    "confirmations": [],
    "touchpoints": [],
    "buying_signals": [{"kind": "demo_request", "occurred_at": NOW - DAY}],
}


def test_a_decision_says_what_decided_it(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["logistic"]
    decision = scorer(bundle).decide("L-1", NOW, evaluation(BODY, []))
    assert decision.lead_id == "L-1"
    assert decision.as_of == NOW
    assert decision.to_dict()["as_of"] == rfc3339(NOW)
    assert decision.model == ModelReference(name="test", version="3", sha256=bundle.sha256)
    assert decision.policy == PolicyReference(version=POLICY.version, sha256=POLICY.sha256)
    assert decision.catalogue == CatalogueReference(sha256=CATALOGUE.sha256)
    assert decision.close_probability.horizon_days == 90
    assert decision.close_probability.rung == "logistic"
    assert decision.grade == bundle.grade(decision.close_probability.value)
    assert {each.feature for each in decision.explanation.contributions} == set(bundle.encoding.names)
    assert decision.to_dict() == json.loads(json.dumps(decision.to_dict(), allow_nan=False))


def test_the_expected_value_is_the_usual_amount_times_the_probability(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["lightgbm"]
    decision = scorer(bundle).decide("L-1", NOW, evaluation(BODY, []))
    minor = round(3_600_000 * decision.close_probability.value)
    assert decision.expected_value == ExpectedValue(minor=minor, currency="USD")
    unknown = scorer(replace(bundle, expected_amount=None)).decide("L-1", NOW, evaluation(BODY, []))
    assert unknown.expected_value is None


def test_at_the_base_rate_every_lead_is_alike(bundles: Mapping[Rung, Bundle]) -> None:
    other = {**BODY, "lead": {"lead_id": "L-2", "channel": "trade_show"}, "referrals": [], "buying_signals": []}
    served = scorer(bundles["base_rate"])
    decisions = [served.decide("L", NOW, evaluation(body, [])) for body in (BODY, other)]
    assert decisions[0].close_probability == decisions[1].close_probability
    for decision in decisions:
        assert decision.grade is None
        assert decision.close_probability.lower < decision.close_probability.upper
        assert decision.without_partner.difference == 0
        assert {each.log_odds for each in decision.explanation.contributions} == {0}


def test_contributions_that_are_not_finite_are_no_decision(bundles: Mapping[Rung, Bundle]) -> None:
    broken = replace(bundles["base_rate"], model=BaseRate(len(bundles["base_rate"].encoding.names), math.inf))
    with pytest.raises(ValueError, match="not finite"):
        scorer(broken).decide("L-1", NOW, evaluation(BODY, []))


def test_without_a_model_the_rules_decide_and_the_reason_is_given() -> None:
    decision = scorer(None).decide("L-1", NOW, evaluation(BODY, []))
    assert decision.close_probability_reason == NO_MODEL
    for name in ("close_probability", "grade", "expected_value", "explanation", "without_partner", "model"):
        assert getattr(decision, name) is None
    assert decision.qualification == "MQL"
    assert decision.pending
    assert scorer(None).decide_all([]) == []


def test_a_model_without_features_serves_its_base_rate(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["base_rate"]
    empty = replace(bundle, encoding=replace(bundle.encoding, features=()), model=replace(bundle.model, features=0))
    decision = scorer(empty).decide("L-1", NOW, evaluation(BODY, []))
    with_features = scorer(bundle).decide("L-1", NOW, evaluation(BODY, []))
    assert decision.close_probability == with_features.close_probability
    assert decision.explanation.contributions == ()


def test_the_actions_of_a_pending_lead_are_what_is_missing_asked_of_the_partner_by_name() -> None:
    decision = scorer(None).decide("L-1", NOW, evaluation(BODY, []))
    assert decision.pending
    assert len(decision.next_actions) == len(decision.missing)
    assert "Ask Integrators to confirm fit and intent" in decision.next_actions
    assert not {*POLICY.actions.values()} & {*decision.next_actions}


def test_a_lead_that_waited_too_long_is_no_longer_pending_and_sales_sees_it() -> None:
    created = {**BODY, "lead": {**BODY["lead"], "created_at": NOW - (POLICY.pending_days or 0) * DAY}}
    waiting = scorer(None).decide("L-1", NOW, evaluation(created, []))
    expired = scorer(None).decide(
        "L-1", NOW + DAY, evaluate(CATALOGUE, ScoreRequest.model_validate(created).facts(), NOW + DAY)
    )
    assert (waiting.pending, expired.pending) == (True, False)
    assert expired.next_actions == (POLICY.actions[expired.qualification],)


def test_the_disqualified_are_not_worked_and_the_reason_is_named() -> None:
    body = {**BODY, "lead": {**BODY["lead"], "email": "cto@gmail.com"}}
    decision = scorer(None).decide("L-1", NOW, evaluation(body, []))
    assert decision.qualification == "DISQUALIFIED"
    assert decision.missing == ()
    assert decision.next_actions == ("Do not work it: email domain gmail.com",)
