"""Follow-up: the outcomes of snapshots, and the part of them that was known by a moment.

A hazard model learns from snapshots of any age: a label need not be complete, the time under observation counts. Events
that happened or were recorded after the moment are never used.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.value_types import DAY
from models.arrays import Integers, Reals

OPEN, WON, LOST = range(3)
_RECORDED_SHARE = 0.95
"""Observation ends where this share of closes has been recorded."""


@dataclass(frozen=True)
class KnownOutcomes:
    """The outcomes of snapshots that were known by a moment; arrays of equal length.

    Attributes:
        event: `OPEN`, `WON` or `LOST`.
        days: from the snapshot to the close, or to the end of observation for an open lead; never below 0.
        watched: days from the snapshot to the end of observation, with or without a close; never below 0.
    """

    event: Integers
    days: Reals
    watched: Reals

    def take(self, chosen: Integers | NDArray[np.bool_]) -> Self:
        """Some of the snapshots, by positions or flags."""
        return type(self)(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """The final outcomes of snapshots; arrays of equal length, times in microseconds.

    Attributes:
        as_of: the moment of the snapshot.
        created: the moment of the lead's creation snapshot.
        closed_at: when the lead was won, else lost; `training.data.snapshots.NEVER` where it is open.
        known_at: when the close was recorded; `training.data.snapshots.NEVER` where the lead is open.
        won: whether the close was a win.
        cluster: the account, group or lead it belongs to.
        weight: the weight of the snapshot.

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
        return type(self)(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def known_by(self, moment: int) -> KnownOutcomes:
        """The outcomes known by a moment, microseconds.

        A lead that closed yesterday may look open today. So observation ends earlier than the moment, by the time
        within which 95 % of the closes known by then were recorded.
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
        """The number of leads created before a moment whose win was known by it."""
        return int(((self.known_by(moment).event == WON) & (self.as_of == self.created) & (self.as_of < moment)).sum())

    def lag(self, moment: int) -> int:
        """Microseconds within which 95 % of the closes known by a moment were recorded; each lead counts once."""
        known = (self.as_of == self.created) & (self.known_at <= moment) & (self.closed_at <= moment)
        if not known.any():
            return 0
        return max(0, int(np.quantile((self.known_at - self.closed_at)[known], _RECORDED_SHARE, method="higher")))
