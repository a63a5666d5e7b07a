"""Checks of the arrival of records: whether they still arrive, how late, and whether their number changed suddenly."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, TypeAlias

from features.quality.checks import LATE, STALE, VOLUME_DAY, VOLUME_WEEK, Check
from features.quality.report import Finding, shown
from features.quality.scope import Scope, identifier
from features.quality.thresholds import Limits, Severity, Stale, Volume
from features.records import Kind
from features.value_types import DAY, iso_date

Query: TypeAlias = Callable[[str], Sequence[Mapping[str, Any]]]
"""Runs SQL and returns its rows."""
Ages: TypeAlias = Mapping[int, int]
"""The number of records that arrived on each day; a day is counted back from the examined moment (0: the last 24 h)."""

_SOURCES = {"integration_usage": "integration", "touchpoints": "channel"}
"""The column that names the source of a record."""
_LATE_KINDS = frozenset(
    {"leads", "referrals", "confirmations", "integration_usage", "touchpoints", "buying_signals", "lead_events"}
)
"""The kinds that should be recorded soon after they happen; others state what has long held, or a plan."""
_USUAL = 0.95
"""The share of the gaps between arrivals that count as usual."""
_MIN_WEEKS = 4
_WEEK = 7
_NORMAL_MAD = 1.4826
"""The standard deviation of a normal distribution, in units of its median absolute deviation."""


def arrivals(scope: Scope, kind: Kind, query: Query) -> Iterator[Finding]:
    """The findings on the arrival of records of a kind."""
    by_source = _ages(scope, kind, query)
    ages: Counter[int] = Counter()
    for counts in by_source.values():
        ages.update(counts)
    if not ages:
        return
    yield from _stale(scope, kind, ages, by_source)
    if kind.name in _LATE_KINDS:
        yield from _late(scope, kind, query)
    if scope.thresholds.stale.intervals.get(kind.name, 1) <= _WEEK:
        yield from _volume(scope, kind, ages)


def _ages(scope: Scope, kind: Kind, query: Query) -> dict[str, dict[int, int]]:
    source = scope.compared(kind, _SOURCES[kind.name]) if kind.name in _SOURCES else "''"
    age = f"({scope.as_of} - recorded_at)"
    rows = query(
        f"SELECT coalesce({source}, '') AS source, {age} - {age} % {DAY} AS age, count(*) AS n "
        f"FROM {scope.versions(kind)} AS v WHERE recorded_at <= {scope.as_of} GROUP BY 1, 2"
    )
    ages_by_source: dict[str, dict[int, int]] = {}
    for row in rows:
        ages_by_source.setdefault(str(row["source"]), {})[row["age"] // DAY] = row["n"]
    return ages_by_source


def _stale(scope: Scope, kind: Kind, ages: Ages, by_source: Mapping[str, Ages]) -> Iterator[Finding]:
    limits = scope.thresholds.stale
    whole = _silence(kind, ages, min(ages), limits)
    if whole is None:
        return
    yield _silent(scope, kind, None, whole, limits)
    if limits.severity(whole.ratio) != "ok" or kind.name not in _SOURCES:
        return
    softly = Limits(warn=limits.warn)
    for source, counts in sorted(by_source.items()):
        silence = _silence(kind, counts, 0, limits)
        if source and silence is not None:
            yield _silent(scope, kind, source, silence, softly)


@dataclass(frozen=True)
class _Silence:
    """A silence: the days without a new record, and the usual maximum of such days."""

    days: int
    usual: int

    @property
    def ratio(self) -> float:
        return self.days / self.usual


def _silence(kind: Kind, ages: Ages, newest: int, limits: Stale) -> _Silence | None:
    """The silence up to the examined moment, and the usual gap between arrivals in the days before `newest`.

    None where there are too few gaps to compare with.
    """
    active = sorted(age for age in ages if newest <= age <= newest + limits.days)
    gaps = sorted(after - before for before, after in pairwise(active))
    if len(gaps) < limits.gaps:
        return None
    return _Silence(active[0], max(gaps[math.ceil(_USUAL * len(gaps)) - 1], limits.intervals.get(kind.name, 1)))


def _silent(scope: Scope, kind: Kind, source: str | None, silence: _Silence, limits: Limits) -> Finding:
    last = iso_date(scope.as_of - silence.days * DAY)
    return _finding(
        STALE,
        limits.severity(silence.ratio),
        kind,
        column="recorded_at",
        source=source and _named(source),
        count=silence.days,
        detail=f"last recorded around {last}, {_days(silence.days)} before; usually within {_days(silence.usual)}",
    )


def _named(source: str) -> str:
    """A source as reports show it. A product may have several words in its name, unlike an id."""
    return shown("-".join(source.split()))


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number:,} days"


def _late(scope: Scope, kind: Kind, query: Query) -> Iterator[Finding]:
    limits = scope.thresholds.late
    delay = "(r.recorded_at - r.occurred_at)"
    name, id_ = scope.versions(kind), identifier(kind.id)
    # A correction is always recorded later than the fact, so the delay is measured at the first version only.
    rows = query(
        f"SELECT {delay} - {delay} % {DAY} AS delay, count(*) AS n FROM {name} AS r "
        f"WHERE r.recorded_at > {scope.as_of - limits.within_days * DAY} AND r.recorded_at <= {scope.as_of} "
        f"AND r.occurred_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {name} AS p "
        f"WHERE p.superseded_at IS NOT NULL AND p.{id_} = r.{id_} AND p.superseded_at = r.recorded_at) GROUP BY 1"
    )
    delays = Counter({row["delay"] // DAY: row["n"] for row in rows})
    total = delays.total()
    if not total:
        return
    over = sum(n for delay_days, n in delays.items() if delay_days >= limits.days)
    detail = f"half within {_days(_quantile(delays, 0.5))}, 95% within {_days(_quantile(delays, 0.95))}"
    detail += f"; over {_days(limits.days)} counts as late"
    share = over / total
    yield _finding(
        LATE,
        limits.severity(share),
        kind,
        column="recorded_at",
        count=over,
        of=total,
        share=share,
        detail=detail,
    )


def _quantile(delays: Mapping[int, int], share: float) -> int:
    """The smallest number of whole days, rounded up, within which a share of the records was recorded."""
    wanted, seen = share * sum(delays.values()), 0
    for delay, n in sorted(delays.items()):
        seen += n
        if seen >= wanted:
            return max(delay + 1, 0)
    return 0


def _volume(scope: Scope, kind: Kind, ages: Ages) -> Iterator[Finding]:
    oldest = max(ages)
    for check, limits, length, word in (
        (VOLUME_WEEK, scope.thresholds.volume_week, _WEEK, "the last 7 days"),
        (VOLUME_DAY, scope.thresholds.volume_day, 1, "the last 24 hours"),
    ):
        weeks = min(limits.weeks, (oldest + 1 - length) // _WEEK)
        if weeks >= _MIN_WEEKS:
            newest, *before = [
                sum(ages.get(_WEEK * week + day, 0) for day in range(length)) for week in range(weeks + 1)
            ]
            change = sudden(newest, before, limits)
            detail = f"{newest:,} in {word}, as a rule {median(before):,.0f}"
            yield _finding(check, limits.severity(change), kind, count=newest, share=change, detail=detail)


def sudden(newest: int, before: Sequence[int], limits: Volume) -> float:
    """The change of a count, as a share of the larger of the count and the median before; 0 where chance explains it.

    Counts are compared on the scale 2·sqrt(n + 3/8) (Anscombe 1948, doi 10.1093/biomet/35.3-4.246). On that scale a
    Poisson count has a standard deviation of 1 whatever its mean. Where the earlier counts vary more than that, their
    median absolute deviation widens the limit.

    Args:
        newest: the count to judge.
        before: the counts of the same span in earlier weeks.
        limits: the number of deviations up to which a change counts as chance.

    >>> sudden(50, [98, 100, 102, 104], Volume(warn=0.5, weeks=4, deviations=4))
    0.504950495049505
    >>> sudden(99, [98, 100, 102, 104], Volume(warn=0.5, weeks=4, deviations=4))
    0.0
    """
    if min(before) <= newest <= max(before):
        return 0.0
    scaled = [_stabilised(n) for n in before]
    middle = median(scaled)
    spread = max(1.0, _NORMAL_MAD * median(abs(each - middle) for each in scaled))
    if abs(_stabilised(newest) - middle) <= limits.deviations * spread:
        return 0.0
    usual = median(before)
    return abs(newest - usual) / max(newest, usual)


def _stabilised(count: int) -> float:
    return 2 * math.sqrt(count + 3 / 8)


def _finding(
    check: Check,
    severity: Severity,
    kind: Kind,
    *,
    count: int,
    detail: str,
    column: str | None = None,
    source: str | None = None,
    of: int | None = None,
    share: float | None = None,
) -> Finding:
    return Finding(
        check=check.id,
        title=check.title,
        severity=severity,
        kind=kind.name,
        column=column,
        source=source,
        count=count,
        of=of,
        share=share,
        examples=(),
        detail=detail,
        fix=check.fix.format(kind=kind.name, column=column),
    )
