"""The rows that a model is fitted on: encoded features with outcomes and weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Matrix, Reals

MAX_LEVELS = 50
MIN_LEVEL_ROWS = 20
"""A category keeps at most its 50 most frequent levels of at least 20 training rows; a rarer level reads as missing."""
MIN_WINS = 10
"""Wins, and losses, that a rung above the base rate needs to be fitted and judged."""
MIN_ROWS_FOR_THREADS = 50_000
"""On fewer rows the threads of LightGBM spend their time waiting for each other."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows that a rung is fitted on.

    Attributes:
        matrix: encoded features (rows, features), NaN for missing.
        won: outcomes, 0 or 1.
        weight: the weight of each row (see training.data.snapshots).
        at_creation: which rows are creation snapshots.
        position: the position of each row in time, in any unit; None where no order is known.
    """

    matrix: Matrix
    won: Reals
    weight: Reals
    at_creation: NDArray[np.bool_]
    position: Reals | None = None

    def take(self, positions: NDArray[np.int64]) -> "Rows":
        """The rows at some positions."""
        return Rows(
            matrix=self.matrix[positions],
            won=self.won[positions],
            weight=self.weight[positions],
            at_creation=self.at_creation[positions],
            position=None if self.position is None else self.position[positions],
        )


def has_enough_outcomes(won: Reals) -> bool:
    """Whether these outcomes hold at least `MIN_WINS` wins and as many losses, enough to fit or to judge."""
    return bool(min(won.sum(), (1 - won).sum()) >= MIN_WINS)
