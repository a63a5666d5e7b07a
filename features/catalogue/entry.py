"""A feature: one frozen entry that validates itself, with its value as an expression that every engine evaluates.

The expressions are few and portable: aggregates over a lead's visible facts, readings of an entity as of the moment,
and a little arithmetic. Two modules of `features/engines` evaluate them: `python`, and `sql_compiler` as SQL.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from features.folding import folded_column, sent_column
from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, PARTNER_HISTORY, TIER_HISTORY, Kind
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
"""The entities that features and rules may read: the lead, its account and its source partner."""

READABLE = {**ENTITIES, "partner_history": PARTNER_HISTORY, "tier_history": TIER_HISTORY, "all_history": TIER_HISTORY}
"""The entities that a feature may read: also the history of the source partner, of its tier, and of all partners."""

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
"""The facts that a feature may use, without `lead_events`: stage, status and outcome would leak the label."""


def _readable(kind: Kind) -> frozenset[str]:
    """The columns of a kind that an expression may read: those of its content, and those of its folded texts."""
    return frozenset((*(column.name for column in kind.content), *map(folded_column, kind.foldings)))


class InvalidEntry(ValueError):
    """An entry or a catalogue breaks a constraint; the message names the entry and the constraint."""


@dataclass(frozen=True)
class Condition:
    """A test of one column of a fact; with the prefix `partner.`, of the partner that the fact names.

    Attributes:
        column: the tested column.
        test: `in` (the column is one of the values), `out` (it is none of them, or missing), `given`, `absent`,
            `mentions` (a list column holds the value), or `source` (the column names the lead's source partner).
        values: the values of `in`, `out` and `mentions`; empty for the other tests.
    """

    column: str
    test: Literal["in", "out", "given", "absent", "mentions", "source"]
    values: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) != (self.test in ("in", "out", "mentions")):
            raise InvalidEntry(f"condition on {self.column}: {self.test} got {len(self.values)} values")


def one_of(column: str, *values: str | int | float | bool) -> Condition:
    """The condition that `column` is one of `values`."""
    return Condition(column, "in", values)


def none_of(column: str, *values: str | int | float | bool) -> Condition:
    """The condition that `column` is none of `values`, or missing."""
    return Condition(column, "out", values)


def mentions(column: str, value: str) -> Condition:
    """The condition that the list `column` holds `value`."""
    return Condition(column, "mentions", (value,))


SOURCE_PARTNER = Condition("partner_id", "source")
"""The condition that the fact names the lead's source partner."""


@dataclass(frozen=True)
class Aggregate:
    """An aggregate over the lead's facts of one kind that are visible as of the moment.

    Attributes:
        how: the aggregate. Counts and sums are 0 where no fact qualifies; the other aggregates are missing there.
            `days_since_*` are real numbers of days. `faded` is a sum of shares (1 where a share is missing), each
            halved for every `half_life` days since the fact was recorded.
        record: the kind of fact, one of `FACTS`.
        column: the column that is summed, compared or counted distinct; None for `count` and `days_since_*`.
        where: the conditions, which must all hold.
        days: the window in days before the moment; None for all facts, however old.
        skip: the days between the window and the moment, for a window further back.
        half_life: days; for `faded` alone.
    """

    how: Literal["count", "distinct", "sum", "max", "days_since_first", "days_since_last", "faded"]
    record: str
    column: str | None = None
    _: KW_ONLY
    where: tuple[Condition, ...] = ()
    days: int | None = None
    skip: int = 0
    half_life: int | None = None

    def __post_init__(self) -> None:
        if self.record not in FACTS:
            raise InvalidEntry(f"an aggregate reads one of {', '.join(FACTS)}, not {self.record!r}")
        known = _readable(FACTS[self.record])
        needs_column = self.how in ("distinct", "sum", "max", "faded")
        if needs_column != (self.column is not None) or (self.column and self.column not in known):
            raise InvalidEntry(f"{self.how} of {self.record}: {self.column!r} is not a column it can use")
        partner = {f"partner.{column}" for column in _readable(ENTITIES["partner"])}
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
    """The value of an entity's column as of the moment; a flag reads as 1 or 0.

    Attributes:
        entity: one of `READABLE`.
        column: the flat column; `attributes.<name>` of a lead reads an imported attribute.
        where: conditions on the same entity; the value is missing unless all of them hold.
    """

    entity: Entity
    column: str
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if self.entity not in READABLE:
            raise InvalidEntry(f"a reading reads one of {', '.join(READABLE)}, not {self.entity!r}")
        known = _readable(READABLE[self.entity])
        for column in (self.column, *(condition.column for condition in self.where)):
            attribute = (sent_column(column) or column).startswith(ATTRIBUTE_PREFIX)
            if column not in known and not (self.entity == "lead" and attribute):
                raise InvalidEntry(f"{self.entity} has no column {column!r}")
        if any(condition.test == "source" for condition in self.where):
            raise InvalidEntry(f"{self.entity}.{self.column}: only facts are tested against the source partner")


@dataclass(frozen=True)
class Matches:
    """The number of `values`, in lower case, that a text or list column holds; missing where the column is missing.

    A text column gives 1 where it is one of the values, else 0.
    """

    reading: Reading
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        fit = all("|" not in value and value == value.lower() for value in self.values)
        if not self.values or len({*self.values}) < len(self.values) or not fit:
            raise InvalidEntry(f"matches of {self.reading.column}: values must be given once each, in lower case, no |")


@dataclass(frozen=True)
class Given:
    """1 where a column of an entity has a value, else 0."""

    reading: Reading


@dataclass(frozen=True)
class DaysSince:
    """Days from an instant of an entity to the moment; missing where the instant lies after the moment."""

    instant: Reading


@dataclass(frozen=True)
class Month:
    """The calendar month of the moment in UTC, 1 to 12."""


@dataclass(frozen=True)
class Quotient:
    """`dividend / divisor` as a real number; missing where either is missing or the divisor is 0."""

    dividend: "Expression"
    divisor: "Expression | float"


@dataclass(frozen=True)
class Difference:
    """`minuend - subtrahend`; missing where either is missing."""

    minuend: "Expression"
    subtrahend: "Expression"


@dataclass(frozen=True)
class ShrunkRate:
    """An empirical-Bayes rate: (successes + strength * prior) / (trials + strength).

    Without trials the rate is the prior. It is missing where the prior or the strength is missing.
    """

    successes: "Expression"
    trials: "Expression"
    prior: "Expression"
    strength: "Expression"


@dataclass(frozen=True)
class LeadChannel:
    """The lead's channel where a partner has it, or where we have it; missing where the other side has it.

    A channel that both may have is a partner's where the lead is a partner lead (see `features.partner_lead`).

    Attributes:
        side: whose channels count.
    """

    side: Literal["partner", "own"]


REFERRALS = Aggregate("count", "referrals")
PARTNER_TOUCHES = Aggregate("count", "touchpoints", where=(Condition("partner_id", "given"),))
"""With `REFERRALS`, the facts that show that a partner is involved."""

Expression: TypeAlias = (
    Aggregate | Reading | Matches | Given | DaysSince | Month | Quotient | Difference | ShrunkRate | LeadChannel
)


@dataclass(frozen=True)
class Entry:
    """One feature.

    Attributes:
        family: the signal family.
        name: the name, the same everywhere.
        value: the expression of the value.
        unit: the unit of the value, in words.
        description: one sentence for data scientists on what the feature measures.
        sentence: the sentence for sales; `{value}` stands for the value.
        absent: the sentence for sales where the value is missing or 0.
        direction: +1 where a higher value may only raise the probability, -1 where it may only lower it, else 0.
        missing: the meaning of a missing value: `none` (the value is 0) or `unknown` (it stays missing).
        partner: whether the feature is about partners, so that `without_partner` takes its neutral value instead.
        kind: `number` for values with an order, `category` for names.
    """

    family: Family
    name: str
    value: Expression
    _: KW_ONLY
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
        """The value of a partner feature for a lead without partners."""
        return 0 if self.missing == "none" else None

    def read(self, value: Scalar) -> str:
        """The sentence for sales on a value."""
        if value is None or value == 0:
            return self.absent
        return self.sentence.format(value=_shown(value))

    def read_unseen(self, value: str) -> str:
        """The sentence for sales on a category's value that the model does not know."""
        return f"{self.sentence.replace(': {', ' {').format(value=_shown(value))}: {UNSEEN}"


UNSEEN = "not seen in training, or too rarely"
"""What a sentence says of a category's value that is no level of the model."""


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2g}"
