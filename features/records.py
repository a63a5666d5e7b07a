"""The typed contract of every kind of record.

Entities (accounts, partners, leads) are kept as versions. Facts are append-only: a correction is a later version with
the same id, a tombstone is a version that is marked as deleted. The content of a record is a frozen model that
validates itself. `Stored` adds the identity. `Kind` holds the keys of a kind and its flat columns.
"""

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from features.folding import Folding, folded_list, folded_text
from features.provenance import ATTRIBUTE_PREFIX
from features.value_types import (
    DAY,
    KEPT,
    Category,
    Count,
    Country,
    Currency,
    Date,
    Domain,
    Email,
    Id,
    Instant,
    Item,
    Measure,
    Money,
    Scalar,
    Share,
    Size,
    Text,
    Url,
)

PartnerChannel = Literal[
    "integration_marketplace", "co_created_content", "backlink", "partner_referral", "webinar", "case_study"
]
OwnChannel = Literal[
    "demo_request", "paid_search", "paid_display", "organic_search", "trade_show", "email", "social", "direct", "other"
]
PARTNER_CHANNELS: tuple[str, ...] = typing.get_args(PartnerChannel)
OWN_CHANNELS: tuple[str, ...] = typing.get_args(OwnChannel)
Channel = Literal[PartnerChannel, OwnChannel]
BuyingSignalKind = Literal[
    "demo_request", "budget_confirmed", "authority_confirmed", "use_case_stated", "timeline_stated"
]

Row: TypeAlias = Mapping[str, Any]
"""One version of a record as flat columns (see `Kind.columns`), with `occurred_at` and `recorded_at`."""


class Record(BaseModel):
    """The content of one record. Frozen, strict, unknown fields refused; an absent field means unknown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    recorded_at: Instant | None = None
    """When we learned it; the moment it happened where not given."""

    def happened(self) -> int | None:
        """Microseconds of the moment this became true; None where nothing dates it (then it was always known)."""
        return None


class Account(Record):
    """A company, as a version: what was known of it from `recorded_at` on."""

    account_id: Id
    """The account's id, as the CRM gives it."""
    domain: Domain | None = None
    """The domain of the company's website, such as acme.example."""
    name: Text | None = None
    """The company's name."""
    employees: Count | None = None
    """The number of employees."""
    annual_revenue: Size | None = None
    """The revenue of a year."""
    industry: Category | None = None
    """The industry, in any words."""
    country: Country | None = None
    """The country, ISO 3166-1 alpha-2."""
    technologies: Annotated[tuple[Item, ...], Field(max_length=1000, strict=False)] | None = None
    """The products that the company uses."""
    competitor: bool | None = None
    """Whether the company competes with us."""


class Partner(Record):
    """A partner, as a version. `tier` is the partner's own, whatever a referral stated."""

    partner_id: Id
    """The partner's id."""
    name: Text | None = None
    """The partner's name."""
    kind: Literal["integration", "implementation", "agency", "content", "affiliate"] | None = None
    """The kind of partner."""
    tier: Category | None = None
    """The partner's own tier, in any words."""
    certified: bool | None = None
    """Whether the partner is certified."""


class Lead(Record):
    """A lead, as a version. `programme_tier` is what the referral stated; `order` ranks leads of an undated export."""

    lead_id: Id
    """The lead's id."""
    account_id: Id | None = None
    """The account's id, as the CRM gives it."""
    email: Email | None = None
    """The e-mail address of the contact."""
    created_at: Instant | None = None
    """When the lead was created."""
    channel: Channel | None = None
    """The channel that the lead came through."""
    source_partner_id: Id | None = None
    """The partner that the lead came from."""
    programme_tier: Category | None = None
    """The programme tier that the referral stated."""
    referral_date: Date | None = None
    """The day of the referral."""
    region: Category | None = None
    """The sales region, in any words."""
    product_line: Category | None = None
    """The product that the lead is about."""
    opted_out: bool | None = None
    """Whether the contact opted out of being contacted."""
    duplicate_of: Id | None = None
    """The lead that this one duplicates."""

    @override
    def happened(self) -> int | None:
        return self.created_at


class Fact(Record):
    """Something that happened at one moment."""

    occurred_at: Instant
    """When it happened."""

    @override
    def happened(self) -> int | None:
        return self.occurred_at


class Referral(Fact):
    """A partner referred the lead to us."""

    partner_id: Id
    """The partner that referred the lead."""


class Confirmation(Fact):
    """One side vouches for fit, intent or both."""

    side: Literal["partner", "vendor"]
    """The side that confirms."""
    partner_id: Id | None = None
    """The partner that confirms."""
    subjects: Annotated[tuple[Literal["fit", "intent"], ...], Field(min_length=1, max_length=2, strict=False)]
    """What the side confirms."""


