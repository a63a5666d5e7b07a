"""The two readings of an entry: with folded texts, and as decisions read it before texts were folded.

With folded texts (see `features.folding`), an expression reads the folded column in place of every column of free text.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch

from features.catalogue.entry import (
    ENTITIES,
    FACTS,
    READABLE,
    Aggregate,
    Condition,
    Difference,
    Entry,
    Expression,
    Given,
    LeadChannel,
    Matches,
    Quotient,
    Reading,
    ShrunkRate,
    one_of,
)
from features.folding import fold, folded_column
from features.provenance import ATTRIBUTE_PREFIX
from features.records import OWN_CHANNELS, PARTNER_CHANNELS, Kind

_PARTNER = "partner."
"""The prefix of a condition's column of the partner that a fact names."""


def folded_entry(entry: Entry) -> Entry:
    """The entry with the folded column in place of every column of free text."""
    if text_of(entry) is not None and isinstance(entry.value, Reading):
        return replace(entry, value=replace(entry.value, column=folded_column(entry.value.column)))
    return replace(entry, value=_folded(entry.value))


def unfolded_entry(entry: Entry) -> Entry:
    """The entry as it was before texts were folded, when a channel was a partner's or ours by its name alone."""
    if not isinstance(entry.value, LeadChannel):
        return entry
    channels = PARTNER_CHANNELS if entry.value.side == "partner" else OWN_CHANNELS
    return replace(entry, value=Reading("lead", "channel", where=(one_of("channel", *channels),)))


def text_of(entry: Entry) -> tuple[str, str] | None:
    """The entity and the column whose free text is the feature's value; None where the value is something else."""
    value = entry.value
    if not isinstance(value, Reading) or value.entity not in ENTITIES or entry.kind != "category":
        return None
    free = value.column in ENTITIES[value.entity].foldings or value.column.startswith(ATTRIBUTE_PREFIX)
    return (value.entity, value.column) if free else None


@singledispatch
def _folded(expression: Expression) -> Expression:
    return expression


@_folded.register
def _(aggregate: Aggregate) -> Expression:
    kind = FACTS[aggregate.record]
    column = None if aggregate.column is None else _column(aggregate.column, kind)
    return replace(aggregate, column=column, where=_conditions(aggregate.where, kind))


@_folded.register
def _reading(reading: Reading) -> Reading:
    kind = READABLE[reading.entity]
    return replace(reading, column=_column(reading.column, kind), where=_conditions(reading.where, kind))


@_folded.register
def _(matches: Matches) -> Expression:
    return replace(matches, reading=_reading(matches.reading))


@_folded.register
def _(given: Given) -> Expression:
    return replace(given, reading=_reading(given.reading))


@_folded.register
def _(quotient: Quotient) -> Expression:
    divisor = quotient.divisor if isinstance(quotient.divisor, int | float) else _folded(quotient.divisor)
    return Quotient(_folded(quotient.dividend), divisor)


@_folded.register
def _(difference: Difference) -> Expression:
    return Difference(_folded(difference.minuend), _folded(difference.subtrahend))


@_folded.register
def _(rate: ShrunkRate) -> Expression:
    return ShrunkRate(*map(_folded, (rate.successes, rate.trials, rate.prior, rate.strength)))


def _column(column: str, kind: Kind) -> str:
    return folded_column(column) if column in kind.foldings else column


def _conditions(conditions: Iterable[Condition], kind: Kind) -> tuple[Condition, ...]:
    return tuple(_condition(condition, kind) for condition in conditions)


def _condition(condition: Condition, kind: Kind) -> Condition:
    prefix = _PARTNER if condition.column.startswith(_PARTNER) else ""
    sent = condition.column.removeprefix(prefix)
    column = _column(sent, ENTITIES["partner"] if prefix else kind)
    if column == sent:
        return condition
    values = tuple(fold(value) if isinstance(value, str) else value for value in condition.values)
    return replace(condition, column=f"{prefix}{column}", values=values)
