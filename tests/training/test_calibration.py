"""The calibration map: its slope found out of time, its level where leads learned from sum to wins; never reversed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Calibration
from models.probability import logit, sigmoid
from training.fitting.calibration import (
    DRAWS,
    MIN_ROWS_FOR_SLOPE,
    NO_LEADS,
    ScoredLeads,
    calibrate,
    fit_intercept,
    fit_slope,
)
from training.fitting.ladder import share_won

MANY, FEW = 40_000, MIN_ROWS_FOR_SLOPE - 1


def drawn(count: int, slope: float, level: float, seed: int = 0) -> ScoredLeads:
    """Leads of their own whose outcomes have log-odds of `slope * margin + level`."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1, count)
    won = (rng.random(count) < sigmoid(slope * margin + level)).astype(float)
    return ScoredLeads(margin, won, np.array([f"{seed}-{n}" for n in range(count)]))


def calibrated(judged: ScoredLeads, learned: ScoredLeads, seed: int = 0) -> Calibration:
    return calibrate(judged, learned, np.random.default_rng(seed))


@pytest.mark.parametrize(("slope", "level"), [(0.5, -1.0), (1.0, 0.0), (1.6, 0.7)])
def test_the_map_that_made_the_outcomes_is_found(slope: float, level: float) -> None:
    found = calibrated(drawn(MANY, slope, level), drawn(MANY, slope, level, seed=1))
    assert found.slope == pytest.approx(slope, abs=0.07)
    assert found.intercept == pytest.approx(level, abs=0.07)


def test_the_level_is_that_of_the_leads_learned_from_whatever_it_was_at_the_origins() -> None:
    learned = drawn(MANY, 1.0, 0.5)
    found = calibrated(drawn(MANY, 1.0, -1.0, seed=1), learned)
    assert sigmoid(found.log_odds(learned.margin)).mean() == pytest.approx(learned.won.mean(), abs=1e-4)


def test_few_rows_leave_the_slope() -> None:
    few = drawn(FEW, 0.3, -1.0)
    assert fit_slope(few.margin, few.won) == 1.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans()), min_size=1, max_size=40))
def test_levelled_probabilities_sum_to_the_wins_but_for_half_a_lead(rows: list[tuple[float, bool]]) -> None:
    log_odds, won = np.array([m for m, _ in rows]), np.array([float(w) for _, w in rows])
    added = fit_intercept(log_odds, won)
    half = 0.5 - sigmoid(log_odds.mean() + added)
    assert sigmoid(log_odds + added).sum() == pytest.approx(won.sum() + half, abs=1e-6)


@pytest.mark.parametrize("won", [np.zeros(30), np.ones(30), np.arange(30.0) % 3 == 0])
def test_a_constant_is_levelled_to_the_base_rate(won: np.ndarray) -> None:
    found = sigmoid(-0.7 + fit_intercept(np.full(30, -0.7), won.astype(float)))
    assert found == pytest.approx(share_won(won.astype(float)))
    assert fit_intercept(np.full(30, logit(share_won(won))), won.astype(float)) == pytest.approx(0, abs=1e-9)


def test_a_margin_that_ranks_the_wrong_way_round_is_not_turned_round() -> None:
    found = drawn(MANY, 1.0, 0.0)
    assert fit_slope(-found.margin, found.won) == 1.0


def test_a_margin_that_tells_nothing_leaves_the_slope() -> None:
    found = drawn(MANY, 1.0, 0.0)
    assert fit_slope(np.full(MANY, 0.3), found.won) == 1.0


def test_without_outcomes_there_is_nothing_to_fit() -> None:
    assert calibrated(NO_LEADS, NO_LEADS) == Calibration(1.0, 0.0)


def levels(learned: ScoredLeads, seed: int = 0) -> np.ndarray:
    return np.array([level for _, level in calibrated(NO_LEADS, learned, seed).draws])


def test_draws_spread_as_the_outcomes_of_whole_clusters_do() -> None:
    """Rows that repeat one account's outcome ten times tell as much as a tenth of them."""
    once = drawn(200, 1.0, 0.0)
    ten_times = ScoredLeads(np.repeat(once.margin, 10), np.repeat(once.won, 10), np.repeat(once.cluster, 10))
    as_if_apart = ScoredLeads(ten_times.margin, ten_times.won, np.arange(2000).astype(str))
    assert levels(ten_times).std() == pytest.approx(levels(once).std(), rel=0.25)
    assert levels(as_if_apart).std() < levels(once).std() / 2


def test_draws_surround_the_map_and_come_again_with_the_seed() -> None:
    judged, learned = drawn(MIN_ROWS_FOR_SLOPE, 1.3, 0.0), drawn(500, 1.3, 0.0, seed=1)
    found = calibrated(judged, learned)
    slopes, first = np.array(found.draws).T
    assert len(first) == DRAWS
    assert first.min() < found.intercept < first.max()
    assert slopes.min() < found.slope < slopes.max()
    assert calibrated(judged, learned).draws == found.draws
    assert calibrated(judged, learned, seed=1).draws != found.draws
