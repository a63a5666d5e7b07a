"""The direct engine: one lead's facts to its features in plain Python, the reference for every other engine.

A catalogue is planned once: every expression becomes a function of a moment, and the facts that several aggregates
share are selected once a lead, in the order in which they occurred, so that a window is a slice.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, singledispatch
from string import ascii_lowercase, ascii_uppercase
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
    Given,
    Matches,
    Month,
    Quotient,
    Reading,
    ShrunkRate,
)
from features.records import EVERYONE, PARTNER_HISTORY, TIER_HISTORY, Kind, Row
from features.value_types import DAY, MAX_INTEGER, Scalar, moment
from features.versions import current_versions

Facts: TypeAlias = Mapping[str, Sequence[Row]]
"""Everything said about one lead: versions of it, its account and the partners named, and its facts, by plural name.

Rows are in the order they came in, which breaks ties; the derived records hold the rows of those partners and tiers.
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


def evaluate(catalogue: Catalogue, facts: Facts, as_of: int) -> Evaluation:
    """The features of the lead that `facts` speak of, seeing only what was recorded by `as_of` (microseconds)."""
    now = _moment(facts, as_of)
    features = {name: value(now) for name, value in _plan(catalogue)}
    return Evaluation(now.entities["lead"], now.entities["account"], now.entities["partner"], features)


@dataclass(frozen=True)
class _Chosen:
    """Facts that meet some conditions, the undated ones first, then in the order they occurred at `times`."""

    rows: Sequence[Row]
    times: Sequence[int]

    def window(self, days: int | None, skip: int, as_of: int) -> Sequence[Row]:
        """The rows that occurred in `days` up to `skip` days before `as_of`; without a window all."""
        if days is None and not skip:
            return self.rows
        end = as_of - skip * DAY
        first = bisect_right(self.times, end - days * DAY) if days else 0
        undated = len(self.rows) - len(self.times)
        return self.rows[undated + first : undated + bisect_right(self.times, end)]


@dataclass(frozen=True)
class _Moment:
    """What an expression may look at: visible entities, visible facts of the lead, and what was chosen from these."""

    as_of: int
    entities: Mapping[str, Row]
    facts: Facts
    partners: Mapping[Any, Row]
    chosen: dict[object, _Chosen] = field(default_factory=dict)


def _moment(facts: Facts, as_of: int) -> _Moment:
    leads = current_versions(facts.get("leads", ()), ENTITIES["lead"], as_of)
    lead = leads[0] if leads else _NO_ROW
    partners = _by_id(facts.get("partners", ()), ENTITIES["partner"], as_of)
    source = lead.get("source_partner_id")
    partner = partners.get(source, _NO_ROW)
    history = _by_id(facts.get(PARTNER_HISTORY.name, ()), PARTNER_HISTORY, as_of)
    tiers = _by_id(facts.get(TIER_HISTORY.name, ()), TIER_HISTORY, as_of) if source is not None else {}
    entities = {
        "lead": lead,
        "account": _by_id(facts.get("accounts", ()), ENTITIES["account"], as_of).get(lead.get("account_id"), _NO_ROW),
        "partner": partner,
        "partner_history": history.get(source, _NO_ROW),
        "tier_history": tiers.get(partner.get("tier"), _NO_ROW),
        "all_history": tiers.get(EVERYONE, _NO_ROW),
    }
    told = {name: _told(facts.get(name, ()), kind, lead, as_of) for name, kind in FACTS.items()}
    return _Moment(as_of, entities, told, partners)


def _by_id(rows: Iterable[Row], kind: Kind, as_of: int) -> dict[Any, Row]:
    return {row[kind.id]: row for row in current_versions(rows, kind, as_of)}


def _told(rows: Sequence[Row], kind: Kind, lead: Row, as_of: int) -> list[Row]:
    """The visible facts of the lead, or of its account as of the moment, that have happened, as they occurred."""
    parent = kind.parent or kind.id
    owner = lead.get(parent)
    if owner is None or not rows:
        return []
    told = [
        row
        for row in current_versions(rows, kind, as_of)
        if row[parent] == owner and (row["occurred_at"] or 0) <= as_of
    ]
    told.sort(key=_occurred)
    return told


def _occurred(row: Row) -> int:
    occurred: int | None = row["occurred_at"]
    return -1 if occurred is None else occurred


_Value: TypeAlias = Callable[[_Moment], Any]


@lru_cache(maxsize=32)
def _plan(catalogue: Catalogue) -> Sequence[tuple[str, _Value]]:
    return [(entry.name, _present(planned(entry.value), entry.missing)) for entry in catalogue]


def _present(value: _Value, missing: str) -> _Value:
    if missing == "unknown":
        return value

    def present(now: _Moment) -> Scalar:
        found: Scalar = value(now)
        return 0 if found is None else found

    return present


@singledispatch
def planned(expression: Expression) -> _Value:
    """The function that gives the value of an expression at a moment; None where there is none."""
    raise NotImplementedError(f"no evaluation of {expression!r}")


@planned.register
def _(reading: Reading) -> _Value:
    entity, column = reading.entity, reading.column
    conditions = [_test(condition) for condition in reading.where]

    def read(now: _Moment) -> Scalar:
        row = now.entities[entity]
        found: Scalar = row.get(column)
        if found is None or not all(holds(row, now) for holds in conditions):
            return None
        return int(found) if isinstance(found, bool) else found

    return read


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
"""ASCII letters alone: of the others every engine has its own idea."""


@planned.register
def _(matches: Matches) -> _Value:
    read, wanted = planned(matches.reading), frozenset(matches.values)

    def count(now: _Moment) -> int | None:
        found = read(now)
        return None if found is None else len(wanted.intersection(found.translate(_LOWER).split("|")))

    return count


