"""Why a score changed: facts, model and policy, split so that they add up."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.engines.python import Evaluation, evaluate
from features.value_types import Scalar
from models import policy
from models.bundle import Bundle
from models.change import PathProbabilities, qualification_change, score_change
from models.probability import Logistic, Rung, logit
from models.verdict import apply_policy
from serving.scoring.requests import ScoreRequest

LEADS = 500
FILE = Path(policy.__file__).with_name("default_policy.yaml")
DEFAULT = policy.load(FILE, CATALOGUE)
some = settings(max_examples=60)
leads = st.integers(0, LEADS - 1)


def lead(columns: Mapping[str, list[Scalar]], number: int, **features: Scalar) -> Evaluation:
    """A lead with the features of a row, some of them as given."""
    return Evaluation({}, {}, {}, {name: values[number] for name, values in columns.items()} | features)


def pairs(bundles: Mapping[Rung, Bundle]) -> st.SearchStrategy[tuple[Bundle, Bundle]]:
    """Two of the rungs, or one twice."""
    one = st.sampled_from(sorted(bundles)).map(bundles.__getitem__)
    return st.tuples(one, one)


def served(bundle: Bundle, lead: Evaluation) -> float:
    """The log-odds that serving gives."""
    matrix = bundle.encoding.encode({name: [lead.features[name]] for name in bundle.encoding.names}, 1)
    return float(bundle.contributions(matrix).sum())


@some
@given(leads, leads, st.data())
def test_facts_and_model_add_up_to_the_change(
    bundles: Mapping[Rung, Bundle], columns: Mapping[str, list[Scalar]], one: int, other: int, data: st.DataObject
) -> None:
    before, after = lead(columns, one), lead(columns, other)
    old, new = data.draw(pairs(bundles))
    found = score_change(CATALOGUE, old, before, new, after)
    whole = served(new, after) - served(old, before)
    assert found.facts.log_odds + found.model.log_odds == pytest.approx(whole, abs=1e-9)
    assert found.facts.points + found.model.points == pytest.approx(found.points, abs=1e-9)
    assert float(logit(found.after) - logit(found.before)) == pytest.approx(whole, abs=1e-9)
    assert sum(f.log_odds for f in found.features) == pytest.approx(found.facts.log_odds, abs=1e-9)
    assert sum(f.points for f in found.features) == pytest.approx(found.facts.points, abs=1e-9)
    strengths = [abs(f.log_odds) for f in found.features]
    assert strengths == sorted(strengths, reverse=True)


@some
@given(leads, st.data())
def test_unchanged_facts_move_nothing_and_an_unchanged_model_neither(
    bundles: Mapping[Rung, Bundle], columns: Mapping[str, list[Scalar]], number: int, data: st.DataObject
) -> None:
    same_lead = lead(columns, number)
    old, new = data.draw(pairs(bundles))
    found = score_change(CATALOGUE, old, same_lead, new, same_lead)
    assert found.facts.log_odds == found.facts.points == 0
    assert found.features == ()
    same = score_change(CATALOGUE, old, same_lead, old, same_lead)
    assert (same.model.log_odds, same.points) == (0, 0)


def test_a_feature_speaks_of_its_value_now_and_before(
    bundles: Mapping[Rung, Bundle], columns: Mapping[str, list[Scalar]]
) -> None:
    model = bundles["logistic"].model
    assert isinstance(model, Logistic)
    strongest = max((c for c in model.columns if c.transform == "number"), key=lambda c: c.coefficient)
    name = bundles["logistic"].encoding.names[strongest.feature]
    before, after = lead(columns, 0, **{name: 0}), lead(columns, 0, **{name: 6})
    found = score_change(CATALOGUE, bundles["logistic"], before, bundles["logistic"], after)
    (changed,) = found.features
    assert (changed.feature, changed.before, changed.after) == (name, 0, 6)
    read = CATALOGUE[name].read
    assert changed.sentence == f"{read(6)} (before: {read(0)})"
    assert changed.log_odds > 0
    assert "by new facts" in found.sentence
    assert "new model" not in found.sentence


def test_a_feature_that_only_weighs_differently_says_so(
    bundles: Mapping[Rung, Bundle], columns: Mapping[str, list[Scalar]]
) -> None:
    found = score_change(CATALOGUE, bundles["lightgbm"], lead(columns, 0), bundles["lightgbm"], lead(columns, 1))
    for changed in found.features:
        same = changed.before == changed.after
        assert changed.sentence.endswith("weighs differently beside what changed") is same


def test_features_that_a_model_lacks_are_named(
    bundles: Mapping[Rung, Bundle], columns: Mapping[str, list[Scalar]]
) -> None:
    whole = lead(columns, 0)
    after = replace(whole, features={n: value for n, value in whole.features.items() if n != "employees"})
    with pytest.raises(ValueError, match=r"reads employees, which the features given lack"):
        score_change(CATALOGUE, bundles["logistic"], lead(columns, 0), bundles["logistic"], after)


def evaluation(**account: Any) -> Evaluation:
    """A referred, confirmed lead with a buying signal; its account as given."""
    moment = "2026-10-21T09:00:00Z"
    body: dict[str, Any] = {
        "as_of": "2026-11-01T00:00:00Z",
        "lead": {"lead_id": "L-1", "email": "cto@acme.example", "created_at": moment, "channel": "partner_referral"}
        | {"source_partner_id": "P-1", "programme_tier": "gold", "referral_date": "2026-10-20", "region": "EMEA"},
        "account": {"account_id": "A-1", "domain": "acme.example", "industry": "software", "country": "DE", **account},
        "partners": [{"partner_id": "P-1", "name": "Integrators", "tier": "gold", "certified": True}],
        "referrals": [{"partner_id": "P-1", "occurred_at": moment}],
        "confirmations": [
            {"side": "partner", "partner_id": "P-1", "subjects": ["fit", "intent"], "occurred_at": moment},
            {"side": "vendor", "subjects": ["fit", "intent"], "occurred_at": moment},
        ],
        "buying_signals": [{"kind": "budget_confirmed", "occurred_at": moment}],
    }
    request = ScoreRequest.model_validate(body)
    assert request.as_of is not None
    return evaluate(CATALOGUE, request.facts(), request.as_of)


FITS, SMALL = evaluation(employees=400), evaluation(employees=9)
STRICT = DEFAULT.model_copy(update={"minimum_probability": 0.4})


def test_a_qualification_that_facts_change_is_put_down_to_facts() -> None:
    found = qualification_change(DEFAULT, SMALL, DEFAULT, FITS, PathProbabilities(0.2, 0.3, 0.3))
    assert (found.facts.before, found.facts.after) == (apply_policy(DEFAULT, SMALL, 0.2).qualification, "EQL")
    assert found.facts.changed
    assert not found.model.changed
    assert not found.policy.changed
    assert {change.rule for change in found.facts.rules}
    assert "became EQL by new facts" in found.sentence


def test_a_qualification_that_a_policy_changes_is_put_down_to_it() -> None:
    found = qualification_change(DEFAULT, FITS, STRICT, FITS, PathProbabilities(0.3, 0.3, 0.3))
    assert not found.facts.changed
    assert not found.model.changed
    assert (found.policy.before, found.policy.changed) == ("EQL", True)
    (rule,) = found.policy.rules
    assert (rule.rule, rule.before) == ("minimum_probability", None)
    assert rule.after is not None
    assert rule.after.outcome == "fail"


def test_a_qualification_that_a_model_changes_is_put_down_to_it() -> None:
    found = qualification_change(STRICT, FITS, STRICT, FITS, PathProbabilities(0.3, 0.3, 0.5))
    assert (found.model.after, found.facts.changed, found.policy.changed) == ("EQL", False, False)
    assert "became EQL by a new model" in found.sentence


@given(
    st.sampled_from([FITS, SMALL]),
    st.sampled_from([FITS, SMALL]),
    st.sampled_from([DEFAULT, STRICT]),
    st.sampled_from([DEFAULT, STRICT]),
    st.builds(PathProbabilities, *[st.none() | st.floats(0.01, 0.99)] * 3),
)
def test_the_steps_lead_from_one_verdict_to_the_other(
    before: Evaluation,
    after: Evaluation,
    old: policy.Policy,
    new: policy.Policy,
    probabilities: PathProbabilities,
) -> None:
    found = qualification_change(old, before, new, after, probabilities)
    assert found.facts.before == apply_policy(old, before, probabilities.before).qualification
    assert found.facts.after == found.model.before
    assert found.model.after == found.policy.before
    assert found.policy.after == apply_policy(new, after, probabilities.after).qualification
    assert not (old == new and found.policy.changed)
    assert not (probabilities.old_model == probabilities.after and found.model.changed)
