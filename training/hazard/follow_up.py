"""Follow-up: what came of snapshots, and how much of it was known by a moment.

A hazard is learned from snapshots of any age, so what counts is not whether a label is complete but how long a lead was
watched. Nothing that happened or was recorded after the moment asked about is ever used.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.values import DAY
from models.arrays import Integers, Reals

OPEN, WON, LOST = range(3)
_LATE = 0.95
"""The share of closes that are on record when watching is said to end."""


@dataclass(frozen=True)
class KnownOutcomes:
    """What was known of snapshots by a moment; arrays of equal length.

    Attributes:
        event: `OPEN`, `WON` or `LOST`.
        days: from the snapshot to the close, of open leads to the end of watching; never below 0.
        watched: days from the snapshot to the end of watching, whatever came of it; never below 0.
    """

    event: Integers
    days: Reals
    watched: Reals

    def take(self, chosen: Integers | NDArray[np.bool_]) -> Self:
        """Some of the snapshots, by positions or flags."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class FollowUp:
    """What came of snapshots in the end; arrays of equal length, times in microseconds.

    Attributes:
        as_of: the moment of the snapshot.
        created: the moment of the lead's creation snapshot.
        closed_at: when the lead was won, else lost; `training.data.snapshots.NEVER` where it is open.
        known_at: when that was recorded; `training.data.snapshots.NEVER` where it is open.
        won: whether it was won.
        cluster: the account, group or lead it belongs to.
        weight: of the snapshot.

    Raises:
        ValueError: the arrays differ in length.
    """

    as_of: Integers
    created: Integers
    closed_at: Integers
    known_at: Integers
    won: NDArray[np.bool_]
    cluster: NDArray[np.str_]
    weight: Reals

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the columns of a follow-up must be of one length, not {lengths}")

    def __len__(self) -> int:
        return len(self.as_of)

    def take(self, chosen: Integers | NDArray[np.bool_]) -> Self:
        """Some of the snapshots, by positions or flags."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def known_by(self, moment: int) -> KnownOutcomes:
        """What was known of each by a moment, microseconds.

        Watching ends before the moment by as long as 95 % of the closes known by then took to be recorded: a lead that
        closed yesterday may look open today.
        """
        end = moment - self.lag(moment)
        closed = (self.closed_at <= end) & (self.known_at <= moment)
        until = np.where(closed, self.closed_at, end)
        return KnownOutcomes(
            event=np.where(closed, np.where(self.won, WON, LOST), OPEN).astype(np.int64),
            days=np.maximum((until - self.as_of) / DAY, 0.0),
            watched=np.maximum((end - self.as_of) / DAY, 0.0),
        )

    def wins(self, moment: int) -> int:
        """How many leads created before a moment were known by it to be won."""
        return int(((self.known_by(moment).event == WON) & (self.as_of == self.created) & (self.as_of < moment)).sum())

    def lag(self, moment: int) -> int:
        """Microseconds within which 95 % of the closes known by a moment were recorded; each lead counts once."""
        told = (self.as_of == self.created) & (self.known_at <= moment) & (self.closed_at <= moment)
        if not told.any():
            return 0
        return max(0, int(np.quantile((self.known_at - self.closed_at)[told], _LATE, method="higher")))
