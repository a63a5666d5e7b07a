"""Figures against scikit-learn's, and intervals that resample whole accounts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from models.probability import sigmoid
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.calibration_slope import calibration_slope
from training.evaluation.metrics import Predictions, attainable_skill, auc, evaluate, log_loss

patient = settings(deadline=None)
rows = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])), min_size=2, max_size=40)


def predictions(won: np.ndarray, probability: np.ndarray, cluster: np.ndarray | None = None) -> Predictions:
    count = len(won)
    names = np.array([f"A{n}" for n in range(count)]) if cluster is None else cluster
    return Predictions(
        lead_id=names,
        as_of=np.zeros(count, dtype=np.int64),
        cluster=names,
        won=won,
        probability=probability,
        constant=0.2,
    )


def made(count: int, seed: int = 0, base: float = -1.4) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and their true probabilities."""
    rng = np.random.default_rng(seed)
    truth = sigmoid(rng.normal(base, 1, count))
    return (rng.random(count) < truth).astype(float), truth


@patient
@given(rows, st.integers(0, 2**32))
def test_auc_is_that_of_scikit_learn(found: list[tuple[bool, float]], seed: int) -> None:
    won, probability = np.array([float(w) for w, _ in found]), np.array([p for _, p in found])
    weight = np.random.default_rng(seed).integers(1, 4, len(won)).astype(float)
    if len(set(won)) == 1:
        assert auc(won, probability) == 0.5
        return
    assert auc(won, probability) == pytest.approx(metrics.roc_auc_score(won, probability))
    expected = metrics.roc_auc_score(won, probability, sample_weight=weight)
    assert auc(won, probability, weight) == pytest.approx(expected)


@patient
@given(rows)
def test_log_loss_is_that_of_scikit_learn(found: list[tuple[bool, float]]) -> None:
    won, probability = np.array([float(w) for w, _ in found]), np.array([p for _, p in found])
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    assert log_loss(won, probability) == pytest.approx(metrics.log_loss(won, inside, labels=[0, 1]))
    weight = 1 + np.arange(len(won), dtype=float)
    expected = metrics.log_loss(won, inside, labels=[0, 1], sample_weight=weight)
    assert log_loss(won, probability, weight) == pytest.approx(expected)


def test_the_constant_has_no_skill() -> None:
    won, _ = made(400)
    for fitted_rung in (False, True):
        found = evaluate(predictions(won, np.full(400, 0.2)), fitted_rung, 0)
        assert found.auc == 0.5
        assert found.auc_95 == (0.5, 0.5)
        assert found.skill is False
        assert found.log_loss == found.log_loss_constant
        assert found.log_loss_difference_95 == (0, 0)
        assert found.calibration_slope is None


def test_skill_is_a_fitted_rung_whose_auc_lies_above_a_half() -> None:
    won, truth = made(400)
    good = predictions(won, truth)
    assert evaluate(good, True, 0).skill is True
    assert evaluate(good, False, 0).skill is False
    assert evaluate(predictions(won, 1 - truth), True, 0).skill is False


def test_figures_are_plain_json_and_come_again_with_the_seed() -> None:
    won, truth = made(300)
    found = evaluate(predictions(won, truth), True, 0)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    assert found == evaluate(predictions(won, truth), True, 0)
    assert found.rows == 300
    assert found.won == won.sum()
    assert found.base_rate == 0.2
    assert found.brier == pytest.approx(metrics.brier_score_loss(won, truth))
    assert found.auc_95[0] < found.auc < found.auc_95[1]
    low, high = found.log_loss_difference_95
    assert low < found.log_loss - found.log_loss_constant < high


@pytest.mark.parametrize("slope", [0.2, 0.5, 1.0, 2.0, 20.0])
def test_the_calibration_slope_is_that_of_outcomes_on_log_odds(slope: float) -> None:
    rng = np.random.default_rng(1)
    log_odds = rng.normal(-1, 1, 40_000)
    won = (rng.random(40_000) < sigmoid(log_odds)).astype(float)
    assert calibration_slope(won, sigmoid(log_odds / slope)) == pytest.approx(slope, rel=0.06)


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    clusters = ClusterBootstrap(np.arange(2000).astype(str), np.random.default_rng(1))
    error = values.std() / np.sqrt(2000)
    assert clusters.standard_error(values) == pytest.approx(error, rel=0.1)
    low, high = clusters.mean_interval(values)
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, rel=0.15)
    assert low < values.mean() < high


def test_repeating_an_accounts_rows_adds_no_certainty() -> None:
    won, truth = made(300)
    alone = evaluate(predictions(won, truth), True, 0)
    names = np.repeat(np.array([f"A{n}" for n in range(300)]), 9)
    tenfold = evaluate(predictions(np.repeat(won, 9), np.repeat(truth, 9), names), True, 0)
    blind = evaluate(predictions(np.repeat(won, 9), np.repeat(truth, 9)), True, 0)
    width = {name: np.ptp(found.auc_95) for name, found in (("1", alone), ("9", tenfold), ("?", blind))}
    assert tenfold.auc == pytest.approx(alone.auc)
    assert width["9"] == pytest.approx(width["1"], rel=0.15)
    assert width["?"] < width["1"] / 2


def test_everything_compared_is_judged_on_the_same_draws() -> None:
    clusters = ClusterBootstrap(np.array(["a", "b", "b", "c"]), np.random.default_rng(0), 50)
    values = np.array([1.0, 2.0, 3.0, 10.0])
    shifted = clusters.mean_interval(values + 1)
    assert shifted == pytest.approx(tuple(bound + 1 for bound in clusters.mean_interval(values)))
    means = clusters.interval(lambda weight: float(np.average(values, weights=weight)))
    assert means == pytest.approx(clusters.mean_interval(values))


def test_the_share_of_attainable_skill_runs_from_the_constant_to_the_truth() -> None:
    won, truth = made(2000)
    assert attainable_skill(predictions(won, np.full(2000, 0.2)), truth).share_of_attainable_skill == pytest.approx(0)
    best = attainable_skill(predictions(won, truth), truth)
    assert best.share_of_attainable_skill == pytest.approx(1)
    assert best.share_of_attainable_skill_expected == pytest.approx(1)
    assert best.log_loss_truth == log_loss(won, truth)
    halfway = attainable_skill(predictions(won, (truth + 0.2) / 2), truth)
    assert 0 < halfway.share_of_attainable_skill_expected < 1
