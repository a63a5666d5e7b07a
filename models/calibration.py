"""The calibration map from margins to log-odds, and the range of the probability.

The map is affine on the log-odds, `slope * margin + intercept`. It scales each contribution by the slope and keeps the
sum exact.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.arrays import Matrix, Reals
from models.probability import MIN_PROBABILITY, logit, sigmoid
from models.statistics import NORMAL_95


@dataclass(frozen=True)
class Calibration:
    """The affine map from margins to log-odds, and its uncertainty.

    Attributes:
        slope: positive.
        intercept: added to slope times margin.
        draws: (slope, intercept) of refits of the map on bootstrap samples of whole accounts. Their spread at a margin
            is the uncertainty of the map.
        model_spread: standard deviation, in log-odds, of the model's own refits on other accounts; 0 where not known.
        level_spread: standard deviation, in log-odds, by which the level moved between origins; 0 where not known.
    """

    slope: float
    intercept: float
    draws: tuple[tuple[float, float], ...] = ()
    model_spread: float = 0.0
    level_spread: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.slope < math.inf:
            raise ValueError(f"the calibration's slope must be positive and finite, not {self.slope}")
        if not (0 <= self.model_spread < math.inf and 0 <= self.level_spread < math.inf):
            raise ValueError(f"a spread must be 0 or more, not {self.model_spread} and {self.level_spread}")

    @cached_property
    def _slopes_and_intercepts(self) -> Matrix:
        """The draws' slopes in the first row, their intercepts in the second."""
        return np.array(self.draws).T

    def log_odds(self, margin: Reals) -> Reals:
        """Calibrated log-odds of margins."""
        return self.slope * margin + self.intercept

    def range(self, margin: Reals) -> tuple[Reals, Reals]:
        """The lower and upper ends of the 95 % range of the probability at each margin; it contains the probability.

        The range states the uncertainty of the probability, not of the single lead's outcome: that of the map, widened
        on log-odds by the spreads of the model and of the level, which are independent of it.
        """
        lower, upper = self._range_of_map(margin)
        beside = NORMAL_95**2 * (self.model_spread**2 + self.level_spread**2)
        if not beside:
            return lower, upper
        centre = self.log_odds(margin)
        below, above = np.abs(centre - _bounded_logit(lower)), np.abs(_bounded_logit(upper) - centre)
        wider_lower, wider_upper = centre - np.sqrt(below**2 + beside), centre + np.sqrt(above**2 + beside)
        return np.minimum(lower, sigmoid(wider_lower)), np.maximum(upper, sigmoid(wider_upper))

    def _range_of_map(self, margin: Reals) -> tuple[Reals, Reals]:
        value = sigmoid(self.log_odds(margin))
        if not self.draws:
            return value, value
        slopes, intercepts = self._slopes_and_intercepts
        # Each draw is one map that the accounts could have given. A row holds one lead's probability under every draw,
        # in order; leaving out 2.5 % at each end is the percentile interval of the bootstrap.
        probabilities = np.sort(sigmoid(np.outer(margin, slopes) + intercepts), axis=1)
        lower, upper = _quantile(probabilities, 0.025), _quantile(probabilities, 0.975)
        # The draws may all lie on one side of the map itself, which is fitted on all accounts.
        return np.minimum(lower, value), np.maximum(upper, value)


def _bounded_logit(probability: Reals) -> Reals:
    return np.asarray(logit(np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)))


def _quantile(ordered: Matrix, share: float) -> Reals:
    """A quantile of each row of ordered values, equal to `np.quantile` in the last bit.

    `np.quantile` takes ten times as long for a single row, and a request has a single row.
    """
    # Linear interpolation between the two values around the position, from the nearer one, as NumPy does.
    position = share * (ordered.shape[1] - 1)
    below = math.floor(position)
    weight = position - below
    low, high = ordered[:, below], ordered[:, min(below + 1, ordered.shape[1] - 1)]
    quantile: Reals = low + (high - low) * weight if weight < 0.5 else high - (high - low) * (1 - weight)
    return quantile
