"""Which kinds of facts a source delivers. Of a kind that was never recorded nothing is known, so its count is no 0.

A flat export of a CRM has leads and no buying signals. "0 buying signals" would be a statement about these leads that
nobody made. Features of such a kind are missing, in training as in serving, and rules on them are unknown.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FACTS, Aggregate, Difference, Expression, Quotient, ShrunkRate
from features.engines.python import Evaluation

Since = Mapping[str, int]
"""By kind, the moment (microseconds) from which on its facts were recorded; a kind that is left out never was."""


def absent_kinds(since: Since | None, as_of: int) -> tuple[str, ...]:
    """The kinds of facts that were not recorded by `as_of`, in order; none where the source delivers all (None)."""
    if since is None:
        return ()
    return tuple(kind for kind in FACTS if since.get(kind, as_of + 1) > as_of)


def without_absent(evaluation: Evaluation, catalogue: Catalogue, absent: tuple[str, ...]) -> Evaluation:
    """The evaluation with the features of absent kinds missing."""
    if not absent:
        return evaluation
    named = {kind: [name for name, kinds in _kinds_of(catalogue).items() if kind in kinds] for kind in absent}
    missing = dict.fromkeys(name for names in named.values() for name in names)
    features = {**evaluation.features, **missing}
    return replace(evaluation, features=features, not_recorded={kind: tuple(names) for kind, names in named.items()})


def table_without_absent(table: pa.Table, catalogue: Catalogue, since: Since | None) -> pa.Table:
    """A table of features by `as_of` with the features of kinds missing where those were not recorded by then."""
    if since is None:
        return table
    for name, kinds in _kinds_of(catalogue).items():
        known = max((since.get(kind, _NEVER) for kind in kinds), default=0)
        place = table.schema.get_field_index(name)
        kept = pc.if_else(pc.greater_equal(table["as_of"], known), table[name], pa.scalar(None, table[name].type))
        table = table.set_column(place, name, kept)
    return table


_NEVER = np.iinfo(np.int64).max


@cache
def _kinds_of(catalogue: Catalogue) -> Mapping[str, frozenset[str]]:
    """The kinds of facts that each feature counts, by its name; features that count none are left out."""
    read = {entry.name: kinds_read(entry.value) for entry in catalogue.entries}
    return {name: kinds for name, kinds in read.items() if kinds}


def kinds_read(expression: Expression | float) -> frozenset[str]:
    """The kinds of facts that an expression aggregates."""
    match expression:
        case Aggregate():
            return frozenset((expression.record,))
        case Quotient(dividend, divisor):
            return kinds_read(dividend) | kinds_read(divisor)
        case Difference(minuend, subtrahend):
            return kinds_read(minuend) | kinds_read(subtrahend)
        case ShrunkRate():
            parts = (expression.successes, expression.trials, expression.prior, expression.strength)
            return frozenset[str]().union(*map(kinds_read, parts))
    return frozenset()
