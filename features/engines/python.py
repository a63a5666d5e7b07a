"""The direct engine: the features of one lead from its facts, in plain Python; the reference for every other engine.

Each expression of a catalogue becomes one function, once. The facts that several aggregates share are selected once for
a lead and sorted by `occurred_at`, so that a window of days is a slice, found by bisection.
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
    PARTNER_TOUCHES,
    READABLE,
    REFERRALS,
    Aggregate,
    Condition,
    DaysSince,
    Difference,
    Expression,
    Given,
    LeadChannel,
    Matches,
    Month,
    Quotient,
    Reading,
    ShrunkRate,
)
from features.folding import FOLD_VERSION, folded_text, sent_column
from features.partner_lead import SHARED_CHANNELS, is_partner_lead
from features.records import EVERYONE, OWN_CHANNELS, PARTNER_HISTORY, TIER_HISTORY, Kind, Row
from features.value_types import DAY, MAX_INTEGER, Scalar, moment
from features.versions import current_versions

Facts: TypeAlias = Mapping[str, Sequence[Row]]
"""The rows about one lead by the plural name of their kind: versions of the lead, its account, the partners, the facts.

Rows are in the order of ingest, which breaks ties. The derived records hold the rows of these partners and their tiers.
"""

_NO_ROW: Row = {}


@dataclass(frozen=True)
class Evaluation:
    """One lead as of one moment.

    Attributes:
        lead, account, partner: the entities' columns as of the moment, texts as sent; empty where unknown.
        features: every feature of the catalogue in order, by name, texts folded.
        fold: the version of the folding by which rules and features compare texts; 0 is text as sent.
        not_recorded: the kinds of facts that were never recorded (see `features.delivery`), each with its features,
            which are missing.
        opportunity: the amount of the lead's open opportunity, minor units and currency; never a feature.
    """

    lead: Row
    account: Row
    partner: Row
    features: Mapping[str, Scalar]
    fold: int = FOLD_VERSION
    not_recorded: Mapping[str, Sequence[str]] = field(default_factory=dict)
    opportunity: tuple[int, str] | None = None

    def texts(self, catalogue: Catalogue) -> dict[str, str]:
        """The texts as sent behind the features that are free text, by feature; unknown ones are left out."""
        entities = {"lead": self.lead, "account": self.account, "partner": self.partner}
        found = ((name, entities[entity].get(column)) for name, (entity, column) in catalogue.texts.items())
        return {name: text for name, text in found if isinstance(text, str)}

    def features_folded_by(self, fold: int, catalogue: Catalogue) -> Mapping[str, Scalar]:
        """The features, with their texts folded by another version of the folding, for a model of that version."""
        if fold == self.fold:
            return self.features
        texts = self.texts(catalogue)
        return {**self.features, **{name: folded_text(text) if fold else text for name, text in texts.items()}}


def evaluate(catalogue: Catalogue, facts: Facts, as_of: int) -> Evaluation:
    """The features of the lead that `facts` belong to, from what was recorded by `as_of` (microseconds)."""
    context = _context(facts, as_of)
    features = {name: value(context) for name, value in _evaluators(catalogue)}
    entities = context.entities
    return Evaluation(entities["lead"], entities["account"], entities["partner"], features, catalogue.fold)


@dataclass(frozen=True)
class _Selection:
    """The facts that meet some conditions: the undated ones first, then the others by the moments `times`."""

    rows: Sequence[Row]
    times: Sequence[int]

    def window(self, days: int | None, skip: int, as_of: int) -> Sequence[Row]:
        """The rows that occurred in the `days` that end `skip` days before `as_of`; without a window all rows."""
        if days is None and not skip:
            return self.rows
        # A window holds its end and leaves out its start, as the SQL of `sql_compiler` does. Undated rows are in none.
        end = as_of - skip * DAY
        first = bisect_right(self.times, end - days * DAY) if days else 0
        undated = len(self.rows) - len(self.times)
        return self.rows[undated + first : undated + bisect_right(self.times, end)]


@dataclass(frozen=True, kw_only=True)
class _Context:
    """The input of an expression: the visible entities, the visible facts of the lead, and the selections so far."""

    as_of: int
    entities: Mapping[str, Row]
    facts: Facts
    partners: Mapping[Any, Row]
    selections: dict[object, _Selection] = field(default_factory=dict)


def _context(facts: Facts, as_of: int) -> _Context:
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
        "tier_history": _tier_history(tiers, partner.get("tier")),
        "all_history": tiers.get(EVERYONE, _NO_ROW),
    }
    lead_facts = {name: _lead_facts(facts.get(name, ()), kind, lead, as_of) for name, kind in FACTS.items()}
    return _Context(as_of=as_of, entities=entities, facts=lead_facts, partners=partners)


def _tier_history(tiers: Mapping[Any, Row], tier: str | None) -> Row:
    """The history of a tier, whose key is folded; a history derived before texts were folded has the tier as sent."""
    return _NO_ROW if tier is None else tiers.get(tier) or tiers.get(folded_text(tier), _NO_ROW)


def _by_id(rows: Iterable[Row], kind: Kind, as_of: int) -> dict[Any, Row]:
    return {row[kind.id]: row for row in current_versions(rows, kind, as_of)}


def _lead_facts(rows: Sequence[Row], kind: Kind, lead: Row, as_of: int) -> list[Row]:
    """The visible facts of the lead, or of its account as of then, that occurred by `as_of`; the earliest first."""
    parent = kind.parent or kind.id
    owner = lead.get(parent)
    if owner is None or not rows:
        return []
    lead_facts = [
        row
        for row in current_versions(rows, kind, as_of)
        if row[parent] == owner and (row["occurred_at"] or 0) <= as_of
    ]
    lead_facts.sort(key=_occurred)
    return lead_facts


def _occurred(row: Row) -> int:
    occurred: int | None = row["occurred_at"]
    return -1 if occurred is None else occurred


_Evaluator: TypeAlias = Callable[[_Context], Any]


@lru_cache(maxsize=32)
def _evaluators(catalogue: Catalogue) -> Sequence[tuple[str, _Evaluator]]:
    return [(entry.name, _or_zero(evaluator(entry.value), entry.missing)) for entry in catalogue.evaluated]


def _or_zero(value: _Evaluator, missing: str) -> _Evaluator:
    if missing == "unknown":
        return value

    def or_zero(context: _Context) -> Scalar:
        result: Scalar = value(context)
        return 0 if result is None else result

    return or_zero


@singledispatch
def evaluator(expression: Expression) -> _Evaluator:
    """The function that evaluates an expression in a context; it returns None where the value is missing."""
    raise NotImplementedError(f"no evaluation of {expression!r}")


@evaluator.register
def _(reading: Reading) -> _Evaluator:
    entity, kind = reading.entity, READABLE[reading.entity]
    value, conditions = _value(reading.column, kind), [_predicate(condition, kind) for condition in reading.where]

    def read(context: _Context) -> Scalar:
        row = context.entities[entity]
        result = value(row)
        if result is None or not all(holds(row, context) for holds in conditions):
            return None
        return int(result) if isinstance(result, bool) else result

    return read


def _value(column: str, kind: Kind) -> Callable[[Row], Scalar]:
    """The function that reads a column of a row of the kind; rows hold texts as sent, so a folded one is folded now."""
    sent = sent_column(column)
    if sent is None:
        return lambda row: row.get(column)
    folding = kind.foldings.get(sent, folded_text)

    def folded(row: Row) -> Scalar:
        text = row.get(sent)
        return folding(text) if isinstance(text, str) else text

    return folded


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
"""Only ASCII letters: engines differ in the lower case of others."""


@evaluator.register
def _(channel: LeadChannel) -> _Evaluator:
    involved = [evaluator(aggregate) for aggregate in (REFERRALS, PARTNER_TOUCHES)]
    ours = channel.side == "own"

    def read(context: _Context) -> Scalar:
        lead = context.entities["lead"]
        name: Scalar = lead.get("channel")
        own = name in OWN_CHANNELS or (
            name in SHARED_CHANNELS
            and not is_partner_lead(lead, partner_involved=any(count(context) for count in involved))
        )
        return name if own == ours else None

    return read


@evaluator.register
def _(matches: Matches) -> _Evaluator:
    read, wanted = evaluator(matches.reading), frozenset(matches.values)

    def count(context: _Context) -> int | None:
        result = read(context)
        return None if result is None else len(wanted.intersection(result.translate(_LOWER).split("|")))

    return count


@evaluator.register
def _(given: Given) -> _Evaluator:
    read = evaluator(given.reading)
    return lambda context: int(read(context) is not None)


@evaluator.register
def _(days: DaysSince) -> _Evaluator:
    read = evaluator(days.instant)

    def since(context: _Context) -> float | None:
        instant = read(context)
        return None if instant is None or instant > context.as_of else (context.as_of - instant) / DAY

    return since


@evaluator.register
def _(_month: Month) -> _Evaluator:
    return lambda context: moment(context.as_of).month


@evaluator.register
def _(quotient: Quotient) -> _Evaluator:
    dividend, divisor = evaluator(quotient.dividend), quotient.divisor
    by = (lambda _now: divisor) if isinstance(divisor, int | float) else evaluator(divisor)

    def divided(context: _Context) -> float | None:
        above, below = dividend(context), by(context)
        return None if above is None or not below else float(above / below)

    return divided


@evaluator.register
def _(difference: Difference) -> _Evaluator:
    minuend, subtrahend = evaluator(difference.minuend), evaluator(difference.subtrahend)

    def subtracted(context: _Context) -> Any:
        more, less = minuend(context), subtrahend(context)
        return None if more is None or less is None else more - less

    return subtracted


@evaluator.register
def _(rate: ShrunkRate) -> _Evaluator:
    successes, trials = evaluator(rate.successes), evaluator(rate.trials)
    prior, strength = evaluator(rate.prior), evaluator(rate.strength)

    def shrunk(context: _Context) -> float | None:
        usual, weight = prior(context), strength(context)
        total = (trials(context) or 0) + (weight or 0)
        if usual is None or weight is None or not total:
            return None
        return float(((successes(context) or 0) + weight * usual) / total)

    return shrunk


@evaluator.register
def _(aggregate: Aggregate) -> _Evaluator:
    select, reduce = _selector(aggregate), _REDUCERS[aggregate.how](aggregate)
    days, skip = aggregate.days, aggregate.skip
    return lambda context: reduce(select(context).window(days, skip, context.as_of), context.as_of)


_Reducer: TypeAlias = Callable[[Sequence[Row], int], Any]


def _counted(_aggregate: Aggregate) -> _Reducer:
    return lambda rows, _as_of: len(rows)


def _distinct(aggregate: Aggregate) -> _Reducer:
    value = _value(aggregate.column or "", FACTS[aggregate.record])
    return lambda rows, _as_of: len({value(row) for row in rows} - {None})


def _summed(aggregate: Aggregate) -> _Reducer:
    column = aggregate.column or ""

    def summed(rows: Sequence[Row], _as_of: int) -> int | float:
        total: int = sum([row[column] for row in rows if row[column] is not None])
        # A JSON reader need not be exact beyond this (RFC 7493), and a model reads doubles.
        return total if total <= MAX_INTEGER else float(total)

    return summed


def _maximum(aggregate: Aggregate) -> _Reducer:
    column = aggregate.column or ""
    return lambda rows, _as_of: max([row[column] for row in rows if row[column] is not None], default=None)


def _days_since(position: int) -> Callable[[Aggregate], _Reducer]:
    """Days since the first (position 0) or the last (-1) dated row."""

    def since(rows: Sequence[Row], as_of: int) -> float | None:
        dated = [row["occurred_at"] for row in (rows if position == 0 else rows[-1:]) if row["occurred_at"] is not None]
        return (as_of - dated[position]) / DAY if dated else None

    return lambda _aggregate: since


def _faded(aggregate: Aggregate) -> _Reducer:
    column, half_life = aggregate.column or "", (aggregate.half_life or 1) * DAY

    def weight(row: Row, as_of: int) -> float:
        share = 1.0 if row[column] is None else row[column]
        age = 0 if row["recorded_at"] is None else as_of - row["recorded_at"]
        return float(share * 0.5 ** (age / half_life))

    return lambda rows, as_of: sum([weight(row, as_of) for row in rows])


_REDUCERS: Mapping[str, Callable[[Aggregate], _Reducer]] = {
    "count": _counted,
    "distinct": _distinct,
    "sum": _summed,
    "max": _maximum,
    "days_since_first": _days_since(0),
    "days_since_last": _days_since(-1),
    "faded": _faded,
}


def _selector(aggregate: Aggregate) -> Callable[[_Context], _Selection]:
    """The function that selects the facts of an aggregate; equal conditions share one selection in a context."""
    record, key = aggregate.record, f"{aggregate.record} {aggregate.where!r}"
    conditions = [_predicate(condition, FACTS[record]) for condition in aggregate.where]

    def select(context: _Context) -> _Selection:
        selection = context.selections.get(key)
        if selection is None:
            rows = context.facts[record]
            for holds in conditions:
                rows = [row for row in rows if holds(row, context)]
            times = [row["occurred_at"] for row in rows if row["occurred_at"] is not None]
            selection = context.selections[key] = _Selection(rows, times)
        return selection

    return select


def _predicate(condition: Condition, kind: Kind) -> Callable[[Row, _Context], bool]:
    """The function that tells whether a row of the kind meets a condition.

    A missing column meets only `absent` and `out`.
    """
    column, values = condition.column, frozenset(condition.values)
    if column.startswith("partner."):
        of_partner = Condition(column.removeprefix("partner."), condition.test, condition.values)
        holds_for_partner = _predicate(of_partner, ENTITIES["partner"])
        return lambda row, context: holds_for_partner(context.partners.get(row["partner_id"], _NO_ROW), context)
    value = _value(column, kind)
    match condition.test:
        case "given":
            return lambda row, _context: value(row) is not None
        case "absent":
            return lambda row, _context: value(row) is None
        case "out":
            return lambda row, _context: value(row) not in values
        case "mentions":
            (mentioned,) = values
            return lambda row, _context: f"|{mentioned}|" in str(value(row) or "")
        case "source":
            return lambda row, context: (
                row[column] is not None and row[column] == context.entities["lead"].get("source_partner_id")
            )
    return lambda row, _context: value(row) in values
