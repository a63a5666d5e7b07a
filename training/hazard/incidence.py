"""Incidence: the probability of a win, or a loss, by a day; a lost lead stays lost (competing risks).

With the hazards l1 (won) and l2 (lost) of period j, S(j) = prod(1 - l1 - l2) and F(j) = sum l1(j) S(j-1). Within a
period both incidences rise linearly, so that on any day won, lost and open sum to 1.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from training.hazard.follow_up import LOST, OPEN, WON, KnownOutcomes

PERIODS = (7, 14, 21, 30, 45, 60, 90, 120, 150, 180)
"""Ends of the periods, in days after the snapshot."""
CURVE = (30, 60, 90, 180)
"""Days of a forecast curve."""


def periods_for(horizon_days: int) -> tuple[int, ...]:
    """The ends of the periods, with the horizon among them.

    >>> periods_for(100)
    (7, 14, 21, 30, 45, 60, 90, 100, 120, 150, 180)
    """
    return tuple(sorted({*PERIODS, horizon_days}))


@dataclass(frozen=True)
class PersonPeriods:
    """One row for each period in which the lead of a snapshot was at risk and was observed to the end of the period.

    A period that the end of observation cuts in two is left out whole: keeping only its closes would make leads seem to
    close faster than they do.

    Attributes:
        row: position of the snapshot.
        period: position of the period.
        event: `OPEN`, `WON` or `LOST` at the period's end.
    """

    row: Integers
    period: Integers
    event: Integers

    @classmethod
    def of(cls, known: KnownOutcomes, periods: tuple[int, ...]) -> Self:
        """The person-periods of the known outcomes of snapshots."""
        ends = np.array(periods, dtype=np.float64)
        starts = np.append(0.0, ends[:-1])
        days, event = known.days[:, None], known.event[:, None]
        # A lead that had closed by the snapshot, but was not recorded yet, closes in the first period.
        at_risk = ((days > starts) | (starts == 0)) & (known.watched[:, None] >= ends)
        row, period = np.nonzero(at_risk)
        closing = np.where(days <= ends, event, OPEN)
        return cls(row.astype(np.int64), period.astype(np.int64), closing[row, period])

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: Integers | NDArray[np.bool_]) -> Self:
        """Some of the rows, by positions or flags."""
        return type(self)(self.row[chosen], self.period[chosen], self.event[chosen])


@dataclass(frozen=True)
class Curve:
    """The forecast curve of leads; arrays with a row a lead.

    Attributes:
        days: the days of the columns of `won`.
        won: P(won within those days), never falling from column to column.
        expected_days: mean days to the close, given a win within the last of `days`.
    """

    days: tuple[int, ...]
    won: Reals
    expected_days: Reals


@dataclass(frozen=True)
class Incidence:
    """The probability of having won, and of having lost, by the end of each period.

    Attributes:
        periods: ends of the periods, in days.
        won, lost: shape (rows, periods), never falling along a row; their sum never exceeds 1.
    """

    periods: tuple[int, ...]
    won: Reals
    lost: Reals

    @classmethod
    def of(cls, hazards: Reals, periods: tuple[int, ...]) -> Self:
        """The incidence from hazards of shape (rows, periods, 2): first of a win, then of a loss."""
        stays = np.cumprod(1 - hazards.sum(axis=2), axis=1)
        before = np.column_stack([np.ones(len(hazards)), stays[:, :-1]])
        won, lost = (np.cumsum(hazards[:, :, cause] * before, axis=1) for cause in (0, 1))
        return cls(periods, won, lost)

    def won_by(self, days: Reals | float) -> Reals:
        """P(won within `days`) of each row; `days` is one number or one a row, at most the last period's end."""
        return self._at(self.won, days)

    def open_at(self, days: Reals | float) -> Reals:
        """P(still open after `days`) of each row."""
        return 1 - self._at(self.won, days) - self._at(self.lost, days)

    def curve(self, days: tuple[int, ...] = CURVE) -> Curve:
        """The curve at these days and the expected days to close, given won by the last of them."""
        won = np.column_stack([self.won_by(float(day)) for day in days])
        return Curve(days, won, self._expected_days(days[-1]))

    def _expected_days(self, within: int) -> Reals:
        """The mean days to a win within `within` days: `within` less the area under F, divided by F(within)."""
        ends = sorted({0, *(end for end in self.periods if end < within), within})
        heights = np.column_stack([self.won_by(float(end)) for end in ends])
        area = np.trapezoid(heights, ends, axis=1)
        return within - area / np.maximum(heights[:, -1], 1e-12)

    def _at(self, values: Reals, days: Reals | float) -> Reals:
        wanted = np.broadcast_to(np.asarray(days, dtype=np.float64), len(values))
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() <= self.periods[-1]):
            raise ValueError(f"the incidence is known from 0 to {self.periods[-1]} days, not at {days}")
        bounds = np.array([0, *self.periods], dtype=np.float64)
        padded = np.column_stack([np.zeros(len(values)), values])
        period = np.clip(np.searchsorted(bounds, wanted, side="right") - 1, 0, len(bounds) - 2)
        part = (wanted - bounds[period]) / (bounds[period + 1] - bounds[period])
        row = np.arange(len(values))
        interpolated: Reals = padded[row, period] * (1 - part) + padded[row, period + 1] * part
        return interpolated


def aalen_johansen(known: KnownOutcomes, weight: Reals, periods: tuple[int, ...]) -> Incidence:
    """The incidence of all snapshots together, in one row: the Aalen-Johansen estimate, without features.

    A period without any lead at risk has no events.
    """
    rows = PersonPeriods.of(known, periods)
    count = len(periods)
    mass = weight[rows.row]
    at_risk = np.bincount(rows.period, weights=mass, minlength=count)
    events = [np.bincount(rows.period, weights=mass * (rows.event == cause), minlength=count) for cause in (WON, LOST)]
    hazards = np.stack(events, axis=1) / np.maximum(at_risk, 1e-12)[:, None]
    return Incidence.of(hazards[None], periods)
