"""The queries that count the records with an error: each is one predicate over a kind's rows, or one small query."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from features.bounds import bounds
from features.folding import fold
from features.outcomes import CLOSES
from features.partner_lead import PARTNER_ONLY_CHANNELS, SHARED_CHANNELS
from features.quality.checks import (
    ABSURD,
    ANCIENT,
    BEFORE_INTEGRATION,
    CLOSED_BEFORE,
    DUPLICATE,
    FUTURE,
    MISSING,
    RECORDED_BEFORE,
    RECORDED_LATER,
    REFERRED_LATER,
    UNKNOWN_ACCOUNT,
    UNKNOWN_LEAD,
    UNKNOWN_PARTNER,
    UNLISTED,
    VERSIONS,
    Check,
)
from features.quality.scope import Scope, identifier, text
from features.quality.thresholds import Limits, instant
from features.records import KINDS, Kind


@dataclass(frozen=True, kw_only=True)
class ErrorQuery:
    """How the records of a kind that have an error are counted.

    Attributes:
        check: the check that looks for the error.
        kind: the kind of record.
        column: the column that has the error; None where a whole record has it.
        limits: the thresholds of the share of records with the error.
        of: the SQL predicate of the current rows that could have the error.
        where: the SQL predicate of the rows that have it; None where only `groups` finds them.
        groups: the SQL query of `example` (an id) and `n` (the number of records that the example stands for).
    """

    check: Check
    kind: Kind
    column: str | None
    limits: Limits
    of: str
    where: str | None
    groups: str


_ALL = "TRUE"
_DATED = "occurred_at IS NOT NULL"
# Every close must come after the creation, whether or not it decides the lead's state.
_CLOSED = f"event IN ({', '.join(map(text, CLOSES))})"
_ONLY_OF_PARTNER_LEADS = ("leads.source_partner_id", "leads.programme_tier", "leads.referral_date")

_NAMES: Mapping[str, tuple[str, Check]] = {
    "lead_id": ("leads", UNKNOWN_LEAD),
    "duplicate_of": ("leads", UNKNOWN_LEAD),
    "account_id": ("accounts", UNKNOWN_ACCOUNT),
    "partner_id": ("partners", UNKNOWN_PARTNER),
    "source_partner_id": ("partners", UNKNOWN_PARTNER),
}
"""The kind of entity that each column names, and the check that the entity was recorded."""


def error_queries(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    """The queries for a kind, in the order of reports."""
    for queries_of in _QUERIES:
        yield from queries_of(scope, kind)


def _rows(scope: Scope, check: Check, kind: Kind, column: str, limits: Limits, of: str, where: str) -> ErrorQuery:
    """The query of an error that a current row shows by itself."""
    example = identifier(kind.id)
    groups = (
        f"SELECT {example} AS example, count(*) AS n FROM {scope.current(kind)} AS r "
        f"WHERE ({of}) AND ({where}) GROUP BY {example}"
    )
    return ErrorQuery(check=check, kind=kind, column=column, limits=limits, of=of, where=where, groups=groups)


def _grouped(check: Check, kind: Kind, column: str | None, limits: Limits, of: str, groups: str) -> ErrorQuery:
    """The query of an error that shows only in comparison with other rows."""
    return ErrorQuery(check=check, kind=kind, column=column, limits=limits, of=of, where=None, groups=groups)


def _missing(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    for name, limits in scope.thresholds.missing.items():
        of_kind, _, column = name.partition(".")
        if of_kind == kind.name and scope.has(kind.name, column):
            of = _partner_lead(scope) if name in _ONLY_OF_PARTNER_LEADS else _ALL
            yield _rows(scope, MISSING, kind, column, limits, of, f"{identifier(column)} IS NULL")


def _partner_lead(scope: Scope) -> str:
    """The SQL predicate of partner leads (see `features.partner_lead`)."""
    facts = [KINDS[name] for name in ("referrals", "touchpoints") if scope.has(name, "partner_id")]
    involved = [
        f"lead_id IN (SELECT lead_id FROM {scope.current(kind)} AS f WHERE partner_id IS NOT NULL)" for kind in facts
    ]
    shared = f"channel IN ({', '.join(map(text, SHARED_CHANNELS))}) AND ({' OR '.join(involved) or 'FALSE'})"
    named = "source_partner_id IS NOT NULL" if scope.has("leads", "source_partner_id") else "FALSE"
    return f"channel IN ({', '.join(map(text, PARTNER_ONLY_CHANNELS))}) OR {named} OR {shared}"


def _times(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    if kind.planned:
        return
    times, latest = scope.thresholds.times, scope.as_of + scope.tolerance
    before = f"recorded_at < occurred_at - {scope.tolerance} AND occurred_at <= {latest}"
    for check, where in (
        (RECORDED_BEFORE, before),
        (FUTURE, f"occurred_at > {latest}"),
        (ANCIENT, f"occurred_at < {times.start}"),
    ):
        yield _rows(scope, check, kind, "occurred_at", times, _DATED, where)


def _referral_dates(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    if kind.name == "leads":
        where = f"referral_date > recorded_at + {scope.tolerance}"
        yield _rows(scope, REFERRED_LATER, kind, "referral_date", scope.thresholds.times, _ALL, where)


def _first_days(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    days = scope.thresholds.times.first_days
    if kind.name == "integration_usage" and days:
        integration = scope.compared(kind, "integration")
        where = " OR ".join(
            f"{integration} = {text(fold(name))} AND day < {instant(day)}" for name, day in days.items()
        )
        yield _rows(scope, BEFORE_INTEGRATION, kind, "day", scope.thresholds.times, _ALL, where)


def _recorded_later(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    example = identifier(kind.id)
    groups = (
        f"SELECT {example} AS example, count(*) AS n FROM {scope.versions(kind)} AS v "
        f"WHERE recorded_at > {scope.cut + scope.tolerance} GROUP BY {example}"
    )
    yield _grouped(RECORDED_LATER, kind, "recorded_at", scope.thresholds.times, _ALL, groups)


def _closed_before(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    if kind.name == "lead_events" and "leads" in scope.relations:
        groups = (
            f"SELECT e.lead_event_id AS example, 1 AS n FROM {scope.current(kind)} AS e "
            f"JOIN {scope.current(KINDS['leads'])} AS l ON l.lead_id = e.lead_id "
            f"WHERE e.{_CLOSED} AND e.occurred_at < l.created_at - {scope.tolerance}"
        )
        yield _grouped(CLOSED_BEFORE, kind, "occurred_at", scope.thresholds.times, _CLOSED, groups)


def _orphans(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    for column, (target, check) in _NAMES.items():
        if column == kind.id or not scope.has(kind.name, column) or target not in scope.relations:
            continue
        named, known = identifier(column), KINDS[target]
        same = f"SELECT 1 FROM {scope.versions(known)} AS k WHERE k.{identifier(known.id)} = r.{named}"
        groups = (
            f"SELECT r.{named} AS example, count(*) AS n FROM {scope.current(kind)} AS r "
            f"WHERE r.{named} IS NOT NULL AND NOT EXISTS ({same}) GROUP BY r.{named}"
        )
        yield _grouped(check, kind, column, scope.thresholds.orphans, f"{named} IS NOT NULL", groups)


def _duplicates(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    if kind.entity:
        return
    content = (kind.parent, "occurred_at", *(column.name for column in kind.content))
    columns = ", ".join(identifier(name) for name in content if name is not None)
    dated = f"FROM {scope.current(kind)} AS r WHERE {_DATED}"
    # To group all rows by their whole content takes much memory. Grouping by a hash first leaves few rows to compare.
    repeated = f"SELECT hash({columns}) {dated} GROUP BY 1 HAVING count(*) > 1"
    groups = (
        f"SELECT max({identifier(kind.id)}) AS example, count(*) - 1 AS n {dated} "
        f"AND hash({columns}) IN ({repeated}) GROUP BY {columns} HAVING count(*) > 1"
    )
    yield _grouped(DUPLICATE, kind, None, scope.thresholds.duplicates, _DATED, groups)


def _versions(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    limits, example = scope.thresholds.versions, identifier(kind.id)
    groups = (
        f"SELECT {example} AS example, 1 AS n FROM {scope.versions(kind)} AS v "
        f"WHERE superseded_at <= {scope.as_of} GROUP BY {example} HAVING count(*) >= {limits.most}"
    )
    yield _grouped(VERSIONS, kind, None, limits, _ALL, groups)


def _values(scope: Scope, kind: Kind) -> Iterator[ErrorQuery]:
    limits = scope.thresholds.values
    for bound in bounds(kind):
        column = bound.column.name
        name = identifier(column)
        if bound.values:
            where = f"{name} NOT IN ({', '.join(map(text, bound.values))})"
            yield _rows(scope, UNLISTED, kind, column, limits, f"{name} IS NOT NULL", where)
        elif bound.column.type in ("integer", "real") and bound.maximum is not None:
            most = limits.most.get(f"{kind.name}.{column}", bound.maximum)
            where = f"{name} NOT BETWEEN {bound.minimum!r} AND {most!r}"
            yield _rows(scope, ABSURD, kind, column, limits, f"{name} IS NOT NULL", where)


_QUERIES: Iterable[Callable[[Scope, Kind], Iterator[ErrorQuery]]] = (
    _missing,
    _times,
    _referral_dates,
    _first_days,
    _recorded_later,
    _closed_before,
    _orphans,
    _duplicates,
    _versions,
    _values,
)
