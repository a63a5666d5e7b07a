"""What a feature is: one frozen, self-validating entry, its value an expression every engine understands.

The expressions are few and portable: aggregates over a lead's visible facts, readings of an entity as of the moment,
and a little arithmetic. `features.direct` evaluates them in Python, `features.compile` as SQL; nothing else may.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, PARTNER_HISTORY
from features.values import Scalar

Family = Literal[
    "integration_usage",
    "partner_referral",
    "shared_customers",
    "partner_content",
    "engagement",
    "buying_signals",
    "icp",
    "partner_history",
    "lead",
    "attributes",
]
FAMILIES: tuple[str, ...] = get_args(Family)

ENTITIES = {"lead": KINDS["leads"], "account": KINDS["accounts"], "partner": KINDS["partners"]}
"""The entities a feature may read: the lead, its account, its source partner; beside them the partner's history."""

_FACTS = tuple(
    KINDS[name]
    for name in (
        "integration_usage",
        "referrals",
        "confirmations",
        "shared_customers",
        "touchpoints",
        "buying_signals",
    )
)
FACTS = {kind.name: kind for kind in _FACTS}
"""The facts a feature may use. `lead_events` is not among them: stage, status and outcome cannot enter."""


class InvalidEntry(ValueError):
    """An entry or catalogue contradicts itself; the message names it and what it must be."""


@dataclass(frozen=True)
class Condition:
    """A test of one column of a fact, or with `partner.` before it, of the partner the fact names.

    Attributes:
        column: what is tested.
        test: `in` (one of the values), `given`, `absent`, or `mentions` (a list column holds the value).
        values: what it is tested against; none for `given` and `absent`.
    """

    column: str
    test: Literal["in", "given", "absent", "mentions"]
    values: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) != (self.test in ("in", "mentions")):
            raise InvalidEntry(f"condition on {self.column}: {self.test} got {len(self.values)} values")


def one_of(column: str, *values: str | int | float | bool) -> Condition:
    """`column` is one of `values`."""
    return Condition(column, "in", values)


def mentions(column: str, value: str) -> Condition:
    """The list `column` holds `value`."""
    return Condition(column, "mentions", (value,))


@dataclass(frozen=True)
class Aggregate:
    """An aggregate over the lead's facts of one record, visible as of the moment.

    Attributes:
        how: counts are 0 and the others missing where no fact qualifies; `days_since_*` are days, as reals.
        record: one of `FACTS`.
        column: what is summed, compared or counted distinct; none for `count` and `days_since_*`.
        where: conditions that must all hold.
        days: only facts that occurred in the last so many days; None for all.
        skip: leave out the most recent so many days (the window before).
    """

    how: Literal["count", "distinct", "sum", "max", "days_since_first", "days_since_last"]
    record: str
    column: str | None = None
    where: tuple[Condition, ...] = ()
    days: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        if self.record not in FACTS:
            raise InvalidEntry(f"an aggregate reads one of {', '.join(FACTS)}, not {self.record!r}")
        known = {column.name for column in FACTS[self.record].content}
        needs_column = self.how in ("distinct", "sum", "max")
        if needs_column != (self.column is not None) or (self.column and self.column not in known):
            raise InvalidEntry(f"{self.how} of {self.record}: {self.column!r} is not a column it can use")
        partner = {f"partner.{column.name}" for column in ENTITIES["partner"].content}
        for condition in self.where:
            if condition.column not in known | partner:
                raise InvalidEntry(f"{self.record} has no column {condition.column!r}")
        if (self.days is not None and self.days <= 0) or self.skip < 0:
            raise InvalidEntry(f"window of {self.record}: days must be positive and skip not negative")


@dataclass(frozen=True)
class Reading:
    """A column of an entity as of the moment; flags read as 1 and 0.

    Attributes:
        entity: the lead, its account, its source partner, or that partner's history.
        column: the flat column; `attributes.<name>` of a lead reads an imported attribute.
        where: conditions on the same entity; missing unless they hold.
    """

    entity: Literal["lead", "account", "partner", "history"]
    column: str
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        kind = PARTNER_HISTORY if self.entity == "history" else ENTITIES[self.entity]
        known = {column.name for column in kind.content}
        for column in (self.column, *(condition.column for condition in self.where)):
            if column not in known and not (self.entity == "lead" and column.startswith(ATTRIBUTE_PREFIX)):
                raise InvalidEntry(f"{self.entity} has no column {column!r}")


@dataclass(frozen=True)
class DaysSince:
    """Days from an instant an entity states to the moment; missing where that lies ahead."""

    instant: Reading


@dataclass(frozen=True)
class Quotient:
    """`dividend / divisor` as a real, such as cents to units; missing if the dividend is."""

    dividend: "Expression"
    divisor: float


@dataclass(frozen=True)
class Difference:
    """`minuend - subtrahend`; missing if either is."""

    minuend: "Expression"
    subtrahend: "Expression"


@dataclass(frozen=True)
class ShrunkRate:
    """An empirical-Bayes rate: (successes + strength * prior) / (trials + strength).

    The prior is all successes / all trials. Missing where any part is, or without trials at all.
    """

    successes: "Expression"
    trials: "Expression"
    all_successes: "Expression"
    all_trials: "Expression"
    strength: float


Expression: TypeAlias = Aggregate | Reading | DaysSince | Quotient | Difference | ShrunkRate


@dataclass(frozen=True)
class Entry:
    """One feature.

    Attributes:
        name: its name everywhere.
        family: the signal family it belongs to.
        value: the expression that yields it.
        unit: what a value counts, for readers.
        direction: +1 or -1 where a higher value may only raise or lower the probability, else 0.
        missing: what no value means: `none` (it is 0) or `unknown` (it stays missing).
        description: what it measures, in one sentence, for data scientists.
        sentence: how sales reads a value; `{value}` stands for it.
        absent: how sales reads a missing or zero value.
        partner: whether it speaks of partners, so that `neutral` is its value without them.
        neutral: that value.
        kind: numbers are compared, categories are names.
    """

    name: str
    family: Family
    value: Expression
    unit: str
    direction: Literal[-1, 0, 1]
    missing: Literal["none", "unknown"]
    description: str
    sentence: str
    absent: str
    partner: bool = False
    neutral: Scalar = None
    kind: Literal["number", "category"] = "number"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InvalidEntry(f"{self.name}: family must be one of {', '.join(FAMILIES)}, not {self.family!r}")
        if self.kind == "category" and (self.direction or self.missing == "none"):
            raise InvalidEntry(f"{self.name}: a category has no direction, and a missing one is unknown")
        if not self.partner and self.neutral is not None:
            raise InvalidEntry(f"{self.name}: only features of partners have a neutral value, not {self.neutral!r}")
        if self.partner and self.missing == "none" and self.neutral != 0:
            raise InvalidEntry(f"{self.name}: without partners it is 0, as its missing value is, not {self.neutral!r}")

    def read(self, value: Scalar) -> str:
        """The sentence sales reads for `value`."""
        if value is None or value == 0:
            return self.absent
        return self.sentence.format(value=_shown(value))


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2g}"
