"""What the calibration map's bootstrap leaves out of the range of a probability, in log-odds.

The model's own spread is that of refits on other accounts. Two models, each fitted on half of the accounts, differ with
twice the variance of one of them, and the variance of a model falls with the accounts that it learned from. So the
variance of the served model is a quarter of the mean squared difference (half-sampling, McCarthy 1969).

The level's spread is how far the share won moved from what was predicted, from origin to origin, beyond what the number
of wins explains.
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from models.encoding import Encoding
from models.probability import logit, sigmoid
from training.data.rows import Rows, has_enough_outcomes
from training.fitting.calibration import fit_intercept
from training.fitting.model_selection import Choice
from training.fitting.rolling_origins import RollingOrigins


def model_spread(
    choice: Choice, rows: Rows, cluster: NDArray[np.str_], encoding: Encoding, origins: RollingOrigins, slope: float
) -> float:
    """The standard deviation of the served log-odds over refits; 0 where half of the accounts are too few to fit.

    Args:
        choice: the selected rung.
        rows: the rows that it is fitted on.
        cluster: the account, group or lead of each row.
        encoding: the encoding of the features.
        origins: the directions and the seed.
        slope: the slope of the calibration map.
    """
    first = _half(cluster, origins.seed)
    halves = [np.flatnonzero(first), np.flatnonzero(~first)]
    if choice.rung == "base_rate" or not all(has_enough_outcomes(rows.won[half]) for half in halves):
        return 0.0
    created = np.flatnonzero(rows.at_creation)
    margins = []
    for half in halves:
        fitted = choice.fit(rows.take(half), encoding, origins.directions, origins.seed)
        margins.append(fitted.contributions(rows.matrix[created]).sum(axis=1))
    difference = slope * (margins[0] - margins[1])
    # The difference in level is part of the map's own uncertainty.
    return float(np.sqrt(np.mean((difference - difference.mean()) ** 2) / 4))


def _half(cluster: NDArray[np.str_], seed: int) -> NDArray[np.bool_]:
    """Half of the clusters, drawn from hashes of their names, so that the order of the rows changes nothing."""
    names = np.unique(cluster)
    drawn = {name: hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] < 128 for name in names.tolist()}
    return np.array([drawn[name] for name in cluster.tolist()])


def level_spread(choice: Choice, origins: RollingOrigins) -> float:
    """The standard deviation by which the level moved between the origins."""
    if not choice.margins:
        return 0.0
    log_odds = np.asarray(logit(np.clip(origins.calibrated(choice.margins), 1e-9, 1 - 1e-9)))
    moved, noise = [], []
    for number in range(len(origins.folds)):
        own = origins.fold_of == number
        probability = np.asarray(sigmoid(log_odds[own]))
        moved.append(fit_intercept(log_odds[own], origins.won[own]))
        noise.append(1 / max(float((probability * (1 - probability)).sum()), 1.0))
    beyond = float(np.mean(np.array(moved) ** 2)) - float(np.mean(noise))
    return math.sqrt(max(beyond, 0.0))
