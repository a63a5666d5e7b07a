"""Fitting the calibration map on out-of-time margins, and its clustered bootstrap.

Below 3,000 rows only the intercept is fitted: with less, freer maps cost more log loss than they gain (CalArena). Where
the level of the latest rows differs significantly from that of the others, leads close more or less often than they
did: then the level is that of the latest alone, and only the slope is learned from all.
"""

import numpy as np
from numpy.typing import NDArray

from models.probability import Calibration, sigmoid

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]
ROWS_FOR_SLOPE = 3000
DRAWS = 200
_STEPS = 30


def calibrate(margin: Reals, won: Reals, recent: Flags | None = None) -> Calibration:
    """The affine map of margins to the log-odds of `won`; the identity where one class is missing.

    Args:
        margin: out of time, uncalibrated.
        won: outcomes, 0 or 1.
        recent: the rows whose level counts alone, as `shifted` says; all where None.
    """
    if not len(margin) or won.min() == won.max():
        return Calibration(1.0, 0.0)
    return Calibration(*_map(margin, won, np.ones(len(won)), recent))


def cross_calibrated(margin: Reals, won: Reals, fold_of: NDArray[np.int64]) -> Reals:
    """Probabilities of each fold under the calibration map of the others, so that no model wins by its level alone."""
    probability = np.empty(len(margin))
    for fold in np.unique(fold_of):
        others, own = fold_of != fold, fold_of == fold
        probability[own] = sigmoid(calibrate(margin[others], won[others]).log_odds(margin[own]))
    return probability


def shifted(margin: Reals, won: Reals, latest: Flags) -> Flags | None:
    """`latest` where the level of these rows differs from that of the others by more than 1.96 standard errors."""
    sides = [side for side in (latest, ~latest) if side.any() and won[side].min() < won[side].max()]
    if len(sides) < 2:
        return None
    slope, _ = _map(margin, won, np.ones(len(won)), None)
    levels, variances = zip(
        *(_level(slope * margin[side], won[side], np.ones(side.sum())) for side in sides), strict=True
    )
    return latest if abs(levels[0] - levels[1]) > 1.96 * np.sqrt(sum(variances)) else None


def _map(margin: Reals, won: Reals, weight: Reals, recent: Flags | None) -> tuple[float, float]:
    slope, intercept = _fit(margin, won, weight, _free_slope(margin))
    if recent is None:
        return slope, intercept
    return slope, _level(slope * margin[recent], won[recent], weight[recent])[0]


def _level(log_odds: Reals, won: Reals, weight: Reals) -> tuple[float, float]:
    """The intercept that makes these log-odds sum to the wins, and its variance."""
    _, intercept = _fit(log_odds, won, weight, free_slope=False)
    p = sigmoid(log_odds + intercept)
    return intercept, float(1 / max((weight * p * (1 - p)).sum(), 1e-9))


def _free_slope(margin: Reals) -> bool:
    return len(margin) >= ROWS_FOR_SLOPE and float(np.ptp(margin)) > 1e-9


def bootstrap(
    margin: Reals, won: Reals, cluster: NDArray[np.str_], rng: np.random.Generator, recent: Flags | None = None
) -> tuple[tuple[float, float], ...]:
    """(slope, intercept) of the map, as `calibrate` fits it, refitted on resampled whole clusters."""
    if not len(margin) or won.min() == won.max():
        return ()
    _, row_cluster = np.unique(cluster, return_inverse=True)
    count = int(row_cluster.max()) + 1
    draws = []
    for _ in range(DRAWS):
        weight = rng.multinomial(count, np.full(count, 1 / count))[row_cluster].astype(np.float64)
        level = weight if recent is None else weight * recent
        if 0 < (level * won).sum() < level.sum():
            draws.append(_map(margin, won, weight, recent))
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
