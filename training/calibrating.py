"""Fitting the calibration map on out-of-time margins, and its clustered bootstrap.

Below 3,000 rows only the intercept is fitted: with less, freer maps cost more log loss than they gain (CalArena).
"""

import numpy as np
from numpy.typing import NDArray

from models.probability import Calibration, sigmoid

Reals = NDArray[np.float64]
ROWS_FOR_SLOPE = 3000
DRAWS = 200
_STEPS = 30


def calibrate(margin: Reals, won: Reals) -> Calibration:
    """The affine map of margins to the log-odds of `won`; the identity where one class is missing."""
    if not len(margin) or won.min() == won.max():
        return Calibration(1.0, 0.0)
    return Calibration(*_fit(margin, won, np.ones(len(won)), _free_slope(margin)))


def _free_slope(margin: Reals) -> bool:
    return len(margin) >= ROWS_FOR_SLOPE and float(np.ptp(margin)) > 1e-9


def bootstrap(
    margin: Reals, won: Reals, cluster: NDArray[np.str_], rng: np.random.Generator
) -> tuple[tuple[float, float], ...]:
    """(slope, intercept) of the map refitted on resampled whole clusters."""
    if not len(margin) or won.min() == won.max():
        return ()
    _, row_cluster = np.unique(cluster, return_inverse=True)
    count = int(row_cluster.max()) + 1
    draws = []
    for _ in range(DRAWS):
        weight = rng.multinomial(count, np.full(count, 1 / count))[row_cluster].astype(np.float64)
        if 0 < (weight * won).sum() < weight.sum():
            draws.append(_fit(margin, won, weight, _free_slope(margin)))
    return tuple(draws)


def _fit(margin: Reals, won: Reals, weight: Reals, free_slope: bool) -> tuple[float, float]:
    """Newton's method on the weighted log loss; a slope that is not positive falls back to the intercept alone."""
    design = np.column_stack([margin, np.ones(len(margin))]) if free_slope else np.ones((len(margin), 1))
    offset = np.zeros(len(margin)) if free_slope else margin
    beta = np.array([1.0, 0.0]) if free_slope else np.array([0.0])
    for _ in range(_STEPS):
        p = sigmoid(design @ beta + offset)
        gradient = design.T @ (weight * (won - p))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(design.shape[1])
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    if not free_slope:
        return 1.0, float(beta[0])
    if beta[0] <= 0.05:
        return _fit(margin, won, weight, free_slope=False)
    return float(beta[0]), float(beta[1])