class IntegrationUsage(Record):
    """One day of an account's use of an integration; it happens, and is known, when that day (UTC) ends."""

    integration: Category
    """The integration that the account uses."""
    partner_id: Id | None = None
    """The partner that offers the integration."""
    day: Date
    """The day of the use, in UTC."""
    calls: Count | None = None
    """The calls on that day."""
    active_users: Count | None = None
    """The people who used it on that day."""

    @override
    def happened(self) -> int | None:
        return self.day + DAY


class SharedCustomer(Record):
    """A partner has the account as its customer, opportunity or prospect, since a day where that is known."""

    partner_id: Id
    """The partner that knows the account."""
    relationship: Literal["customer", "opportunity", "prospect"]
    """What the account is to the partner."""
    since: Date | None = None
    """The day or moment from which on it holds."""
    confidence: Share | None = None
    """How sure the match is, 0 to 1."""
    source: Text | None = None
    """The source, such as the partner's list that it was matched from."""
    reason: Text | None = None
    """Why it is held to be the same account, or why no longer."""

    @override
    def happened(self) -> int | None:
        return self.since


class Touchpoint(Fact):
    """A marketing touch of the lead: a visit, webinar, download. With a `partner_id` it is partner content."""

    channel: Channel
    """The channel of the touch."""
    kind: Category | None = None
    """The kind of touch, such as visit or download."""
    partner_id: Id | None = None
    """The partner whose content was touched."""
    url: Url | None = None
    """The address that was visited, with its UTM parameters."""


class BuyingSignal(Fact):
    """A sign of intent recorded in the CRM."""

    kind: BuyingSignalKind
    """The kind of signal."""


class LeadEvent(Record):
    """A step of the lead's sales process. Never a feature: it gives the labels. Undated where the export is."""

    event: Literal["opened", "stage", "won", "lost", "reopened"]
    """The step of the sales process."""
    occurred_at: Instant | None = None
    """When it happened."""
    stage: Text | None = None
    """The stage, as the CRM names it."""
    amount: Money | None = None
    """The amount of the deal."""
    acv: Money | None = None
    """The annual contract value."""
    arr: Money | None = None
    """The annual recurring revenue."""

    @override
    def happened(self) -> int | None:
        return self.occurred_at


class Spend(Fact):
    """Money spent on a channel or a partner."""

    channel: Channel | None = None
    """The channel that the money was spent on."""
    partner_id: Id | None = None
    """The partner that the money was spent on."""
    amount: Size
    """The money spent."""


class Agreement(Fact):
    """The commission of a partner from a day on: a share of the revenue of sourced or influenced leads."""

    partner_id: Id
    """The partner."""
    role: Literal["sourced", "influenced"]
    """Whether the share is of sourced or of influenced leads."""
    share: Share
    """The share of the revenue, 0 to 1."""
    until: Date | None = None
    """The last day on which it holds."""


class Payout(Fact):
    """Money paid, or taken back (negative), for a lead."""

    partner_id: Id
    """The partner."""
    lead_id: Id | None = None
    """The lead's id."""
    amount: Money
    """The money paid; negative where it was taken back."""
    status: Literal["pending", "approved", "paid"]
    """The state of the payment."""


class ExchangeRate(Fact):
    """Units of `quote` that one unit of `base` buys, from `occurred_at` on."""

    base: Currency
    """The currency that is converted, ISO 4217."""
    quote: Currency
    """The currency that the rate is in, ISO 4217."""
    rate: Annotated[float, Field(gt=0)]
    """The units of `quote` for one unit of `base`."""


class PartnerHistory(Fact):
    """Derived: what a partner's matured leads came to by the end of a day (see features.partner_history)."""

    partner_id: Id
    """The partner."""
    leads: Count
    """Matured leads by the end of the day."""
    wins: Count
    """Won leads among them."""
    days_to_close: Measure | None = None
    """Mean days to the win."""


class TierHistory(Fact):
    """Derived: what the matured leads of a tier's partners came to by the end of a day; `*` is every partner.

    The strengths, of `*` alone, say how many leads a partner (a tier) must have for its own rate to weigh as much as
    that of its tier (of everyone).
    """

    tier: Text
    """The tier, in any words."""
    leads: Count
    """Matured leads by the end of the day."""
    wins: Count
    """Won leads among them."""
    partner_strength: Measure | None = None
    """Leads that a partner needs for its own rate to weigh as much as its tier's."""
    tier_strength: Measure | None = None
    """Leads that a tier needs for its own rate to weigh as much as everyone's."""


ColumnType = Literal["text", "integer", "real", "flag", "instant", "date"]


@dataclass(frozen=True)
class Column:
    """One flat column: its name and type. Instants and dates are int64 microseconds; lists are text such as `|a|b|`."""

    name: str
    type: ColumnType


