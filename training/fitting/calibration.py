"""The calibration map: its slope from out-of-time margins, its intercept from the leads that the model learned from.

Whether margins spread too wide shows only out of time. The intercept is right where the probabilities of the training
leads sum to their wins. The errors of earlier models show how the share won moved then; the served model has learned
from that move already, so adding those errors to its intercept would count the move twice. Below 3,000 rows the slope
stays 1: with fewer rows, a freer map costs more log loss than it gains (CalArena). Above, it is shrunk towards 1, the
more the fewer the wins: the earlier models learned from fewer leads, so they spread their margins wider than the served
model does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Reals
from models.calibration import Calibration
from models.probability import sigmoid

MIN_ROWS_FOR_SLOPE = 3000
DRAWS = 200
EVEN_WINS = 1000.0
"""The wins out of time, or the losses where they are fewer, at which what they say counts as much as what is expected
without them. It was set on simulated worlds that no benchmark uses (docs/model.md)."""
_MIN_SLOPE = 0.05
_MAX_STEPS = 30


@dataclass(frozen=True)
class ScoredLeads:
    """Leads with a model's uncalibrated margins; arrays of one length.

    Attributes:
        margin: the margin of each lead.
        won: its outcome, 0 or 1.
        cluster: its account, its group, or the lead itself.
    """

    margin: Reals
    won: Reals
    cluster: NDArray[np.str_]


NO_LEADS = ScoredLeads(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))


def trust(won: Reals) -> float:
    """How far outcomes out of time are believed, from 0 to 1.

    >>> trust(np.repeat([0.0, 1.0], [4000, 1000]))
    0.5
    """
    wins = float(min(won.sum(), (1 - won).sum()))
    return wins / (wins + EVEN_WINS)


def fit_slope(margin: Reals, won: Reals) -> float:
    """The slope of the map from out-of-time margins to log-odds of `won`, shrunk towards 1.

    It is 1 where rows are too few, where margins or outcomes do not vary, and where the margins rank leads backwards.
    """
    return 1.0 + trust(won) * (_free_slope(margin, won) - 1.0)


def _free_slope(margin: Reals, won: Reals, weight: Reals | None = None) -> float:
    counted = np.ones(len(won)) if weight is None else weight
    if len(won) < MIN_ROWS_FOR_SLOPE or np.ptp(margin) < 1e-9 or not 0 < (counted * won).sum() < counted.sum():
        return 1.0
    slope, _ = _newton(np.column_stack([margin, np.ones(len(won))]), np.zeros(len(won)), won, counted, [1.0, 0.0])
    return float(slope) if slope > _MIN_SLOPE else 1.0


def fit_intercept(log_odds: Reals, won: Reals, weight: Reals | None = None) -> float:
    """The intercept to add to log-odds so that the probabilities sum to the wins; 0 without leads.

    Half a win and half a loss are added at the mean log-odds, as in the base rate, so that the intercept is finite.

    >>> round(fit_intercept(np.zeros(4), np.array([1.0, 1.0, 1.0, 0.0])), 6) == round(float(np.log(3.5 / 1.5)), 6)
    True
    """
    if not len(won):
        return 0.0
    counted = np.ones(len(won)) if weight is None else weight
    centre = np.average(log_odds, weights=counted) if counted.sum() else log_odds.mean()
    offset, half_won, weights = np.append(log_odds, centre), np.append(won, 0.5), np.append(counted, 1.0)
    (intercept,) = _newton(np.ones((len(offset), 1)), offset, half_won, weights, [0.0])
    return float(intercept)


def calibrate(judged: ScoredLeads, learned: ScoredLeads, rng: np.random.Generator) -> Calibration:
    """The map and its clustered bootstrap.

    Args:
        judged: leads after the rolling origins, scored by the models fitted before them; they give the slope.
        learned: leads of the intercept sample, scored by the served model; they give the intercept.
        rng: draws whole clusters, for both samples at once.
    """
    slope = fit_slope(judged.margin, judged.won)
    intercept = fit_intercept(slope * learned.margin, learned.won)
    # The free slopes of the draws around the shrunk slope: shrinking must not make the range narrower.
    shift = slope - _free_slope(judged.margin, judged.won)
    return Calibration(slope, intercept, tuple(_draw(judged, learned, shift, rng)))


def _draw(
    judged: ScoredLeads, learned: ScoredLeads, shift: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """(slope, intercept) refitted on resampled whole clusters, each slope shifted."""
    _, position = np.unique(np.concatenate([judged.cluster, learned.cluster]), return_inverse=True)
    if not len(learned.won):
        return []
    count, draws = int(position.max()) + 1, []
    for _ in range(DRAWS):
        # One draw of clusters weighs both samples, so an account in both moves slope and intercept together.
        times = rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64)[position]
        judged_weight, learned_weight = np.split(times, [len(judged.won)])
        slope = max(_free_slope(judged.margin, judged.won, judged_weight) + shift, _MIN_SLOPE)
        draws.append((slope, fit_intercept(slope * learned.margin, learned.won, learned_weight)))
    return draws


def _newton(design: Reals, offset: Reals, won: Reals, weight: Reals, start: list[float]) -> Reals:
    """The minimum of the weighted log loss of `design @ beta + offset` by Newton's method, with steps of at most 2."""
    beta = np.array(start)
    for _ in range(_MAX_STEPS):
        p = sigmoid(design @ beta + offset)
        gradient = design.T @ (weight * (won - p))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(design.shape[1])
        step = np.clip(np.linalg.solve(hessian, gradient), -2.0, 2.0)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return beta