@planned.register
def _(given: Given) -> _Value:
    read = planned(given.reading)
    return lambda now: int(read(now) is not None)


@planned.register
def _(days: DaysSince) -> _Value:
    read = planned(days.instant)

    def since(now: _Moment) -> float | None:
        instant = read(now)
        return None if instant is None or instant > now.as_of else (now.as_of - instant) / DAY

    return since


@planned.register
def _(_month: Month) -> _Value:
    return lambda now: moment(now.as_of).month


@planned.register
def _(quotient: Quotient) -> _Value:
    dividend, divisor = planned(quotient.dividend), quotient.divisor
    by = (lambda _now: divisor) if isinstance(divisor, int | float) else planned(divisor)

    def divided(now: _Moment) -> float | None:
        above, below = dividend(now), by(now)
        return None if above is None or not below else float(above / below)

    return divided


@planned.register
def _(difference: Difference) -> _Value:
    minuend, subtrahend = planned(difference.minuend), planned(difference.subtrahend)

    def subtracted(now: _Moment) -> Any:
        more, less = minuend(now), subtrahend(now)
        return None if more is None or less is None else more - less

    return subtracted


@planned.register
def _(rate: ShrunkRate) -> _Value:
    successes, trials = planned(rate.successes), planned(rate.trials)
    prior, strength = planned(rate.prior), planned(rate.strength)

    def shrunk(now: _Moment) -> float | None:
        usual, weight = prior(now), strength(now)
        total = (trials(now) or 0) + (weight or 0)
        if usual is None or weight is None or not total:
            return None
        return float(((successes(now) or 0) + weight * usual) / total)

    return shrunk


@planned.register
def _(aggregate: Aggregate) -> _Value:
    choose, finish = _choice(aggregate), _FINISH[aggregate.how](aggregate)
    days, skip = aggregate.days, aggregate.skip
    return lambda now: finish(choose(now).window(days, skip, now.as_of), now.as_of)


_Finish: TypeAlias = Callable[[Sequence[Row], int], Any]


def _counted(_aggregate: Aggregate) -> _Finish:
    return lambda rows, _as_of: len(rows)


def _distinct(aggregate: Aggregate) -> _Finish:
    column = aggregate.column or ""
    return lambda rows, _as_of: len({row[column] for row in rows} - {None})


def _summed(aggregate: Aggregate) -> _Finish:
    column = aggregate.column or ""

    def summed(rows: Sequence[Row], _as_of: int) -> int | float:
        total: int = sum([row[column] for row in rows if row[column] is not None])
        # No reader of JSON need know larger integers (RFC 7493), and no model does.
        return total if total <= MAX_INTEGER else float(total)

    return summed


def _most(aggregate: Aggregate) -> _Finish:
    column = aggregate.column or ""
    return lambda rows, _as_of: max([row[column] for row in rows if row[column] is not None], default=None)


def _since(place: int) -> Callable[[Aggregate], _Finish]:
    """Days since the first (0) or the last (-1) dated row."""

    def since(rows: Sequence[Row], as_of: int) -> float | None:
        dated = [row["occurred_at"] for row in (rows if place == 0 else rows[-1:]) if row["occurred_at"] is not None]
        return (as_of - dated[place]) / DAY if dated else None

    return lambda _aggregate: since


def _faded(aggregate: Aggregate) -> _Finish:
    column, half_life = aggregate.column or "", (aggregate.half_life or 1) * DAY

    def weight(row: Row, as_of: int) -> float:
        share = 1.0 if row[column] is None else row[column]
        age = 0 if row["recorded_at"] is None else as_of - row["recorded_at"]
        return float(share * 0.5 ** (age / half_life))

    return lambda rows, as_of: sum([weight(row, as_of) for row in rows])


_FINISH: Mapping[str, Callable[[Aggregate], _Finish]] = {
    "count": _counted,
    "distinct": _distinct,
    "sum": _summed,
    "max": _most,
    "days_since_first": _since(0),
    "days_since_last": _since(-1),
    "faded": _faded,
}


def _choice(aggregate: Aggregate) -> Callable[[_Moment], _Chosen]:
    """Chooses the facts an aggregate is about; those of equal conditions are chosen once a moment."""
    record, key = aggregate.record, f"{aggregate.record} {aggregate.where!r}"
    conditions = [_test(condition) for condition in aggregate.where]

    def choose(now: _Moment) -> _Chosen:
        found = now.chosen.get(key)
        if found is None:
            rows = now.facts[record]
            for holds in conditions:
                rows = [row for row in rows if holds(row, now)]
            times = [row["occurred_at"] for row in rows if row["occurred_at"] is not None]
            found = now.chosen[key] = _Chosen(rows, times)
        return found

    return choose


def _test(condition: Condition) -> Callable[[Row, _Moment], bool]:
    """Whether a row meets a condition at a moment; a missing column meets only `absent`."""
    column, values = condition.column, frozenset(condition.values)
    if column.startswith("partner."):
        tested = _test(Condition(column.removeprefix("partner."), condition.test, condition.values))
        return lambda row, now: tested(now.partners.get(row["partner_id"], _NO_ROW), now)
    match condition.test:
        case "given":
            return lambda row, _now: row.get(column) is not None
        case "absent":
            return lambda row, _now: row.get(column) is None
        case "out":
            return lambda row, _now: row.get(column) not in values
        case "mentions":
            (mentioned,) = values
            return lambda row, _now: f"|{mentioned}|" in (row.get(column) or "")
        case "source":
            return lambda row, now: (
                row[column] is not None and row[column] == now.entities["lead"].get("source_partner_id")
            )
    return lambda row, _now: row.get(column) in values