_SCALARS: Mapping[Any, ColumnType] = {
    int: "integer",
    float: "real",
    bool: "flag",
    Count: "integer",
    Share: "real",
    Measure: "real",
    Instant: "instant",
    Date: "date",
}
ENVELOPE = (Column("occurred_at", "instant"), Column("recorded_at", "instant"), Column("deleted", "flag"))
"""The columns that every stored record has beside its keys and its content."""


@dataclass(frozen=True)
class Kind:
    """One kind of record: its keys and its flat columns.

    Attributes:
        name: the plural name of files, tables and routes.
        model: the model of the content.
        id: the column that identifies a record, the same in all its versions.
        parent: the key of the entity that a record belongs to (`lead_id` or `account_id`); None where it has none.
        planned: whether a record may be recorded before it begins to hold, such as an agreement.
    """

    name: str
    model: type[Record]
    id: str
    parent: Literal["lead_id", "account_id"] | None = None
    _: KW_ONLY
    planned: bool = False

    def __hash__(self) -> int:
        # A kind is looked up in a dictionary for every row. Its name is unique, and faster to hash than all its fields.
        return hash(self.name)

    @cached_property
    def entity(self) -> bool:
        """Whether the records are versions of an entity: then the id is a field of the content."""
        return self.id in self.model.model_fields

    @cached_property
    def _columns(self) -> Mapping[str, tuple[Column, ...]]:
        """The flat columns of each field of the content."""
        return {
            name: _flat(name, info.annotation)
            for name, info in self.model.model_fields.items()
            if name not in ("occurred_at", "recorded_at")
        }

    @cached_property
    def _fields(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the flat columns of each field of the content."""
        return {name: tuple(column.name for column in columns) for name, columns in self._columns.items()}

    @cached_property
    def _unknown(self) -> dict[str, Scalar]:
        """A row in which every column is unknown."""
        return dict.fromkeys(self.names)

    @cached_property
    def foldings(self) -> Mapping[str, Folding]:
        """The flat columns of free text, each with the function that folds it: texts are compared folded."""
        foldings = {name: _folding(info.annotation) for name, info in self.model.model_fields.items()}
        return {name: folding for name, folding in foldings.items() if folding is not None}

    @cached_property
    def content(self) -> tuple[Column, ...]:
        """The flat columns of the content."""
        return tuple(column for columns in self._columns.values() for column in columns)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All flat columns in order: keys, envelope, content; for leads also `order` and `group` (see `Stored`)."""
        keys = [name for name in (None if self.entity else self.id, self.parent) if name]
        rank = (Column("order", "integer"), Column("group", "text")) if self.name == "leads" else ()
        return (*(Column(name, "text") for name in keys), *ENVELOPE, *rank, *self.content)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all flat columns in order."""
        return tuple(column.name for column in self.columns)

    def row(self, record: Record) -> dict[str, Scalar]:
        """The flat row of a record's content, its columns in order; `recorded_at` is `occurred_at` unless given."""
        row = self._unknown.copy()
        happened = record.happened()
        row["occurred_at"] = happened
        row["recorded_at"] = happened if record.recorded_at is None else record.recorded_at
        for name, columns in self._fields.items():
            value = getattr(record, name)
            if value is None:
                continue
            if len(columns) == 1 and type(value) is not tuple:
                row[name] = value
            else:
                row.update(zip(columns, _values(value, columns), strict=True))
        return row


def _flat(name: str, annotation: Any) -> tuple[Column, ...]:
    inner = next((part for part in typing.get_args(annotation) if part is not types.NoneType), annotation)
    inner = annotation if typing.get_origin(annotation) not in (types.UnionType, typing.Union) else inner
    if inner in (Money, Size):
        return Column(f"{name}_minor", "integer"), Column(f"{name}_currency", "text")
    if inner is Email:
        return Column(name, "text"), Column(f"{name}_domain", "text")
    if inner is Url:
        return Column(name, "text"), Column(f"{name}_tagged", "flag")
    return (Column(name, _SCALARS.get(inner, "text")),)


def _folding(annotation: Any) -> Folding | None:
    if annotation is Category:
        return folded_text
    if typing.get_origin(annotation) is tuple and Item in typing.get_args(annotation):
        return folded_list
    return next((found for part in typing.get_args(annotation) if (found := _folding(part)) is not None), None)


DETAILS: Mapping[str, Callable[[str], Scalar]] = {
    "email_domain": lambda email: email.rpartition("@")[2],
    "url_tagged": lambda url: "utm_source=" in url.lower(),
}
"""The columns derived from a personal field: what features may know of it where the field itself is left out."""


def _values(value: Any, columns: Sequence[str]) -> tuple[Scalar, ...]:
    if isinstance(value, Money):
        return value.minor, value.currency
    if isinstance(value, tuple):
        return (f"|{'|'.join(value)}|",)
    return (value, *(DETAILS[column](value) for column in columns[1:]))


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("accounts", Account, "account_id"),
        Kind("partners", Partner, "partner_id"),
        Kind("leads", Lead, "lead_id"),
        Kind("referrals", Referral, "referral_id", "lead_id"),
        Kind("confirmations", Confirmation, "confirmation_id", "lead_id"),
        Kind("shared_customers", SharedCustomer, "shared_customer_id", "account_id"),
        Kind("integration_usage", IntegrationUsage, "usage_id", "account_id"),
        Kind("touchpoints", Touchpoint, "touchpoint_id", "lead_id"),
        Kind("buying_signals", BuyingSignal, "buying_signal_id", "lead_id"),
        Kind("lead_events", LeadEvent, "lead_event_id", "lead_id"),
        Kind("spend", Spend, "spend_id"),
        Kind("agreements", Agreement, "agreement_id", planned=True),
        Kind("payouts", Payout, "payout_id"),
        Kind("exchange_rates", ExchangeRate, "exchange_rate_id", planned=True),
    )
}
PARTNER_HISTORY = Kind("partner_history", PartnerHistory, "partner_id")
TIER_HISTORY = Kind("tier_history", TierHistory, "tier")
EVERYONE = "*"
"""The tier under which `TIER_HISTORY` holds the history of all partners."""

