"""The spreads beside the calibration map: of the model over other accounts, and of the level over the origins."""

from dataclasses import replace

import numpy as np
import pytest

from models.encoding import EncodedFeature, Encoding
from models.probability import sigmoid
from training.data.rows import Rows
from training.data.splits import Fold
from training.fitting.model_selection import Choice
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.spread import level_spread, model_spread
from training.fitting.tuning import NOT_TUNED

ENCODING = Encoding((EncodedFeature("a", "number"),))
LOGISTIC = Choice(rung="logistic", reason="", settings={"strength": 1.0}, tuned=NOT_TUNED, intercept_sample="all")


def rows_of(count: int) -> Rows:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(count, 1))
    won = (rng.random(count) < sigmoid(matrix[:, 0])).astype(float)
    return Rows(matrix=matrix, won=won, weight=np.ones(count), at_creation=np.ones(count, dtype=bool))


def origins_of(rows: Rows, shifts: tuple[float, ...]) -> tuple[RollingOrigins, tuple[np.ndarray, ...]]:
    """Origins whose judged outcomes lie by these log-odds above the margins."""
    rng = np.random.default_rng(2)
    parts = np.array_split(np.arange(len(rows.won) // 2, len(rows.won)), len(shifts))
    before = np.arange(len(rows.won) // 2)
    margins = []
    for part, shift in zip(parts, shifts, strict=True):
        rows.won[part] = rng.random(len(part)) < sigmoid(rows.matrix[part, 0] + shift)
        margins.append(np.concatenate([rows.matrix[part, 0], rows.matrix[before, 0]]))
    names = np.arange(len(rows.won)).astype(str)
    folds = tuple(Fold(before, part) for part in parts)
    made = RollingOrigins(rows=rows, encoding=ENCODING, directions=[0], folds=folds, cluster=names, seed=0)
    return made, tuple(margins)


def spread_of(count: int) -> float:
    rows = rows_of(count)
    names = np.arange(count).astype(str)
    origins = RollingOrigins(rows=rows, encoding=ENCODING, directions=[0], folds=(), cluster=names, seed=0)
    return model_spread(LOGISTIC, rows, names, ENCODING, origins, 1.0)


def test_a_model_of_more_accounts_spreads_less() -> None:
    few, many = spread_of(400), spread_of(40_000)
    assert 0 < many < few / 3


def test_too_few_outcomes_say_nothing_of_the_spread() -> None:
    assert spread_of(20) == 0.0


@pytest.mark.parametrize("moved", [0.0, 0.6])
def test_the_level_spreads_as_far_as_it_moved_beyond_chance(moved: float) -> None:
    origins, margins = origins_of(rows_of(40_000), (moved, -moved, moved, -moved))
    found = level_spread(replace(LOGISTIC, margins=margins), origins)
    assert found == pytest.approx(moved, abs=0.08)
