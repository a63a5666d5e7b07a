"""The explanation: log-odds and points that add up, sentences of the catalogue, strongest first."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.engines.python import Evaluation
from features.folding import fold
from features.value_types import Scalar
from models.encoding import EncodedFeature, Encoding
from models.explanation import Explanation, chord, explain
from models.probability import logit, sigmoid

NAMES = ("partner_referrals", "buying_signals", "employees", "industry")
VALUES: Mapping[str, Scalar] = {
    "partner_referrals": 2,
    "buying_signals": 0,
    "employees": 1234,
    "industry": "e_commerce",
}
parts = st.lists(st.floats(-4, 4), min_size=len(NAMES), max_size=len(NAMES))


ENCODING = Encoding(
    (
        *(EncodedFeature(name, "number") for name in NAMES[:3]),
        EncodedFeature("industry", "category", ("e_commerce", "software")),
    )
)


def explained(log_odds: list[float], base: float, industry: str = "e_commerce", fold_version: int = 1) -> Explanation:
    """The explanation of a lead of an industry, which is named as it was sent."""
    values = {**VALUES, "industry": fold(industry) if fold_version else industry}
    evaluation = Evaluation({}, {"industry": industry}, {}, values, fold_version)
    catalogue = replace(CATALOGUE, fold=fold_version)
    return explain(catalogue, ENCODING, np.array([*log_odds, base]), evaluation)


@given(parts, st.floats(-4, 4))
def test_log_odds_and_points_add_up(log_odds: list[float], base: float) -> None:
    found = explained(log_odds, base)
    total = base + sum(log_odds)
    value = float(sigmoid(total))
    assert found.baseline == sigmoid(base)
    assert sum(c.log_odds for c in found.contributions) == pytest.approx(
        float(logit(value) - logit(found.baseline)), abs=1e-7 if abs(total) > 10 else 1e-9
    )
    points = sum(c.points for c in found.contributions)
    assert points == pytest.approx(100 * (value - found.baseline), abs=1e-9)
    assert sum(found.families.values()) == pytest.approx(points, abs=1e-9)


@given(parts, st.floats(-4, 4))
def test_points_go_the_way_of_log_odds_and_the_strongest_comes_first(log_odds: list[float], base: float) -> None:
    contributions = explained(log_odds, base).contributions
    assert {c.feature for c in contributions} == set(NAMES)
    strengths = [abs(c.log_odds) for c in contributions]
    assert strengths == sorted(strengths, reverse=True)
    assert all(c.points * c.log_odds >= 0 for c in contributions)


@given(st.floats(-30, 30), st.floats(-1e-6, 1e-6))
def test_the_chord_of_two_points_that_meet_is_the_tangent(base: float, gap: float) -> None:
    p = float(sigmoid(base))
    assert chord(base, base + gap) == pytest.approx(p * (1 - p), rel=1e-5, abs=1e-6)


def test_a_cancelled_contribution_still_counts_in_points() -> None:
    found = explained([1.0, -1.0, 0.0, 0.0], -2.0)
    first, second = found.contributions[:2]
    assert first.points == -second.points != 0
    assert found.families.keys() == {"partner_referral", "buying_signals"}


def test_contributions_carry_the_value_and_its_sentence() -> None:
    found = {c.feature: c for c in explained([1.0, -1.0, 0.5, 0.1], -2.0).contributions}
    assert found["partner_referrals"].sentence == "Referred by a partner (2)"
    assert found["buying_signals"].sentence == "No buying signal recorded"
    assert found["employees"].sentence == "1,234 employees"
    assert found["industry"].sentence == "Industry: e commerce"
    assert found["industry"].value == "e_commerce"
    assert found["employees"].family == "icp"


@pytest.mark.parametrize(
    ("sent", "version", "value", "sentence"),
    [
        ("Software", 1, "software", "Industry: Software"),
        (" SOFTWARE", 1, "software", "Industry: SOFTWARE"),
        (
            "Underwater basketry",
            1,
            "underwater basketry",
            "Industry Underwater basketry: not seen in training, or too rarely",
        ),
        ("Underwater basketry", 0, "Underwater basketry", "Industry: Underwater basketry"),
    ],
)
def test_a_text_is_shown_as_sent_and_an_unknown_level_is_said(
    sent: str, version: int, value: str, sentence: str
) -> None:
    """A decision on text as sent keeps its words, so that a replay gives them again."""
    found = {c.feature: c for c in explained([1.0, -1.0, 0.5, 0.1], -2.0, sent, version).contributions}
    assert (found["industry"].value, found["industry"].sentence) == (value, sentence)
