"""The calibration map: recovered where there are rows enough, level only where there are few, never turned round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.probability import sigmoid
from training.calibrating import DRAWS, ROWS_FOR_SLOPE, bootstrap, calibrate, shifted

MANY, FEW = 40_000, ROWS_FOR_SLOPE - 1


def drawn(count: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins, and outcomes whose log-odds are `slope * margin + intercept`."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1, count)
    return margin, (rng.random(count) < sigmoid(slope * margin + intercept)).astype(float)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -1.0), (1.0, 0.0), (1.6, 0.7)])
def test_the_map_that_made_the_outcomes_is_found(slope: float, intercept: float) -> None:
    found = calibrate(*drawn(MANY, slope, intercept))
    assert found.slope == pytest.approx(slope, abs=0.07)
    assert found.intercept == pytest.approx(intercept, abs=0.07)


def test_few_rows_move_the_level_alone() -> None:
    found = calibrate(*drawn(FEW, 0.3, -1.0))
    assert found.slope == 1.0
    assert found.intercept != 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-6, 6), st.booleans()), min_size=2, max_size=40))
def test_calibrated_probabilities_sum_to_the_wins(rows: list[tuple[float, bool]]) -> None:
    margin, won = np.array([m for m, _ in rows]), np.array([float(w) for _, w in rows])
    found = calibrate(margin, won)
    if 0 < won.sum() < len(won):
        assert sigmoid(found.log_odds(margin)).sum() == pytest.approx(won.sum(), abs=1e-6)
    else:
        assert (found.slope, found.intercept) == (1.0, 0.0)


def test_a_margin_that_ranks_the_wrong_way_round_is_not_turned_round() -> None:
    margin, won = drawn(MANY, 1.0, 0.0)
    assert calibrate(-margin, won).slope == 1.0


def test_a_margin_that_tells_nothing_leaves_the_slope() -> None:
    _, won = drawn(MANY, 1.0, 0.0)
    found = calibrate(np.full(MANY, 0.3), won)
    assert found.slope == 1.0
    assert sigmoid(found.log_odds(np.array([0.3])))[0] == pytest.approx(won.mean())


def test_where_the_level_has_moved_the_latest_rows_say_where_to() -> None:
    before, latest = drawn(MANY, 1.0, -1.0), drawn(MANY // 4, 1.0, 0.5, seed=1)
    margin, won = (np.concatenate(both) for both in zip(before, latest, strict=True))
    is_latest = np.arange(len(won)) >= MANY
    recent = shifted(margin, won, is_latest)
    assert recent is not None
    found = calibrate(margin, won, recent)
    assert sigmoid(found.log_odds(latest[0])).sum() == pytest.approx(latest[1].sum())
    assert found.slope == pytest.approx(1.0, abs=0.1)
    draws = bootstrap(margin, won, np.arange(len(won)), np.random.default_rng(0), recent)
    assert np.quantile([b for _, b in draws], 0.02) < found.intercept < np.quantile([b for _, b in draws], 0.98)


def test_where_the_level_has_not_moved_every_row_counts() -> None:
    alarms = 0
    for seed in range(100):
        margin, won = drawn(2000, 1.0, -1.0, seed)
        alarms += shifted(margin, won, np.arange(2000) >= 1500) is not None
    assert alarms <= 15
    assert shifted(margin, won, np.zeros(2000, bool)) is None


def test_without_outcomes_there_is_nothing_to_fit() -> None:
    nothing = np.array([])
    assert calibrate(nothing, nothing).slope == 1.0
    assert bootstrap(nothing, nothing, nothing, np.random.default_rng(0)) == ()
    assert bootstrap(np.zeros(5), np.ones(5), np.arange(5), np.random.default_rng(0)) == ()


def intercepts(margin: np.ndarray, won: np.ndarray, cluster: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.array([b for _, b in bootstrap(margin, won, cluster, np.random.default_rng(seed))])


def test_draws_spread_as_the_outcomes_of_whole_clusters_do() -> None:
    """Rows that repeat one account's outcome ten times tell as much as a tenth of them."""
    margin, won = drawn(200, 1.0, 0.0)
    alone = intercepts(margin, won, np.arange(200)).std()
    tenfold = intercepts(np.repeat(margin, 10), np.repeat(won, 10), np.repeat(np.arange(200), 10)).std()
    as_if_independent = intercepts(np.repeat(margin, 10), np.repeat(won, 10), np.arange(2000)).std()
    assert tenfold == pytest.approx(alone, rel=0.25)
    assert as_if_independent < alone / 2


def test_draws_surround_the_map_and_come_again_with_the_seed() -> None:
    margin, won = drawn(500, 1.0, 0.0)
    first = intercepts(margin, won, np.arange(500))
    assert len(first) == DRAWS
    assert first.min() < calibrate(margin, won).intercept < first.max()
    assert (first == intercepts(margin, won, np.arange(500))).all()
    assert (first != intercepts(margin, won, np.arange(500), seed=1)).any()
