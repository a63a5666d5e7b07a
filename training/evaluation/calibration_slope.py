"""The calibration slope: the slope of a logistic regression of outcomes on the log-odds of predicted probabilities.

1 is calibrated. Below 1 the predictions are too extreme, above 1 too close to each other. Two intervals are here: the
sandwich estimate needs one fit and judges a promotion; the bootstrap refits on each draw and judges a champion over
time, where a test needs the spread of the slope itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.arrays import Reals
from models.probability import MIN_PROBABILITY, logit, sigmoid
from models.statistics import NORMAL_95, cluster_sums
from training.evaluation.bootstrap import ClusterBootstrap, central_95

SLOPE_DRAWS = 200
_MIN_SPREAD = 1e-9
"""Log-odds that spread less are one value: there is no slope."""
_RIDGE = 1e-12
"""Added to the diagonal of the Hessian, so that it can be inverted."""


@dataclass(frozen=True)
class CalibrationLine:
    """A fitted line: log-odds of an outcome = intercept + slope * log-odds of the prediction."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class SlopeEstimate:
    """A calibration slope with its uncertainty, clustered.

    Attributes:
        value: the slope.
        low, high: its central 95 %.
        error: its standard error.
    """

    value: float
    low: float
    high: float
    error: float


def calibration_slope(won: Reals, probability: Reals) -> float | None:
    """The calibration slope; None where predictions or outcomes do not vary."""
    log_odds = logit(np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY))
    if np.ptp(log_odds) < _MIN_SPREAD or won.min() == won.max():
        return None
    return calibration_line(log_odds, won).slope


def calibration_line(log_odds: Reals, won: Reals) -> CalibrationLine:
    """A logistic regression, without a penalty, of outcomes of both kinds on log-odds that vary."""
    # Standardised, the solver's tolerance means the same however little or much the log-odds vary.
    centre, scale = log_odds.mean(), log_odds.std()
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    fitted.fit(((log_odds - centre) / scale)[:, None], won)
    slope = float(fitted.coef_[0, 0] / scale)
    return CalibrationLine(slope, float(fitted.intercept_[0] - slope * centre))


def sandwich_slope(won: Reals, probability: Reals, cluster: NDArray[np.str_]) -> SlopeEstimate | None:
    """The slope with its clustered sandwich interval; None where predictions or outcomes do not vary."""
    log_odds = np.asarray(logit(np.clip(probability, 1e-12, 1 - 1e-12)))
    if np.ptp(log_odds) < _MIN_SPREAD or won.min() == won.max():
        return None
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    line = calibration_line(log_odds, won)
    p = np.asarray(sigmoid(design @ np.array([line.slope, line.intercept])))
    inverse = np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(2))
    scores = np.column_stack([cluster_sums(column * (won - p), cluster) for column in design.T])
    error = float(np.sqrt((inverse @ scores.T @ scores @ inverse)[0, 0]))
    return SlopeEstimate(line.slope, line.slope - NORMAL_95 * error, line.slope + NORMAL_95 * error, error)


def bootstrap_slope(won: Reals, probability: Reals, cluster: NDArray[np.str_], seed: int) -> SlopeEstimate | None:
    """The slope with its interval and error by the bootstrap of clusters; None where there is no slope."""
    value = calibration_slope(won, probability)
    if value is None:
        return None

    def refitted(weight: Reals) -> float | None:
        times = weight.astype(np.int64)
        return calibration_slope(np.repeat(won, times), np.repeat(probability, times))

    draws = [slope for slope in ClusterBootstrap(cluster, seed, SLOPE_DRAWS).draw(refitted) if slope is not None]
    low, high = central_95(draws)
    return SlopeEstimate(value, low, high, float(np.std(draws)))
