"""Fitting the calibration map: its slope on out-of-time margins, its level on the leads that were learned from.

How far margins spread too wide shows only out of time. The level does not: it is right where the leads learned from
sum to their wins. What earlier models' predictions were off by tells how the level moved then; carried into the map it
would be added to a model that has learned from that move already. Below 3,000 rows the slope stays 1: with less, freer
maps cost more log loss than they gain (CalArena).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Reals
from models.probability import Calibration, sigmoid

ROWS_FOR_SLOPE = 3000
DRAWS = 200
_LEAST_SLOPE = 0.05
_STEPS = 30


@dataclass(frozen=True)
class ScoredLeads:
    """Leads with a model's uncalibrated margins; arrays of one length.

    Attributes:
        margin: of each lead.
        won: what came of it, 0 or 1.
        cluster: its account, group or lead.
    """

    margin: Reals
    won: Reals
    cluster: NDArray[np.str_]


NO_LEADS = ScoredLeads(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))


def fit_slope(margin: Reals, won: Reals, weight: Reals | None = None) -> float:
    """The slope of the map of out-of-time margins to log-odds of `won`.

    1 where they are too few, nothing varies, or they rank the wrong way round.
    """
    counted = np.ones(len(won)) if weight is None else weight
    if len(won) < ROWS_FOR_SLOPE or np.ptp(margin) < 1e-9 or not 0 < (counted * won).sum() < counted.sum():
        return 1.0
    slope, _ = _newton(np.column_stack([margin, np.ones(len(won))]), np.zeros(len(won)), won, counted, [1.0, 0.0])
    return float(slope) if slope > _LEAST_SLOPE else 1.0


def fit_intercept(log_odds: Reals, won: Reals, weight: Reals | None = None) -> float:
    """What to add to log-odds so that they sum to the wins.

    Half a win and half a loss are added at their mean, as in the base rate, so that it is finite; 0 without leads.
    """
    if not len(won):
        return 0.0
    counted = np.ones(len(won)) if weight is None else weight
    centre = np.average(log_odds, weights=counted) if counted.sum() else log_odds.mean()
    offset, half_won, weights = np.append(log_odds, centre), np.append(won, 0.5), np.append(counted, 1.0)
    (level,) = _newton(np.ones((len(offset), 1)), offset, half_won, weights, [0.0])
    return float(level)


def calibrate(judged: ScoredLeads, learned: ScoredLeads, rng: np.random.Generator) -> Calibration:
    """The map and its clustered bootstrap.

    Args:
        judged: leads after the rolling origins, by the models fitted before: the slope is theirs.
        learned: leads at creation that the served model learned from and that the level is taken from, by it.
        rng: draws whole clusters, for both at once.
    """
    slope = fit_slope(judged.margin, judged.won)
    level = fit_intercept(slope * learned.margin, learned.won)
    return Calibration(slope, level, tuple(_draw(judged, learned, rng)))


def _draw(judged: ScoredLeads, learned: ScoredLeads, rng: np.random.Generator) -> list[tuple[float, float]]:
    """(slope, level) refitted on resampled whole clusters."""
    _, place = np.unique(np.concatenate([judged.cluster, learned.cluster]), return_inverse=True)
    if not len(learned.won):
        return []
    count, draws = int(place.max()) + 1, []
    for _ in range(DRAWS):
        times = rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64)[place]
        first, second = times[: len(judged.won)], times[len(judged.won) :]
        slope = fit_slope(judged.margin, judged.won, first)
        draws.append((slope, fit_intercept(slope * learned.margin, learned.won, second)))
    return draws


def _newton(design: Reals, offset: Reals, won: Reals, weight: Reals, start: list[float]) -> Reals:
    """Newton's method on the weighted log loss of `design @ beta + offset`."""
    beta = np.array(start)
    for _ in range(_STEPS):
        p = sigmoid(design @ beta + offset)
        gradient = design.T @ (weight * (won - p))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(design.shape[1])
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return beta
