"""The windows of leads that monitoring compares: a recent pair, and past pairs as the baseline.

Recent leads are compared with the last leads before the champion was trained. Nothing is stationary: seasons return,
partners' histories grow, use of integrations spreads. So earlier windows are compared with still earlier leads in the
same way, at about the same distance in time. Their difference is the baseline drift; only a larger one is an alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.value_types import DAY
from models.arrays import Booleans

Times = NDArray[np.int64]

MIN_LEADS = 100
"""Leads that each side of a pair needs before drift is tested."""
_MIN_PAST_LEADS = MIN_LEADS // 2
_MAX_PAIRS = 12


@dataclass(frozen=True)
class WindowPair:
    """Two windows of leads to compare, as flags of the leads."""

    before: Booleans
    after: Booleans

    @property
    def smaller(self) -> int:
        """The number of leads in the smaller window."""
        return min(int(self.before.sum()), int(self.after.sum()))


@dataclass(frozen=True)
class ComparedWindows:
    """The pairs of windows.

    Attributes:
        recent: the last leads before the champion was trained, and the recent leads.
        past: pairs from before the champion was trained, the latest first; may be empty.
        time_gap_ratio: square of the time between the recent leads and those before, divided by the square of that
            time in the past pairs; at least 1, and 1 without past pairs.
    """

    recent: WindowPair
    past: tuple[WindowPair, ...]
    time_gap_ratio: float


@dataclass(frozen=True)
class _Lengths:
    """Microseconds: of the later window, of the earlier one, and of the time between the two."""

    window: int
    before: int
    gap: int

    @property
    def distance(self) -> float:
        """Between the middles of both windows."""
        return self.gap + (self.window + self.before) / 2


def compare_windows(created: Times, cut: int, as_of: int, days: int) -> ComparedWindows:
    """The windows for a champion with a data cut, as of a moment; leads of the last `days` are recent.

    Args:
        created: the creation of each lead, microseconds; at least one.
        cut: the champion's data cut, microseconds.
        as_of: the moment, microseconds.
        days: days back from the moment in which leads are recent.
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
    pairs = []
    for last in range(end, first, -lengths.window)[:_MAX_PAIRS]:
        until = last - lengths.window - lengths.gap
        if until - lengths.before < first:
            break
        pair = WindowPair(
            _between(created, until - lengths.before, until), _between(created, last - lengths.window, last)
        )
        if pair.smaller >= _MIN_PAST_LEADS:
            pairs.append(pair)
    return tuple(pairs)


def _between(created: Times, after: int, until: int) -> Booleans:
    flags: Booleans = (created > after) & (created <= until)
    return flags


def drift_p_value(value: float, error: float, past: Sequence[tuple[float, float]], minimum: float) -> float:
    """The probability of a value as large as that of the recent pair, if it were drawn like those of the past pairs.

    Past pairs differ for two reasons: sampling, whose variance their standard errors give, and real differences between
    windows, whose variance is what is left over (method of moments, as in a random-effects meta-analysis).

    Args:
        value: of the recent pair.
        error: its standard error.
        past: the value and standard error of each past pair.
        minimum: the value where nothing drifts; the baseline is never below it.
    """
    baseline, variance = minimum, 0.0
    if past:
        values, errors = np.array(past).T
        baseline = max(minimum, float(values.mean()))
        sampling = float((errors**2).mean())
        between = max(0.0, float(values.var(ddof=1)) - sampling) if len(past) > 1 else 0.0
        variance = between + (sampling + between) / len(past)
    return float(stats.norm.sf((value - baseline) / max(float(np.hypot(error, np.sqrt(variance))), 1e-9)))
