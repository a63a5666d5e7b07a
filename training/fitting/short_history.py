"""Why no rung above the base rate can be fitted and judged: too few outcomes, or too short a history for the horizon.

The purge leaves the horizon out before each rolling origin and before the test window. A long horizon so leaves a short
history nothing to fit on, however many wins it has.
"""

import math
from dataclasses import dataclass

import numpy as np

from features.value_types import DAY
from models.arrays import Integers, Reals
from training.data.rows import MIN_WINS, has_enough_outcomes
from training.data.snapshots import Snapshots
from training.data.splits import ORIGINS, TEST_SHARE_DATED

_SHORTER = (60, 45, 30, 21, 14, 7)
"""Horizons in days that are tried in the place of one that the history does not bear, the longest first."""
_DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class _Creations:
    """Leads at their creation, in the order of time.

    Attributes:
        at: the moments, microseconds.
        days_to_win: the days from creation to the win; infinite for other leads.
    """

    at: Integers
    days_to_win: Reals

    @classmethod
    def of(cls, snapshots: Snapshots) -> "_Creations":
        rows = np.flatnonzero(snapshots.at_creation)
        rows = rows[np.argsort(snapshots.as_of[rows], kind="stable")]
        days = (snapshots.closed_at[rows] - snapshots.as_of[rows]) / DAY
        return cls(snapshots.as_of[rows], np.where(snapshots.won_ever[rows], days, np.inf))

    def bear(self, horizon_days: int) -> bool:
        """Whether rungs can be fitted and judged at the rolling origins of this horizon."""
        purge, won = horizon_days * DAY, (self.days_to_win <= horizon_days).astype(np.float64)
        start = self.at[int(len(self.at) * (1 - TEST_SHARE_DATED))]
        complete = self.at + purge <= start
        if not complete.any():
            return False
        at, won = self.at[complete], won[complete]
        bounds = [at[int(len(at) * share)] for share in ORIGINS]
        judged = [
            won[(at >= origin) & (at < end)]
            for origin, end in zip(bounds, [*bounds[1:], start], strict=True)
            if has_enough_outcomes(won[at + purge <= origin])
        ]
        return bool(judged) and has_enough_outcomes(np.concatenate(judged))


def too_few(snapshots: Snapshots, won: Reals) -> str:
    """Why the rolling origins have too few outcomes, in words.

    Args:
        snapshots: the labelled snapshots.
        won: outcomes of the training leads at creation.
    """
    wins, losses = int(won.sum()), int((1 - won).sum())
    counted = f"{wins:,} wins among {len(won):,} training leads"
    if min(wins, losses) < MIN_WINS:
        return f"{counted} are too few to fit and judge more: {MIN_WINS} wins and {MIN_WINS} losses are needed"
    horizon = snapshots.horizon_days
    if horizon is None:
        return f"{counted} are too few before or after each rolling origin to fit and judge more"
    creations = _Creations.of(snapshots)
    span = (creations.at[-1] - creations.at[0]) / DAY
    months, needed = (
        span / _DAYS_A_MONTH,
        _months_needed(horizon, min(wins, losses), len(won) / len(creations.at), span),
    )
    words = (
        f"{counted} are enough in all, but the horizon of {horizon} days, which each label takes to be complete, "
        f"leaves too few before and after each rolling origin: about {needed} months of such leads are needed, and "
        f"there are {months:.0f}"
    )
    borne = next((days for days in _SHORTER if days < horizon and creations.bear(days)), None)
    return words if borne is None else f"{words}; `--horizon-days {borne}` can be learned"


def _months_needed(horizon: int, outcomes: int, trained: float, span: float) -> int:
    """The months of history at which some origin has enough outcomes before and after it, at the same rate."""
    days_for_enough = MIN_WINS * trained * span / outcomes
    trained_days = min(max((horizon + days_for_enough) / origin, days_for_enough / (1 - origin)) for origin in ORIGINS)
    # Of a history of T days, the training leads are those of the first (1 - test share) * T less the horizon.
    return math.ceil((trained_days + horizon) / (1 - TEST_SHARE_DATED) / _DAYS_A_MONTH)
