"""The sample of leads that the search for leaks reads, and the history of the leads beyond their labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.statistics import cluster_sums
from training.data.rows import Rows
from training.data.snapshots import MAX_SNAPSHOTS, WEEK, Snapshots
from training.data.splits import Split

FAMILY = 1e-3
"""Family-wise error rate of each search: the probability that chance alone raises any suspect among honest columns."""


@dataclass(frozen=True, kw_only=True)
class LeadHistory:
    """The history of the leads of all rows, beyond features and labels; one entry a row.

    Attributes:
        lead_id: the lead.
        as_of: the moment of the snapshot, microseconds.
        cluster: the account, group or lead it belongs to.
        position: rank in time of the lead's creation; None where leads have no order.
        ever_won: whether the lead was ever won, also after the horizon.
        closing: whether the lead closed within a week after this snapshot.
    """

    lead_id: NDArray[np.str_]
    as_of: Integers
    cluster: NDArray[np.str_]
    position: Integers | None
    ever_won: NDArray[np.bool_]
    closing: NDArray[np.bool_]

    @classmethod
    def of(cls, snapshots: Snapshots) -> "LeadHistory":
        """The history that labelled snapshots contain.

        The last snapshot of a lead was taken in the week of its close where one more snapshot would still have had a
        complete label. A lead was ever won where any of its labels is a win.
        """
        _, lead = np.unique(snapshots.lead_id, return_inverse=True)
        count = np.bincount(lead)[lead]
        last = np.zeros(lead.max() + 1, dtype=np.int64)
        np.maximum.at(last, lead, snapshots.as_of)
        mature = snapshots.cut - (snapshots.horizon_days or 0) * (WEEK // 7)
        closing = (snapshots.as_of == last[lead]) & (count < MAX_SNAPSHOTS) & (snapshots.as_of + WEEK <= mature)
        several = count.max() > 1 and snapshots.horizon_days is not None
        return cls(
            lead_id=snapshots.lead_id,
            as_of=snapshots.as_of,
            cluster=snapshots.cluster,
            position=snapshots.created if snapshots.dated else snapshots.order,
            ever_won=np.bincount(lead, weights=snapshots.won)[lead] > 0,
            closing=closing & several,
        )


@dataclass(frozen=True)
class Sample:
    """The training leads at creation, one row each.

    Attributes:
        positions: their rows.
        won: their outcomes: ever won where that is known, else the label.
        overdispersion: the variance of the mean outcome divided by that of independent leads, at least 1. Leads of one
            account share their fate, so chance explains more than the number of leads suggests.
    """

    positions: Integers
    won: NDArray[np.bool_]
    overdispersion: float

    @classmethod
    def of(cls, rows: Rows, split: Split, history: LeadHistory | None) -> "Sample":
        """The sample of a split's training rows."""
        positions = split.train[rows.at_creation[split.train]]
        if history is None:
            return cls(positions, rows.won[positions] > 0, 1.0)
        won = history.ever_won[positions]
        return cls(positions, won, _overdispersion(won, history.cluster[positions]))

    @property
    def has_both_outcomes(self) -> bool:
        """Whether both outcomes are among them."""
        return bool(self.won.any() and not self.won.all())


def _overdispersion(won: NDArray[np.bool_], cluster: NDArray[np.str_]) -> float:
    """The variance of the mean over clusters, against that over rows."""
    if not len(won) or won.all() or not won.any():
        return 1.0
    residual: Reals = won - won.mean()
    return max(1.0, float((cluster_sums(residual, cluster) ** 2).sum() / (residual**2).sum()))
