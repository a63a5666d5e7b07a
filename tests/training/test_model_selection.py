"""Choosing the rung: the simplest that predicts out of time, and the base rate where nothing does."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from models.encoding import EncodedFeature, Encoding
from models.probability import Blend, logit, sigmoid
from training.data.rows import MIN_WINS, Rows
from training.data.splits import Fold, Split
from training.fitting.blend import Member, stacked_weights
from training.fitting.calibration import trust
from training.fitting.ladder import fit_base_rate, fit_logistic
from training.fitting.model_selection import Choice, choose, select_rung
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.tuning import NOT_TUNED

ENCODING = Encoding((EncodedFeature("a", "number"), EncodedFeature("b", "number"), EncodedFeature("c", "number")))
FREE = (0, 0, 0)


def rows_of(count: int, log_odds: Any, seed: int = 0, names: Encoding = ENCODING) -> Rows:
    """Rows at creation in the order of time, their outcomes drawn with log-odds of the features."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, len(names.features)))
    won = (rng.random(count) < sigmoid(log_odds(matrix))).astype(float)
    return Rows(
        matrix=matrix,
        won=won,
        weight=np.ones(count),
        at_creation=np.ones(count, dtype=bool),
        position=np.arange(count, dtype=float),
    )


def rolling(count: int) -> Split:
    """Three origins over the first three quarters."""
    train = np.arange(count * 3 // 4)
    bounds = [int(len(train) * share) for share in (0.4, 0.6, 0.8)] + [len(train)]
    folds = tuple(Fold(train[:start], train[start:end]) for start, end in pairwise(bounds))
    return Split(train, np.arange(len(train), count), folds, "by order")


def chosen(rows: Rows, encoding: Encoding = ENCODING, directions: Sequence[int] = FREE) -> Choice:
    count = len(rows.won)
    names = np.arange(count).astype(str)
    split = rolling(count)
    origins = RollingOrigins.of(rows, encoding, directions, split.folds, names, 0)
    return choose(origins, lambda: "too few outcomes", lambda _words: None)


@pytest.fixture(scope="module")
def linear() -> tuple[Rows, Choice]:
    rows = rows_of(1200, lambda x: 1.2 * x[:, 0] - 1)
    return rows, chosen(rows)


def test_noise_stays_at_the_base_rate() -> None:
    found = chosen(rows_of(1200, lambda x: np.full(len(x), -1.0)))
    assert found.rung == "base_rate"
    assert found.reason == "no fitted rung predicts out of time significantly better than the base rate"


def test_an_effect_is_found_and_the_table_says_what_was_considered(linear: tuple[Rows, Choice]) -> None:
    _, found = linear
    assert found.rung != "base_rate"
    assert "standard error" in found.reason
    assert [row.rung for row in found.table] == ["base_rate", "logistic", "additive", "lightgbm", "blend"]
    members = {member.rung: member.weight for member in found.members}
    weights = {row.rung: row.weight for row in found.table}
    assert weights == dict.fromkeys(weights, 0.0) | {found.rung: 1.0} | members
    assert all(len(row.log_loss_by_origin) == 3 for row in found.table)
    assert found.table[1].log_loss < found.table[0].log_loss


def test_an_interaction_is_worth_the_trees() -> None:
    found = chosen(rows_of(1200, lambda x: 2.5 * np.sign(x[:, 0] * x[:, 1]) - 0.5))
    assert found.rung == "lightgbm"


def test_the_test_rows_touch_nothing(linear: tuple[Rows, Choice]) -> None:
    rows, found = linear
    division = rolling(len(rows.won))
    spoilt = Rows(matrix=rows.matrix.copy(), won=rows.won.copy(), weight=rows.weight, at_creation=rows.at_creation)
    spoilt.matrix[division.test], spoilt.won[division.test] = 99.0, 1.0
    again = chosen(spoilt)
    assert (again.rung, again.reason, again.settings) == (found.rung, found.reason, found.settings)
    assert [margin.tolist() for margin in again.margins] == [margin.tolist() for margin in found.margins]


def test_each_member_is_fitted_with_its_settings_and_counts_by_its_weight(linear: tuple[Rows, Choice]) -> None:
    rows, found = linear
    members = (
        Member(rung="logistic", settings={"strength": 0.1}, weight=0.25),
        Member(rung="additive", settings={"trees": 20}, weight=0.75),
    )
    found = replace(found, rung="blend", settings={}, members=members)
    fitted = found.fit(rows, ENCODING, FREE, 0)
    assert isinstance(fitted, Blend)

    assert fitted.members[0].to_bytes() == fit_logistic(rows, ENCODING, FREE, 0.1).to_bytes()
    parts = [member.contributions(rows.matrix) for member in fitted.members]
    expected = sum(member.weight * part for member, part in zip(found.members, parts, strict=True))
    np.testing.assert_allclose(fitted.contributions(rows.matrix), expected, rtol=0, atol=1e-12)


def test_few_wins_are_not_fitted_to() -> None:
    rows = rows_of(1200, lambda x: np.full(len(x), -1.0))
    rows.won[:] = 0
    rows.won[rolling(1200).folds[-1].judge[: MIN_WINS - 1]] = 1
    found = chosen(rows)
    assert found.rung == "base_rate"
    assert found.reason == "too few outcomes"


@pytest.mark.parametrize("won", [0.0, 1.0])
def test_one_outcome_alone_is_the_base_rate(won: float) -> None:
    rows = rows_of(400, lambda x: x[:, 0])
    rows.won[:] = won
    found = chosen(rows)
    assert found.rung == "base_rate"
    served = sigmoid(found.fit(rows, ENCODING, FREE, 0).contributions(rows.matrix[:1]).sum())
    assert 0 < served < 1
    assert abs(served - won) < 0.01


def test_without_features_there_is_only_the_base_rate() -> None:
    nothing = Encoding(())
    found = chosen(rows_of(400, lambda x: np.zeros(len(x)), names=nothing), nothing, ())
    assert found.rung == "base_rate"
    assert found.reason == "no feature varies among the training leads"


def test_a_level_that_shifts_with_time_is_no_merit_of_any_rung() -> None:
    """Wins grow rarer from origin to origin; rungs are compared once the level is set right for all of them."""
    rows = rows_of(1600, lambda x: np.linspace(1.5, -1.5, len(x)))
    assert chosen(rows).rung == "base_rate"


def _judged(won: np.ndarray, folds: int = 4) -> RollingOrigins:
    """Rolling origins whose judged rows have these outcomes, each row an account of its own."""
    count = len(won)
    rows = rows_of(count, lambda x: np.zeros(len(x)))
    rows.won[:] = won
    parts = tuple(Fold(np.arange(count), part) for part in np.array_split(np.arange(count), folds))
    names = np.arange(count).astype(str)
    return RollingOrigins(rows=rows, encoding=ENCODING, directions=FREE, folds=parts, cluster=names, seed=0)


def _probabilities(won: np.ndarray, sharpness: float, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(sigmoid(sharpness * (2 * won - 1) + rng.normal(0, noise, len(won))))


def test_with_skill_the_blend_is_served_unless_a_simpler_rung_does_as_well_at_every_origin() -> None:
    origins = _judged(won := np.tile([0.0, 1.0], 200))
    base, good, better = (np.where(won == 1, p, 1 - p) for p in (0.5, 0.6, 0.65))
    # Better in all but the last origin, where it loses more.
    mixed = np.where(origins.fold_of == 3, good, np.where(won == 1, 0.7, 0.3))
    assert select_rung(origins, {"base_rate": base, "logistic": good, "blend": better})[0] == "blend"
    assert select_rung(origins, {"base_rate": base, "logistic": mixed, "blend": better})[0] == "blend"
    assert select_rung(origins, {"base_rate": base, "logistic": better, "blend": better})[0] == "logistic"
    assert (
        select_rung(origins, {"base_rate": base, "logistic": good, "lightgbm": mixed, "blend": good})[0] == "logistic"
    )
    assert (
        select_rung(origins, {"base_rate": base, "logistic": base, "lightgbm": base, "blend": base})[0] == "base_rate"
    )


@pytest.mark.parametrize(("errors", "expected"), [(2.0, "base_rate"), (3.0, "logistic")])
def test_a_gain_of_less_than_two_and_a_half_standard_errors_is_no_gain_over_the_base_rate(
    errors: float, expected: str
) -> None:
    """Gains of +-g with mean m have a standard error of about g / sqrt(n)."""
    count = 400
    won, base = np.ones(count), np.full(count, 0.5)
    swing = 0.1
    gains = np.where(np.arange(count) % 2, swing, -swing) + errors * swing / np.sqrt(count)
    found = {"base_rate": base, "logistic": 0.5 * np.exp(gains), "lightgbm": base, "blend": base}
    assert select_rung(_judged(won), found)[0] == expected


def test_a_blend_of_few_wins_has_nearly_equal_weights_and_one_of_many_prefers_the_better_member() -> None:
    def weights(count: int) -> tuple[float, ...]:
        rng = np.random.default_rng(0)
        margin = rng.normal(size=count)
        won = (rng.random(count) < sigmoid(margin)).astype(float)
        return stacked_weights([sigmoid(margin), np.full(count, won.mean())], won, trust(won))

    few, many = weights(60), weights(60_000)
    assert few == pytest.approx((0.5, 0.5), abs=0.1)
    assert many[0] > 0.9
    assert sum(few) == pytest.approx(1)
    assert min(*few, *many) >= 0


def test_the_base_rate_is_of_leads_and_not_of_their_snapshots() -> None:
    won, at_creation = np.array([1.0, 1, 1, 0, 0]), np.array([True, False, False, True, True])
    rows = Rows(matrix=np.zeros((5, 1)), won=won, weight=np.ones(5), at_creation=at_creation)
    assert sigmoid(fit_base_rate(rows).log_odds) == pytest.approx((1 + 0.5) / (3 + 1))
    assert np.isfinite(logit(0.5))


@pytest.mark.parametrize("direction", [-1, 1])
def test_directions_hold_against_the_data(direction: int) -> None:
    rows = rows_of(600, lambda x: -direction * x[:, 0] + x[:, 1])
    fitted = fit_logistic(rows, ENCODING, (direction, 0, 0), 1.0)
    spoken = {column.feature: column.coefficient for column in fitted.columns if column.transform == "number"}
    assert spoken[0] == 0
    assert spoken[1] > 0.3


def test_without_binding_directions_the_fit_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rows = rows_of(600, lambda x: x[:, 0] - x[:, 1])
    ours = fit_logistic(rows, ENCODING, (1, -1, 0), 0.3)
    design = np.column_stack([column.design(rows.matrix) for column in ours.columns])
    theirs = LogisticRegression(C=0.3, tol=1e-8).fit(design, rows.won)
    np.testing.assert_allclose([column.coefficient for column in ours.columns], theirs.coef_[0], atol=1e-3)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_what_learns_from_more_gets_more_trees() -> None:
    rows = rows_of(400, lambda x: x[:, 0])
    folds = (Fold(np.arange(100), np.arange(100, 200)), Fold(np.arange(200), np.arange(200, 300)))
    origins = RollingOrigins.of(rows, ENCODING, FREE, folds, np.arange(400).astype(str), 0)
    trees = Choice(
        rung="additive", reason="by the test", settings={"trees": 100}, tuned=NOT_TUNED, intercept_sample="all"
    )
    assert trees.with_scaled_trees(origins, 600).settings["trees"] == 200
    assert trees.with_scaled_trees(origins, 150).settings["trees"] == 100
    logistic = Choice(
        rung="logistic", reason="by the test", settings={"strength": 0.1}, tuned=NOT_TUNED, intercept_sample="all"
    )
    assert logistic.with_scaled_trees(origins, 600) == logistic
