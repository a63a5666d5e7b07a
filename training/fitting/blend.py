"""The blend rung: its members' weights, by stacking at the rolling origins.

Stacking (Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1) gives each member the weight with which the blend loses least
out of time. Few wins cannot tell members apart, so the weights are shrunk towards equal ones, the more the fewer the
wins (see `training.fitting.calibration.trust`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from models.arrays import Matrix, Reals
from models.probability import Rung, log_losses, logit, sigmoid


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a blend.

    Attributes:
        rung: its rung.
        settings: the value of the rung's own setting, by its name.
        weight: its share of the blend's margin.
    """

    rung: Rung
    settings: Mapping[str, float]
    weight: float


def stacked_weights(probabilities: Sequence[Reals], won: Reals, trusted: float) -> tuple[float, ...]:
    """The weights of members, which add up to 1.

    Args:
        probabilities: each member's calibrated probabilities of the judged rows.
        won: the outcomes of these rows.
        trusted: how far the outcomes are believed, from 0 (equal weights) to 1 (the weights with the least loss).
    """
    log_odds = np.column_stack([logit(np.clip(each, 1e-9, 1 - 1e-9)) for each in probabilities])
    count = log_odds.shape[1]
    equal = np.full(count, 1 / count)
    weights = trusted * _least_loss(log_odds, won, equal) + (1 - trusted) * equal
    return tuple(float(weight) for weight in weights / weights.sum())


def _least_loss(log_odds: Matrix, won: Reals, start: Reals) -> Reals:
    """The convex weights with the least mean log loss; the loss is convex in them."""

    def loss(weights: Reals) -> tuple[float, Reals]:
        margin = log_odds @ weights
        residual = sigmoid(margin) - won
        return float(log_losses(won, sigmoid(margin)).mean()), np.asarray(residual @ log_odds / len(won))

    optimum = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        # The default tolerance is larger than what weights change in the loss.
        options={"ftol": 1e-12},
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
    )
    found = np.clip(np.asarray(optimum.x, dtype=np.float64), 0.0, None)
    return np.asarray(found / found.sum())
