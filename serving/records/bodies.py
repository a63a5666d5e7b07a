"""Bodies and answers of stored records, generated from the typed contract of each kind.

A body holds the fields of its kind without `recorded_at`, which the service sets, and the id of the lead or account
that the record is about. A fact may carry an `id`; an entity has its id among its fields.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from features.provenance import Attribute
from features.records import KINDS, Kind, Record, Stored
from features.value_types import Id, Instant, iso_date, rfc3339
from serving.records.attributes import ScoredLead, attribute_errors, known_attributes
from serving.records.examples import EXAMPLES
from serving.records.ingest import CLOCKS_DIFFER
from serving.validation import FieldError

Form: TypeAlias = Literal["Put", "Post", "Line", "HistoryLine"]
"""The forms of a body: for PUT, for POST, or as a line of a bulk request, without or with a recording time."""

_ID_DIGITS = 32
"""Hexadecimal digits of the derived id of a fact: 128 bits."""
_DATED: Mapping[str, str] = {"leads": "created_at", "integration_usage": "day", "shared_customers": "since"}
"""The field with the time of a record, where it is not `occurred_at`."""
_FUTURE = "must not lie in the future"
_UNKNOWN: Any = (Id | None, Field(default=None, description="The record's id; a fact without one gets an id."))


def _contract(kind: Kind) -> type[Record]:
    return ScoredLead if kind.name == "leads" else kind.model


def _fields(kind: Kind) -> dict[str, Any]:
    parent = {kind.parent: (Id, ...)} if kind.parent else {}
    content = {name: (info.annotation, info) for name, info in _contract(kind).model_fields.items()}
    del content["recorded_at"]
    return parent | content


@cache
def body(kind: Kind, form: Form) -> type[BaseModel]:
    """The model of a body of this kind."""
    fields, example = _fields(kind), dict(EXAMPLES[kind.name])
    if not kind.entity:
        fields = {"id": _UNKNOWN} | fields
    elif form == "Put":
        fields[kind.id] = _UNKNOWN
    else:
        example = {kind.id: "1"} | example
    if form in ("Line", "HistoryLine"):
        fields, example = (
            {"record": (Literal[kind.name], Field(description="The kind of the record."))} | fields,
            {"record": kind.name} | example,
        )
    if form == "HistoryLine":
        fields |= {
            "recorded_at": (Instant | None, Field(default=None, description="When it was recorded.")),
            "deleted": (bool, Field(default=False, description="Whether the record was removed then.")),
        }
    config: ConfigDict = {**Record.model_config, "json_schema_extra": {"examples": [example]}}
    model: type[BaseModel] = create_model(
        f"{kind.model.__name__}{form}", __config__=config, __doc__=kind.model.__doc__, **fields
    )
    return model


@cache
def any_line(form: Literal["Line", "HistoryLine"]) -> type[BaseModel]:
    """The model of a line of any kind, for documentation."""
    lines: Any = reduce(or_, (body(kind, form) for kind in KINDS.values()))
    root: Any = RootModel[Annotated[lines, Field(discriminator="record")]]
    model: type[BaseModel] = create_model(f"Record{form}", __base__=root, __doc__="A line: a record of any kind.")
    return model


@cache
def answer(kind: Kind) -> type[BaseModel]:
    """The model of the answer with a record."""
    fields = {"id": (Id, ...)} | _fields(kind)
    fields |= {
        "occurred_at": (Instant | None, Field(description="When it happened; null where nothing dates it.")),
        "recorded_at": (Instant | None, Field(description="When it was recorded.")),
        "dry_run": (Literal[True] | None, Field(default=None, description="Present only in the answer to a dry run.")),
    }
    if kind.name == "leads":
        fields["attributes"] = (
            dict[str, float | str],
            Field(description="The attributes that an import declared, by name."),
        )
    model: type[BaseModel] = create_model(
        f"{kind.model.__name__}Answer", __config__=ConfigDict(extra="forbid"), __doc__=kind.model.__doc__, **fields
    )
    return model


def stored(kind: Kind, read: BaseModel, identity: str | None = None) -> Stored:
    """The record that a body holds.

    Args:
        kind: the record's kind.
        read: a body of this kind in any form.
        identity: the id in the path; without one the id in the body counts. A fact without any id gets an id derived
            from its content, so that the same fact sent again is the same record.
    """
    given = {name: getattr(read, name) for name in kind.model.model_fields if hasattr(read, name)}
    if kind.entity and identity is not None:
        given[kind.id] = identity
    # The values are already valid, because the body has the fields of the record.
    record = kind.model.model_construct(**given)
    parent = getattr(read, kind.parent) if kind.parent else None
    return Stored(
        kind,
        identity or given_id(kind, read) or fact_id(kind, parent, record),
        record,
        parent,
        attributes=known_attributes(getattr(read, "attributes", None)),
        deleted=getattr(read, "deleted", False),
    )


def given_id(kind: Kind, read: BaseModel) -> str | None:
    """The id in a body; None without one."""
    identity: str | None = getattr(read, kind.id if kind.entity else "id")
    return identity


def fact_id(kind: Kind, parent: str | None, record: Record) -> str:
    """The derived id of a fact that was sent without an id; equal facts of one lead or account have equal ids."""
    # Only known fields count: a field that a later version of the contract adds must not change the id.
    content = record.model_dump(mode="json", exclude_none=True, exclude={"recorded_at"})
    text = json.dumps([kind.name, parent, content], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def record_errors(record: Stored, now: int, declared: tuple[Attribute, ...]) -> list[FieldError]:
    """The errors of a record beyond the form of its fields: times in the future and undeclared attributes."""
    return [*time_errors(record.kind, record.record, now), *attribute_errors(record.attributes, declared)]


def time_errors(kind: Kind, record: Record, now: int) -> list[FieldError]:
    """The errors of a record's times: times in the future, and a recording time before the record's own time."""
    happened, recorded = record.happened(), record.recorded_at
    field = _DATED.get(kind.name, "occurred_at")
    if recorded is not None and recorded > now:
        return [FieldError("recorded_at", _FUTURE)]
    if happened is None or kind.planned:
        return []
    if happened > now + CLOCKS_DIFFER:
        return [FieldError(field, "must be a day that has ended (UTC)" if field == "day" else _FUTURE)]
    if recorded is not None and recorded < happened:
        return [FieldError("recorded_at", f"must not lie before the moment it happened, {field}")]
    return []


def to_dict(record: Stored) -> dict[str, Any]:
    """A record as the API answers it: the fields of its body, its id, its time and its recording time."""
    row = record.row()
    written = {"instant": rfc3339, "date": iso_date}
    forms = {column.name: written[column.type] for column in record.kind.columns if column.type in written}
    content: dict[str, Any] = {"id": record.id, **({record.kind.parent: record.parent} if record.kind.parent else {})}
    content |= record.record.model_dump(mode="json", exclude={"recorded_at"})
    content |= {"occurred_at": row["occurred_at"], "recorded_at": row["recorded_at"]}
    content |= {"attributes": dict(record.attributes)} if record.kind.name == "leads" else {}
    return {n: forms[n](value) if n in forms and value is not None else value for n, value in content.items()}
