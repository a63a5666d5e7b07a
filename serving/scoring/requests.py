"""The requests to decide on leads: one lead with its facts, built from the records; and batches of them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.engines.python import Facts
from features.provenance import Attribute
from features.records import (
    KINDS,
    Account,
    BuyingSignal,
    Confirmation,
    IntegrationUsage,
    Kind,
    Partner,
    Record,
    Referral,
    SharedCustomer,
    Stored,
    Touchpoint,
)
from features.value_types import Instant
from serving.records.attributes import ScoredLead, attribute_errors, known_attributes
from serving.validation import FieldError, InvalidFields

MAX_FACTS = 10_000
"""Facts of one kind in one body."""
MAX_BATCH = 1_000
"""Leads in one batch."""

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)
"""The configuration of a request's model: no unknown fields, no coercion."""

_Fact = TypeVar("_Fact", bound=Record)

_List = Annotated[tuple[_Fact, ...], Field(max_length=MAX_FACTS, strict=False)]


class LeadRequest(BaseModel):
    """A lead with its facts, to be kept. An absent list means that none are known; an absent field is unknown.

    No record may say `recorded_at`: the service records when it learned of it (see `check_unrecorded`).
    """

    model_config = STRICT

    lead: ScoredLead
    """The lead."""
    account: Account | None = None
    """The lead's account."""
    partners: _List[Partner] | None = None
    """The partners that the facts name."""
    referrals: _List[Referral] | None = None
    """Referrals of the lead."""
    confirmations: _List[Confirmation] | None = None
    """Confirmations of fit and intent."""
    integration_usage: _List[IntegrationUsage] | None = None
    """Days of integration use by the account."""
    shared_customers: _List[SharedCustomer] | None = None
    """Partners that know the account."""
    touchpoints: _List[Touchpoint] | None = None
    """Marketing touches of the lead."""
    buying_signals: _List[BuyingSignal] | None = None
    """Signs of intent in the CRM."""

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if self.account and self.lead.account_id not in (None, self.account.account_id):
            raise ValueError("must name one account: lead.account_id and account.account_id differ")
        return self

    @property
    def account_id(self) -> str:
        """The account's id; of a lead without one the lead's, which then stands for its account."""
        return self.account.account_id if self.account else self.lead.account_id or self.lead.lead_id


class ScoreRequest(LeadRequest):
    """A lead with its facts. An absent list means that none are known; an absent field is unknown."""

    as_of: Instant | None = None
    """The moment the score speaks for; now where not given."""

    def facts(self) -> Facts:
        """The request in the shape the direct engine reads, facts numbered in the order they were sent."""
        return {name: [record.row() for record in self._records(name)] for name in _NAMES}

    def _records(self, name: str) -> Iterator[Stored]:
        kind = KINDS[name]
        parents = {"lead_id": self.lead.lead_id, "account_id": self.account_id}
        parent = parents[kind.parent] if kind.parent else None
        for number, record in enumerate(self._contents(name)):
            identity = getattr(record, kind.id) if kind.entity else str(number)
            attributes = known_attributes(record.attributes) if isinstance(record, ScoredLead) else {}
            yield Stored(kind, identity, record, parent, attributes=attributes)

    def _contents(self, name: str) -> Sequence[Record]:
        if name == "leads":
            return (self.lead.model_copy(update={"account_id": self.account_id}),)
        if name == "accounts":
            return (self.account,) if self.account else ()
        return getattr(self, name) or ()


_LISTS = tuple(name for name in LeadRequest.model_fields if name in KINDS)
_NAMES = ("leads", "accounts", *_LISTS)


class BatchRequest(BaseModel):
    """Up to `MAX_BATCH` requests, answered in their order as `{"items": [...]}`; one invalid request rejects all."""

    model_config = STRICT

    items: Annotated[tuple[ScoreRequest, ...], Field(min_length=1, max_length=MAX_BATCH, strict=False)]
    """The items, in their order."""


def moment_of(request: ScoreRequest, now: int, path: str = "") -> int:
    """The moment to score as of: the request's, or `now` (both microseconds).

    Raises:
        InvalidFields: that moment lies in the future.
    """
    if request.as_of is not None and request.as_of > now:
        raise InvalidFields([FieldError(f"{path}as_of", "must not lie in the future")])
    return now if request.as_of is None else request.as_of


def sent_records(request: LeadRequest) -> Iterator[tuple[str, Kind, Record]]:
    """The records of a request, each with its path in the body and its kind."""
    yield "lead", KINDS["leads"], request.lead
    if request.account:
        yield "account", KINDS["accounts"], request.account
    for name in _LISTS:
        for place, record in enumerate(getattr(request, name) or ()):
            yield f"{name}.{place}", KINDS[name], record


def check_attributes(request: LeadRequest, declared: Sequence[Attribute], path: str = "") -> None:
    """Checks that the lead's attributes are declared ones of the declared kind.

    Raises:
        InvalidFields: one is not; the errors name declared attributes only.
    """
    errors = attribute_errors(known_attributes(request.lead.attributes), declared, f"{path}lead.attributes")
    if errors:
        raise InvalidFields(errors)
