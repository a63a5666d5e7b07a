"""The compiler: the catalogue as one portable SQL query, for any engine that has the records as tables.

A table holds the columns of `Kind.columns` (instants as int64 microseconds) and `superseded_at`, the moment a later
version of the same record took its place, null while none did. So "the version visible at as_of" is an equi-join with
a time filter, and every aggregate a conditional one. `snapshots(lead_id, as_of)` says what is asked for; with dates
missing throughout (an undated export) any `as_of` serves. sqlglot writes the query in the engine's dialect.
"""

import zlib
from collections.abc import Sequence
from functools import singledispatch

from sqlglot import exp

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import (
    ENTITIES,
    FACTS,
    Aggregate,
    Condition,
    DaysSince,
    Difference,
    Entry,
    Expression,
    Quotient,
    Reading,
    ShrunkRate,
)
from features.records import PARTNER_HISTORY, Kind
from features.values import DAY

ENTITY_COLUMNS: tuple[tuple[str, str], ...] = tuple(
    (entity, column.name) for entity, kind in ENTITIES.items() for column in kind.content
)
"""The entity columns that `query` can return beside the features, named `entity.column`."""


def query(catalogue: Catalogue, dialect: str, *, fields: bool = False) -> str:
    """SQL with one row for each snapshot: lead_id, as_of, the features in order, ordered by lead_id and as_of.

    Args:
        catalogue: the features wanted.
        dialect: a sqlglot dialect, such as `duckdb`, `postgres` or `spark`.
        fields: also return the entity columns (`ENTITY_COLUMNS`), which rules read.
    """
    aggregates = _aggregates(catalogue)
    select = exp.select(_column("s", "lead_id"), _column("s", "as_of")).from_("snapshots AS s")
    select = select.select(*(_named(_feature(entry), entry.name) for entry in catalogue))
    if fields:
        select = select.select(
            *(_named(_column(entity, column), f"{entity}.{column}") for entity, column in ENTITY_COLUMNS)
        )
    select = _join_entities(select)
    for record in aggregates:
        # Facts of a lead that is not known by then speak of nobody, so they join the lead and not the snapshot.
        on = exp.and_(_same("lead", f"f_{record}", "lead_id"), _same("s", f"f_{record}", "as_of"))
        select = select.join(_facts(record, aggregates[record]), on=on, join_type="left", join_alias=f"f_{record}")
    return select.order_by(_column("s", "lead_id"), _column("s", "as_of")).sql(dialect=dialect, identify=True)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(name, table=table, quoted=True)