DERIVED = (PARTNER_HISTORY, TIER_HISTORY)
"""The derived records. They are keyed like entities: a row holds from its day until the next row with its key."""


@dataclass(frozen=True)
class Problem:
    """An error in one field of a record. `value` may appear in files and terminals, never in an HTTP answer."""

    field: str
    constraint: str
    value: Any

    def __str__(self) -> str:
        return f"{self.field} {self.constraint}, not {self.value!r}"


class InvalidRecord(ValueError):
    """A record breaks its contract.

    Attributes:
        kind: the plural name of the record's kind.
        problems: all errors in the record.
    """

    def __init__(self, kind: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{kind}: {'; '.join(map(str, problems))}")
        self.kind = kind
        self.problems = problems


@dataclass(frozen=True)
class Stored:
    """A version of a record with its identity, as files and the store hold it.

    Attributes:
        kind: one of `KINDS`.
        id: the id of the record, the same in all its versions.
        record: the content.
        parent: the id of the entity that the record belongs to; None where the kind has no parent.
        attributes: the extra columns that an import mapping declares, by name; for leads only.
        order: the rank of a lead in an undated export.
        group: the name that the leads of one group share in an export without accounts.
        deleted: whether this version is a tombstone.
    """

    kind: Kind
    id: str
    record: Record
    parent: str | None = None
    _: KW_ONLY
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    order: int | None = None
    group: str | None = None
    deleted: bool = False

    def __post_init__(self) -> None:
        if (self.parent is None) != (self.kind.parent is None):
            problem = Problem(
                self.kind.parent or "parent", f"must be {'given' if self.kind.parent else 'absent'}", None
            )
            raise InvalidRecord(self.kind.name, (problem,))

    def row(self) -> dict[str, Scalar]:
        """The flat row: the columns of `Kind.columns`, then `attributes.<name>` for each attribute."""
        row = self.kind.row(self.record)
        row[self.kind.id], row["deleted"] = self.id, self.deleted
        if self.kind.parent:
            row[self.kind.parent] = self.parent
        if self.kind.name == "leads":
            row["order"], row["group"] = self.order, self.group
        for name, value in self.attributes.items():
            row[f"{ATTRIBUTE_PREFIX}{name}"] = value
        return row


def parse(kind: Kind, content: Mapping[str, Any], *, kept: bool = False) -> Record:
    """The validated content of one record; times may be RFC 3339 text or microseconds.

    Args:
        kind: of the record.
        content: its fields by name.
        kept: whether the record was taken in before, perhaps by an earlier version (see `features.value_types.KEPT`).

    Raises:
        InvalidRecord: the content breaks the contract; the error names every field, its constraint and the value.
    """
    try:
        return kind.model.model_validate(content, context=KEPT if kept else None)
    except ValidationError as error:
        raise InvalidRecord(kind.name, tuple(map(_problem, error.errors()))) from None


def _problem(error: Any) -> Problem:
    return Problem(".".join(map(str, error["loc"])), constraint(error), error["input"])


def constraint(error: Mapping[str, Any]) -> str:
    """The constraint that a pydantic error reports, in words and without the value that breaks it."""
    if error["type"] == "extra_forbidden":
        return "is not a field of this record"
    if error["type"] == "missing":
        return "is required"
    message: str = error["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    return re.sub(r"^\w+ should ", "must ", message)
