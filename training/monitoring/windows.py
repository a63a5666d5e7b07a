"""Who recent leads are compared with, and which earlier windows tell what the passing of time does by itself.

Recent leads are held against the last ones before the champion was made. Nothing is stationary: seasons return,
partners' histories grow, use of integrations spreads. So windows before the champion was made are held against still
earlier leads in the same way, as far apart in time; what that makes of them is habit, and only what goes beyond it is
drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.values import DAY
from models.arrays import Booleans

Times = NDArray[np.int64]

FEWEST = 100
"""ObservedLeads on either side without which no drift is looked for."""
_FEWEST_PAST = FEWEST // 2
_MOST = 12


@dataclass(frozen=True)
class WindowPair:
    """Two windows of leads that are compared."""

    before: Booleans
    after: Booleans

    @property
    def fewest(self) -> int:
        """How many leads the smaller one has."""
        return min(int(self.before.sum()), int(self.after.sum()))


@dataclass(frozen=True)
class ComparedWindows:
    """What is compared with what.

    Attributes:
        recent: the last leads before the champion was made, and the recent ones.
        past: pairs from before the champion was made, the latest first; may be none.
        time_gap_ratio: square of the time between the recent leads and those before, divided by the square of that
            time in the past pairs; at least 1, and 1 without past pairs.
    """

    recent: WindowPair
    past: tuple[WindowPair, ...]
    time_gap_ratio: float


@dataclass(frozen=True)
class _Lengths:
    """Microseconds: of a past window, of what it is held against, and of the time between the two."""

    window: int
    before: int
    gap: int

    @property
    def distance(self) -> float:
        """Between the middles of both."""
        return self.gap + (self.window + self.before) / 2


def compare_windows(created: Times, cut: int, as_of: int, days: int) -> ComparedWindows:
    """The windows of a champion with a data cut, looked at as of a moment; leads of the last `days` are recent.

    Args:
        created: when each lead was, microseconds; at least one.
        cut: the champion's data cut.
        as_of: the moment.
        days: how far back leads are recent.
    """
    since = as_of - days * DAY
    end = min(cut, since)
    time = max(0, end - int(created.min()))
    now = _Lengths(days * DAY, time // 3, since - end)
    then = _Lengths(min(days * DAY, time // 8), time // 3, min(since - end, time // 3))
    return ComparedWindows(
        recent=WindowPair(_between(created, end - now.before, end), _between(created, since, as_of)),
        past=_past(created, end - time, end, then) if then.window else (),
        time_gap_ratio=max(1.0, (now.distance / then.distance) ** 2) if then.window else 1.0,
    )


def _past(created: Times, first: int, end: int, lengths: _Lengths) -> tuple[WindowPair, ...]:
    found = []
    for last in range(end, first, -lengths.window)[:_MOST]:
        until = last - lengths.window - lengths.gap
        if until - lengths.before < first:
            break
        pair = WindowPair(
            _between(created, until - lengths.before, until), _between(created, last - lengths.window, last)
        )
        if pair.fewest >= _FEWEST_PAST:
            found.append(pair)
    return tuple(found)


def _between(created: Times, after: int, until: int) -> Booleans:
    flags: Booleans = (created > after) & (created <= until)
    return flags


def drift_p_value(value: float, error: float, past: Sequence[tuple[float, float]], least: float) -> float:
    """The probability of so large a value, were it what past windows have, or `least` if that is more.

    Args:
        value: of recent leads.
        error: its standard error.
        past: each past window's value and standard error.
        least: what it is where nothing whatever moves.
    """
    usual, unsure = least, 0.0
    if past:
        values, errors = np.array(past).T
        usual = max(least, float(values.mean()))
        sampling = float((errors**2).mean())
        between = max(0.0, float(values.var(ddof=1)) - sampling) if len(past) > 1 else 0.0
        unsure = between + (sampling + between) / len(past)
    return float(stats.norm.sf((value - usual) / max(float(np.hypot(error, np.sqrt(unsure))), 1e-9)))
