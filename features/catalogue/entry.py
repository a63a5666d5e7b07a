"""What a feature is: one frozen, self-validating entry, its value an expression every engine understands.

The expressions are few and portable: aggregates over a lead's visible facts, readings of an entity as of the moment,
and a little arithmetic. Two modules of `features/engines` evaluate them: `python`, and `sql_compiler` as SQL.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, PARTNER_HISTORY, TIER_HISTORY
from features.value_types import Scalar

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
"""The entities of a lead that rules may read too: itself, its account, its source partner."""

READABLE = {**ENTITIES, "partner_history": PARTNER_HISTORY, "tier_history": TIER_HISTORY, "all_history": TIER_HISTORY}
"""What a feature may read: also the history of the source partner, of that partner's tier, and of all partners."""

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
        test: `in` (one of the values), `out` (none of them; a missing one passes), `given`, `absent`, `mentions` (a
            list column holds the value), or `source` (it names the lead's source partner).
        values: what it is tested against; only `in`, `out` and `mentions` have any.
    """

    column: str
    test: Literal["in", "out", "given", "absent", "mentions", "source"]
    values: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) != (self.test in ("in", "out", "mentions")):
            raise InvalidEntry(f"condition on {self.column}: {self.test} got {len(self.values)} values")


def one_of(column: str, *values: str | int | float | bool) -> Condition:
    """`column` is one of `values`."""
    return Condition(column, "in", values)


def none_of(column: str, *values: str | int | float | bool) -> Condition:
    """`column` is none of `values`, or missing."""
    return Condition(column, "out", values)


def mentions(column: str, value: str) -> Condition:
    """The list `column` holds `value`."""
    return Condition(column, "mentions", (value,))


SOURCE_PARTNER = Condition("partner_id", "source")
"""The fact names the lead's source partner."""


@dataclass(frozen=True)
class Aggregate:
    """An aggregate over the lead's facts of one record, visible as of the moment.

    Attributes:
        how: counts and sums are 0 and the others missing where no fact qualifies; `days_since_*` are days, as reals;
            `faded` is a sum of shares (1 where one is missing), each halved for every `half_life` days since recorded.
        record: one of `FACTS`.
        column: what is summed, compared or counted distinct; none for `count` and `days_since_*`.
        where: conditions that must all hold.
        days: only facts that occurred in the last so many days; None for all.
        skip: leave out the most recent so many days (the window before).
        half_life: days, of `faded` alone.
    """

    how: Literal["count", "distinct", "sum", "max", "days_since_first", "days_since_last", "faded"]
    record: str
    column: str | None = None
    where: tuple[Condition, ...] = ()
    days: int | None = None
    skip: int = 0
    half_life: int | None = None

    def __post_init__(self) -> None:
        if self.record not in FACTS:
            raise InvalidEntry(f"an aggregate reads one of {', '.join(FACTS)}, not {self.record!r}")
        known = {column.name for column in FACTS[self.record].content}
        needs_column = self.how in ("distinct", "sum", "max", "faded")
        if needs_column != (self.column is not None) or (self.column and self.column not in known):
            raise InvalidEntry(f"{self.how} of {self.record}: {self.column!r} is not a column it can use")
        partner = {f"partner.{column.name}" for column in ENTITIES["partner"].content}
        for condition in self.where:
            if condition.column not in known | partner:
                raise InvalidEntry(f"{self.record} has no column {condition.column!r}")
        if (self.days is not None and self.days <= 0) or self.skip < 0:
            raise InvalidEntry(f"window of {self.record}: days must be positive and skip not negative")
        if (self.half_life is not None and self.half_life > 0) != (self.how == "faded"):
            raise InvalidEntry(f"{self.how} of {self.record}: half_life is for faded, and positive")


Entity = Literal["lead", "account", "partner", "partner_history", "tier_history", "all_history"]


@dataclass(frozen=True)
class Reading:
    """A column of an entity as of the moment; flags read as 1 and 0.

    Attributes:
        entity: one of `READABLE`.
        column: the flat column; `attributes.<name>` of a lead reads an imported attribute.
        where: conditions on the same entity; missing unless they hold.
    """

    entity: Entity
    column: str
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if self.entity not in READABLE:
            raise InvalidEntry(f"a reading reads one of {', '.join(READABLE)}, not {self.entity!r}")
        known = {column.name for column in READABLE[self.entity].content}
        for column in (self.column, *(condition.column for condition in self.where)):
            if column not in known and not (self.entity == "lead" and column.startswith(ATTRIBUTE_PREFIX)):
                raise InvalidEntry(f"{self.entity} has no column {column!r}")
        if any(condition.test == "source" for condition in self.where):
            raise InvalidEntry(f"{self.entity}.{self.column}: only facts are tested against the source partner")


@dataclass(frozen=True)
class Matches:
    """How many of `values`, in lower case, a text or a list column of an entity holds; missing where the column is.

    So a text that is one of them is 1, and any other 0.
    """

    reading: Reading
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        fit = all("|" not in value and value == value.lower() for value in self.values)
        if not self.values or len({*self.values}) < len(self.values) or not fit:
            raise InvalidEntry(f"matches of {self.reading.column}: values must be given once each, in lower case, no |")


@dataclass(frozen=True)
class Given:
    """1 where an entity states a column, else 0."""

    reading: Reading


@dataclass(frozen=True)
class DaysSince:
    """Days from an instant an entity states to the moment; missing where that lies ahead."""

    instant: Reading


@dataclass(frozen=True)
class Month:
    """The calendar month of the moment in UTC, 1 to 12."""


@dataclass(frozen=True)
class Quotient:
    """`dividend / divisor` as a real, such as cents to units; missing if either is, or the divisor is 0."""

    dividend: "Expression"
    divisor: "Expression | float"


@dataclass(frozen=True)
class Difference:
    """`minuend - subtrahend`; missing if either is."""

    minuend: "Expression"
    subtrahend: "Expression"


@dataclass(frozen=True)
class ShrunkRate:
    """An empirical-Bayes rate: (successes + strength * prior) / (trials + strength).

    Without trials of its own it is the prior; missing where the prior or the strength is.
    """

    successes: "Expression"
    trials: "Expression"
    prior: "Expression"
    strength: "Expression"


Expression: TypeAlias = Aggregate | Reading | Matches | Given | DaysSince | Month | Quotient | Difference | ShrunkRate


@dataclass(frozen=True)
class Entry:
    """One feature.

    Attributes:
        family: the signal family it belongs to.
        name: its name everywhere.
        value: the expression that yields it.
        unit: what a value counts, for readers.
        description: what it measures, in one sentence, for data scientists.
        sentence: how sales reads a value; `{value}` stands for it.
        absent: how sales reads a missing or zero value.
        direction: +1 or -1 where a higher value may only raise or lower the probability, else 0.
        missing: what no value means: `none` (it is 0) or `unknown` (it stays missing).
        partner: whether it speaks of partners, so that `without_partner` replaces it by its neutral value.
        kind: numbers are compared, categories are names.
    """

    family: Family
    name: str
    value: Expression
    unit: str
    description: str
    sentence: str
    absent: str
    direction: Literal[-1, 0, 1] = 0
    missing: Literal["none", "unknown"] = "none"
    partner: bool = False
    kind: Literal["number", "category"] = "number"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InvalidEntry(f"{self.name}: family must be one of {', '.join(FAMILIES)}, not {self.family!r}")
        if self.direction not in (-1, 0, 1) or self.missing not in ("none", "unknown"):
            raise InvalidEntry(f"{self.name}: direction must be -1, 0 or 1 and missing none or unknown")
        if self.kind == "category" and (self.direction or self.missing == "none"):
            raise InvalidEntry(f"{self.name}: a category has no direction, and a missing one is unknown")
        if not (self.name and self.unit and self.description and self.sentence and self.absent):
            raise InvalidEntry(f"{self.name}: name, unit, description, sentence and absent must be given")

    @property
    def neutral(self) -> Scalar:
        """The value without partners of a feature that speaks of them: what it is where there is none."""
        return 0 if self.missing == "none" else None

    def read(self, value: Scalar) -> str:
        """The sentence sales reads for `value`."""
        if value is None or value == 0:
            return self.absent
        return self.sentence.format(value=_shown(value))


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2g}"
