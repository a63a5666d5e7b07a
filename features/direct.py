"""The direct engine: one lead's facts to its features in plain Python, the reference for every other engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeAlias

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import (
    ENTITIES,
    FACTS,
    Aggregate,
    Condition,
    DaysSince,
    Difference,
    Expression,
    Quotient,
    Reading,
    ShrunkRate,
)
from features.records import PARTNER_HISTORY, Kind, Row
from features.values import DAY, Scalar

Facts: TypeAlias = Mapping[str, Sequence[Row]]
"""Everything said about one lead: versions of it, its account and the partners named, and its facts, by plural name.

Rows are in the order they came in, which breaks ties; `partner_history` holds the rows of those partners.
"""

_NO_ROW: Row = {}


@dataclass(frozen=True)
class Evaluation:
    """One lead as of one moment.

    Attributes:
        lead, account, partner: the entities' columns as of the moment; empty where unknown.
        features: every feature of the catalogue in order, by name.
    """

    lead: Row
    account: Row
    partner: Row
    features: Mapping[str, Scalar]


@dataclass(frozen=True)
class _Moment:
    """What an expression may look at."""

    as_of: int
    entities: Mapping[str, Row]
    facts: Mapping[str, Sequence[Row]]
    partners: Mapping[Any, Row]


def evaluate(catalogue: Catalogue, facts: Facts, as_of: int) -> Evaluation:
    """The features of the lead that `facts` speak of, seeing only what was recorded by `as_of` (microseconds)."""
    lead = _only(visible(facts.get("leads", ()), ENTITIES["lead"], as_of))
    accounts = _by_id(facts.get("accounts", ()), ENTITIES["account"], as_of)
    partners = _by_id(facts.get("partners", ()), ENTITIES["partner"], as_of)
    history = _by_id(facts.get("partner_history", ()), PARTNER_HISTORY, as_of)
    account, source = lead.get("account_id"), lead.get("source_partner_id")
    entities = {
        "lead": lead,
        "account": accounts.get(account, _NO_ROW),
        "partner": partners.get(source, _NO_ROW),
        "history": history.get(source, _NO_ROW),
    }
    seen = {
        name: [row for row in visible(facts.get(name, ()), kind, as_of) if _speaks_of(row, kind, lead, as_of)]
        for name, kind in FACTS.items()
    }
    now = _Moment(as_of, entities, seen, partners)
    features = {entry.name: _present(value(entry.value, now), entry.missing) for entry in catalogue}
    return Evaluation(lead, entities["account"], entities["partner"], features)


def visible(rows: Iterable[Row], kind: Kind, as_of: int) -> list[Row]:
    """The latest version of each record by `as_of`, without tombstones. Rows without an id stand for themselves."""
    latest: dict[Scalar, Row] = {}
    for position, row in enumerate(rows):
        recorded = row["recorded_at"]
        if recorded is not None and recorded > as_of:
            continue
        key = row.get(kind.id, position)
        if key not in latest or (recorded or 0) >= (latest[key]["recorded_at"] or 0):
            latest[key] = row
    return [row for row in latest.values() if not row.get("deleted")]


def _by_id(rows: Iterable[Row], kind: Kind, as_of: int) -> dict[Any, Row]:
    return {row[kind.id]: row for row in visible(rows, kind, as_of)}


def _only(rows: Sequence[Row]) -> Row:
    return rows[0] if rows else _NO_ROW


def _speaks_of(row: Row, kind: Kind, lead: Row, as_of: int) -> bool:
    """Whether a visible fact is of this lead, or of its account as of the moment, and has happened by then."""
    parent = kind.parent or kind.id
    occurred = row["occurred_at"]
    return lead.get(parent) is not None and row[parent] == lead[parent] and (occurred is None or occurred <= as_of)


def _present(found: Any, missing: str) -> Scalar:
    return 0 if found is None and missing == "none" else found


def holds(condition: Condition, row: Row) -> bool:
    """Whether `row` meets `condition`; a missing column meets only `absent`."""
    found = row.get(condition.column)
    if condition.test == "given":
        return found is not None
    if condition.test == "absent":
        return found is None
    if condition.test == "mentions":
        return found is not None and f"|{condition.values[0]}|" in found
    return found in condition.values


@singledispatch
def value(expression: Expression, now: _Moment) -> Any:
    """The value of an expression at a moment; None where there is none."""
    raise NotImplementedError(f"no evaluation of {expression!r}")


@value.register
def _(reading: Reading, now: _Moment) -> Any:
    row = now.entities[reading.entity]
    if not all(holds(condition, row) for condition in reading.where):
        return None
    found = row.get(reading.column)
    return int(found) if isinstance(found, bool) else found


@value.register
def _(days: DaysSince, now: _Moment) -> Any:
    instant = value(days.instant, now)
    return None if instant is None or instant > now.as_of else (now.as_of - instant) / DAY


@value.register
def _(quotient: Quotient, now: _Moment) -> Any:
    dividend = value(quotient.dividend, now)
    return None if dividend is None else dividend / quotient.divisor


@value.register
def _(difference: Difference, now: _Moment) -> Any:
    minuend, subtrahend = value(difference.minuend, now), value(difference.subtrahend, now)
    return None if minuend is None or subtrahend is None else minuend - subtrahend


@value.register
def _(rate: ShrunkRate, now: _Moment) -> Any:
    parts = [value(part, now) for part in (rate.successes, rate.trials, rate.all_successes, rate.all_trials)]
    if None in parts or not parts[3]:
        return None
    successes, trials, all_successes, all_trials = parts
    return (successes + rate.strength * (all_successes / all_trials)) / (trials + rate.strength)


@value.register
def _(aggregate: Aggregate, now: _Moment) -> Any:
    rows = [row for row in now.facts[aggregate.record] if _qualifies(aggregate, row, now)]
    if aggregate.how == "count":
        return len(rows)
    if aggregate.how.startswith("days_since"):
        return _days_since(aggregate.how, [row["occurred_at"] for row in rows], now.as_of)
    column: Any = aggregate.column
    found = [row[column] for row in rows if row.get(column) is not None]
    if aggregate.how == "distinct":
        return len(set(found))
    if not found:
        return None
    return max(found) if aggregate.how == "max" else sum(found)


def _days_since(how: str, occurred: Sequence[int | None], as_of: int) -> float | None:
    dated = [instant for instant in occurred if instant is not None]
    if not dated:
        return None
    return (as_of - (min(dated) if how == "days_since_first" else max(dated))) / DAY


def _qualifies(aggregate: Aggregate, row: Row, now: _Moment) -> bool:
    if aggregate.days is not None or aggregate.skip:
        occurred = row["occurred_at"]
        end = now.as_of - aggregate.skip * DAY
        if occurred is None or occurred > end or (aggregate.days and occurred <= end - aggregate.days * DAY):
            return False
    return all(_meets(condition, row, now) for condition in aggregate.where)


def _meets(condition: Condition, row: Row, now: _Moment) -> bool:
    if not condition.column.startswith("partner."):
        return holds(condition, row)
    partner = now.partners.get(row["partner_id"], _NO_ROW)
    return holds(Condition(condition.column.removeprefix("partner."), condition.test, condition.values), partner)