def _named(expression: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(expression, name, quoted=True)


def _same(left: str, right: str, column: str) -> exp.Expr:
    return exp.EQ(this=_column(left, column), expression=_column(right, column))


def _join_entities(select: exp.Select) -> exp.Select:
    """The lead, its account, its source partner and that partner's history, each as of the snapshot."""
    joins: Sequence[tuple[Kind, str, exp.Expr]] = (
        (ENTITIES["lead"], "lead", _column("s", "lead_id")),
        (ENTITIES["account"], "account", _column("lead", "account_id")),
        (ENTITIES["partner"], "partner", _column("lead", "source_partner_id")),
        (PARTNER_HISTORY, "history", _column("lead", "source_partner_id")),
    )
    for kind, alias, key in joins:
        on = exp.and_(exp.EQ(this=_column(alias, kind.id), expression=key), _visible(alias))
        select = select.join(exp.to_table(kind.name), on=on, join_type="left", join_alias=alias)
    return select


def _visible(table: str, as_of: exp.Expr | None = None) -> exp.Expr:
    """The condition that a version was the latest one recorded by the snapshot's moment, and no tombstone."""
    moment = as_of or _column("s", "as_of")
    recorded, superseded = _column(table, "recorded_at"), _column(table, "superseded_at")
    return exp.and_(
        exp.or_(recorded.is_(exp.null()), recorded <= moment),
        exp.or_(superseded.is_(exp.null()), superseded > moment),
        exp.not_(_column(table, "deleted")),
    )


def _aggregates(catalogue: Catalogue) -> dict[str, list[Aggregate]]:
    """The distinct aggregates the catalogue needs, by record."""
    found: dict[str, list[Aggregate]] = {}
    for entry in catalogue:
        for aggregate in _parts(entry.value):
            needed = found.setdefault(aggregate.record, [])
            if aggregate not in needed:
                needed.append(aggregate)
    return found


def _parts(expression: Expression) -> list[Aggregate]:
    match expression:
        case Aggregate():
            return [expression]
        case Difference(minuend, subtrahend):
            return _parts(minuend) + _parts(subtrahend)
        case Quotient(dividend, _):
            return _parts(dividend)
        case ShrunkRate(successes, trials, all_successes, all_trials):
            return [part for each in (successes, trials, all_successes, all_trials) for part in _parts(each)]
        case _:
            return []


def _facts(record: str, aggregates: Sequence[Aggregate]) -> exp.Subquery:
    """One row a snapshot with every aggregate over one record's visible facts."""
    kind = FACTS[record]
    parent = kind.parent or kind.id
    select = exp.select(_column("s", "lead_id"), _column("s", "as_of")).from_("snapshots AS s")
    key = _column("s", "lead_id")
    if parent == "account_id":
        lead = ENTITIES["lead"]
        on = exp.and_(exp.EQ(this=_column("lead", lead.id), expression=key), _visible("lead"))
        select = select.join(exp.to_table(lead.name), on=on, join_alias="lead")
        key = _column("lead", "account_id")
    happened = exp.or_(
        _column("f", "occurred_at").is_(exp.null()), _column("f", "occurred_at") <= _column("s", "as_of")
    )
    on = exp.and_(exp.EQ(this=_column("f", parent), expression=key), _visible("f"), happened)
    select = select.join(exp.to_table(record), on=on, join_alias="f")
    if any(condition.column.startswith("partner.") for a in aggregates for condition in a.where):
        on = exp.and_(_same("partner", "f", "partner_id"), _visible("partner"))
        select = select.join(exp.to_table("partners"), on=on, join_type="left", join_alias="partner")
    select = select.select(*(_named(_aggregated(a), _name(a)) for a in aggregates))
    return select.group_by(_column("s", "lead_id"), _column("s", "as_of")).subquery()


def _name(aggregate: Aggregate) -> str:
    """A column name that tells one aggregate of a record from another, short enough for every engine."""
    return f"{aggregate.how}_{zlib.crc32(repr(aggregate).encode()):08x}"


def _aggregated(aggregate: Aggregate) -> exp.Expr:
    qualifies = exp.and_(exp.true(), *_window(aggregate), *map(_condition, aggregate.where))

    def qualified(found: exp.Expr) -> exp.Expr:
        return exp.Case().when(qualifies, found)

    occurred = _column("f", "occurred_at")
    match aggregate.how:
        case "count":
            return exp.Count(this=qualified(exp.Literal.number(1)))
        case "days_since_first":
            return _days(exp.Min(this=qualified(occurred)))
        case "days_since_last":
            return _days(exp.Max(this=qualified(occurred)))
    found = qualified(_column("f", aggregate.column or ""))
    if aggregate.how == "distinct":
        return exp.Count(this=exp.Distinct(expressions=[found]))
    if aggregate.how == "max":
        return exp.Max(this=found)
    integral = next(c for c in FACTS[aggregate.record].content if c.name == aggregate.column).type == "integer"
    return exp.cast(exp.Sum(this=found), "BIGINT" if integral else "DOUBLE")


def _days(instant: exp.Expr) -> exp.Expr:
    since = exp.paren(exp.Sub(this=_column("s", "as_of"), expression=instant))
    return exp.Div(this=exp.cast(since, "DOUBLE"), expression=exp.cast(exp.Literal.number(DAY), "DOUBLE"), typed=False)


def _window(aggregate: Aggregate) -> list[exp.Expr]:
    if aggregate.days is None and not aggregate.skip:
        return []
    end = exp.Sub(this=_column("s", "as_of"), expression=exp.Literal.number(aggregate.skip * DAY))
    occurred = _column("f", "occurred_at")
    bounds: list[exp.Expr] = [occurred <= end]
    if aggregate.days:
        bounds.append(occurred > exp.Sub(this=end, expression=exp.Literal.number(aggregate.days * DAY)))
    return bounds


def _condition(condition: Condition) -> exp.Expr:
    table, column = "f", condition.column
    if column.startswith("partner."):
        table, column = "partner", column.removeprefix("partner.")
    return _tested(_column(table, column), condition)


def _tested(column: exp.Column, condition: Condition) -> exp.Expr:
    match condition.test:
        case "given":
            return exp.not_(column.is_(exp.null()))
        case "absent":
            return column.is_(exp.null())
        case "mentions":
            return column.like(f"%|{condition.values[0]}|%")
    return column.isin(*condition.values)


def _feature(entry: Entry) -> exp.Expr:
    found = _value(entry.value)
    return exp.func("COALESCE", found, exp.Literal.number(0)) if entry.missing == "none" else found


@singledispatch
def _value(expression: Expression) -> exp.Expr:
    raise NotImplementedError(f"no SQL for {expression!r}")


@_value.register
def _(aggregate: Aggregate) -> exp.Expr:
    found = _column(f"f_{aggregate.record}", _name(aggregate))
    return exp.func("COALESCE", found, exp.Literal.number(0)) if aggregate.how in ("count", "distinct") else found


@_value.register
def _(reading: Reading) -> exp.Expr:
    found: exp.Expr = _column(reading.entity, reading.column)
    kind = PARTNER_HISTORY if reading.entity == "history" else ENTITIES[reading.entity]
    if any(column.name == reading.column and column.type == "flag" for column in kind.content):
        found = exp.Case().when(found, exp.Literal.number(1)).when(exp.not_(found), exp.Literal.number(0))
    if reading.where:
        holds = exp.and_(*(_tested(_column(reading.entity, c.column), c) for c in reading.where))
        found = exp.Case().when(holds, found)
    return found


@_value.register
def _(days: DaysSince) -> exp.Expr:
    instant = _value(days.instant)
    return exp.Case().when(exp.LTE(this=instant, expression=_column("s", "as_of")), _days(instant))


@_value.register
def _(quotient: Quotient) -> exp.Expr:
    return exp.cast(_value(quotient.dividend), "DOUBLE") / exp.cast(exp.Literal.number(quotient.divisor), "DOUBLE")


@_value.register
def _(difference: Difference) -> exp.Expr:
    return exp.paren(exp.Sub(this=_value(difference.minuend), expression=_value(difference.subtrahend)))


@_value.register
def _(rate: ShrunkRate) -> exp.Expr:
    parts = (rate.successes, rate.trials, rate.all_successes, rate.all_trials)
    successes, trials, all_successes, all_trials = (exp.cast(_value(part), "DOUBLE") for part in parts)
    strength = exp.cast(exp.Literal.number(rate.strength), "DOUBLE")
    prior = all_successes / exp.func("NULLIF", all_trials, exp.Literal.number(0))
    return exp.paren(successes + strength * exp.paren(prior)) / exp.paren(trials + strength)
