"""The attributes of leads: extra columns that an import declared, and how a request may state them."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from features.provenance import Attribute
from features.records import Lead
from features.value_types import Scalar, Text
from serving.validation import FieldError

_MAX_ATTRIBUTES = 1_000
_MAX_TEXT = 500
_TYPES: Mapping[str, type] = {"number": float, "category": str}


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


class ScoredLead(Lead):
    """A lead with the extra columns that an import declared (see `check_attributes`)."""

    attributes: Annotated[dict[Text, _AttributeValue], Field(max_length=_MAX_ATTRIBUTES)] | None = None
    """The extra columns that an import declared, by name."""


def known_attributes(attributes: Mapping[str, float | str | None] | None) -> dict[str, float | str]:
    """A lead's attributes without null values, which mean unknown."""
    return {name: value for name, value in (attributes or {}).items() if value is not None}


def attribute_errors(
    given: Mapping[str, Scalar], declared: Sequence[Attribute], field: str = "attributes"
) -> list[FieldError]:
    """The errors of attributes that are undeclared, or of another kind than declared; only declared names appear."""
    known = {attribute.name: attribute for attribute in declared if attribute.known == "at_creation"}
    errors = [
        FieldError(f"{field}.{name}", f"must be a {known[name].kind}")
        for name, value in given.items()
        if name in known and not isinstance(value, _TYPES[known[name].kind])
    ]
    if not given.keys() <= known.keys():
        names = ", ".join(known) or "none"
        errors.append(FieldError(field, f"has an attribute that no import declared; declared are: {names}"))
    return errors
