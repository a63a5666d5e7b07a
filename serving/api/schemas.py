"""The bodies of `POST /v1/score`, `/v1/score/batch` and `/v1/leads`: a lead with its facts, built from the records."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from features.engines.python import Facts
from features.provenance import Attribute
from features.records import (
    KINDS,
    Account,
    BuyingSignal,
    Confirmation,
    IntegrationUsage,
    Kind,
    Lead,
    Partner,
    Record,
    Referral,
    SharedCustomer,
    Stored,
    Touchpoint,
)
from features.value_types import Id, Instant, Scalar, Text
from serving.api.problems import FieldError, from_fields, from_validation
from serving.api.strict_json import read_object
from serving.basis import Origin

MAX_FACTS = 10_000
"""Of one kind in one body."""
MAX_BATCH = 1_000

_MAX_ATTRIBUTES = 1_000
_MAX_TEXT = 500
_ATTRIBUTE_TYPES: Mapping[str, type] = {"number": float, "category": str}
_REFUSE_UNKNOWN = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

_Model = TypeVar("_Model", bound=BaseModel)
_Fact = TypeVar("_Fact", bound=Record)


def _number_or_text(value: Any) -> float | str | None:
    if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and "\0" not in value:
        return value
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
        return None if value is None else float(value)
    raise ValueError(f"must be a number or a text of 1 to {_MAX_TEXT} characters")


_ShortText = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
_AttributeValue = Annotated[
    float | str | None, PlainValidator(_number_or_text, json_schema_input_type=float | _ShortText | None)
]
_List = Annotated[tuple[_Fact, ...], Field(max_length=MAX_FACTS, strict=False)]


class ScoredLead(Lead):
    """A lead, with the extra columns that an import declared (see `check_attributes`)."""

    attributes: Annotated[dict[Text, _AttributeValue], Field(max_length=_MAX_ATTRIBUTES)] | None = None


class LeadRequest(BaseModel):
    """One lead with its facts, to be kept. An absent list means none are known, an absent field that it is unknown.

    No record may say `recorded_at`: the service records when it learned of it (see `check_unrecorded`).
    """

    model_config = _REFUSE_UNKNOWN

    lead: ScoredLead
    account: Account | None = None
    partners: _List[Partner] | None = None
    referrals: _List[Referral] | None = None
    confirmations: _List[Confirmation] | None = None
    integration_usage: _List[IntegrationUsage] | None = None
    shared_customers: _List[SharedCustomer] | None = None
    touchpoints: _List[Touchpoint] | None = None
    buying_signals: _List[BuyingSignal] | None = None

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
    """One lead with its facts. An absent list means none are known, an absent field that it is unknown."""

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
    """Up to `MAX_BATCH` requests, answered in their order as `{"items": [...]}`; one at fault refuses them all."""

    model_config = _REFUSE_UNKNOWN

    items: Annotated[tuple[ScoreRequest, ...], Field(min_length=1, max_length=MAX_BATCH, strict=False)]


class AliasRequest(BaseModel):
    """Another id of a lead."""

    model_config = _REFUSE_UNKNOWN

    alias: Id


class ReplayRequest(BaseModel):
    """What to make a decision again from: the features kept with it, or the facts that were there when it was made."""

    model_config = _REFUSE_UNKNOWN

    origin: Annotated[Origin, Field(alias="from")] = "facts"


def read(model: type[_Model], body: bytes) -> tuple[_Model, dict[str, Any]]:
    """A request body as a `model`, and as the JSON object that was sent.

    Raises:
        serving.api.strict_json.MalformedBody: the body is no JSON object that this API reads (400).
        serving.api.problems.Problem: it is, but breaks the contract (422).
    """
    content = read_object(body)
    try:
        # From the text and not from `content`: only in JSON may times be nothing but text.
        return model.model_validate_json(body), content
    except ValidationError as error:
        raise from_validation(error, model) from None


def moment_of(request: ScoreRequest, now: int, path: str = "") -> int:
    """The moment to score as of: the request's, or `now` (both microseconds).

    Raises:
        serving.api.problems.Problem: the request's lies in the future (422).
    """
    if request.as_of is not None and request.as_of > now:
        raise from_fields([FieldError(f"{path}as_of", "must not lie in the future")])
    return now if request.as_of is None else request.as_of


def sent_records(request: LeadRequest) -> Iterator[tuple[str, Kind, Record]]:
    """The records of a request, each with its path in the body and its kind."""
    yield "lead", KINDS["leads"], request.lead
    if request.account:
        yield "account", KINDS["accounts"], request.account
    for name in _LISTS:
        for place, record in enumerate(getattr(request, name) or ()):
            yield f"{name}.{place}", KINDS[name], record


def check_unrecorded(request: LeadRequest) -> None:
    """Checks that no record says when it was recorded.

    Raises:
        serving.api.problems.Problem: one does (422).
    """
    stamped = [path for path, _, record in sent_records(request) if "recorded_at" in record.model_fields_set]
    if stamped:
        demand = "must be absent: the service records when it learned of it"
        raise from_fields([FieldError(f"{path}.recorded_at", demand) for path in stamped])


def check_attributes(request: LeadRequest, declared: Sequence[Attribute], path: str = "") -> None:
    """Checks that the lead's attributes are declared ones of the declared kind.

    Raises:
        serving.api.problems.Problem: one is not (422); it names only what is declared.
    """
    errors = attribute_errors(known_attributes(request.lead.attributes), declared, f"{path}lead.attributes")
    if errors:
        raise from_fields(errors)


def attribute_errors(
    given: Mapping[str, Scalar], declared: Sequence[Attribute], field: str = "attributes"
) -> list[FieldError]:
    """What keeps a lead's attributes from being declared ones of the declared kind; it names only what is declared."""
    known = {attribute.name: attribute for attribute in declared if attribute.known == "at_creation"}
    errors = [
        FieldError(f"{field}.{name}", f"must be a {known[name].kind}")
        for name, value in given.items()
        if name in known and not isinstance(value, _ATTRIBUTE_TYPES[known[name].kind])
    ]
    if not given.keys() <= known.keys():
        names = ", ".join(known) or "none"
        errors.append(FieldError(field, f"has an attribute that no import declared; declared are: {names}"))
    return errors


def known_attributes(attributes: Mapping[str, float | str | None] | None) -> dict[str, float | str]:
    """A lead's attributes without those that are null, hence unknown."""
    return {name: value for name, value in (attributes or {}).items() if value is not None}
