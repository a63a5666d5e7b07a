"""The bounds that the typed contract sets to each flat column, read off the models: what an engine checks in a file.

An engine reads files in place and makes no records of the rows. So that it refuses what `features.folder.read` refuses,
the bounds are taken from the JSON schemas of the models. Formats that need Python stay with the reader of records:
domains, e-mail addresses, and whether the columns of a row fit one another.
"""

import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from pydantic import TypeAdapter

from features.records import Column, Kind
from features.value_types import LAST_YEAR, Id, parse_instant

_Schema = Mapping[str, Any]

_ID: _Schema = TypeAdapter(Id).json_schema()
_INSTANT: _Schema = {"format": "date-time"}
_MAX_INSTANT = parse_instant(f"{LAST_YEAR}-12-31T23:59:59.999999Z")


@dataclass(frozen=True)
class Bound:
    """One demand on the values of one column; null breaks the demand only where `required`.

    Attributes:
        column: the flat column.
        demand: what its values must be, in words.
        required: whether null is refused.
        minimum, maximum: the inclusive range of numbers and of microseconds; None where an end is open.
        min_length, max_length: the range of a text's length in characters.
        values: the only texts allowed; empty where any text is.
        pattern: a regular expression, of RE2 and Python alike, that the whole text must match.
    """

    column: Column
    demand: str
    _: KW_ONLY
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    values: tuple[str, ...] = ()
    pattern: str | None = None


def bounds(kind: Kind) -> tuple[Bound, ...]:
    """Every bound of a kind's columns, in the order of the columns."""
    schema = kind.model.model_json_schema()
    schemas = dict(_fields(schema)) | {"deleted": ({}, True)} | ({} if kind.entity else {kind.id: (_ID, True)})
    schemas |= {kind.parent: (_ID, True)} if kind.parent else {}
    schemas.setdefault("occurred_at", (_INSTANT, False))
    columns = [column for column in kind.columns if column.name in schemas]
    return tuple(bound for column in columns for bound in _bounds(column, *schemas[column.name]))


def finite(column: Column) -> Bound:
    """The bound of a real column that no model describes, such as a lead's attribute."""
    return Bound(column, "must be a finite number", minimum=-sys.float_info.max, maximum=sys.float_info.max)


def _fields(schema: _Schema) -> Iterator[tuple[str, tuple[_Schema, bool]]]:
    """The schema of each flat column, and whether it is required."""
    definitions, required = schema.get("$defs", {}), schema.get("required", ())
    for name, field in schema["properties"].items():
        plain = _resolved(field, definitions)
        for part, inner in plain.get("properties", {}).items():
            yield f"{name}_{part}", (_resolved(inner, definitions), name in required)
        if "properties" not in plain:
            yield name, (plain, name in required)


def _resolved(schema: _Schema, definitions: Mapping[str, _Schema]) -> _Schema:
    """The schema without references and without the alternative of null."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, definitions)
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {**schema, "items": _resolved(schema["items"], definitions)} if "items" in schema else schema


def _bounds(column: Column, schema: _Schema, required: bool) -> Iterator[Bound]:
    if required:
        yield Bound(column, "must be given", required=True)
    if column.type in ("instant", "date"):
        yield Bound(column, f"must lie in the years 1970 to {LAST_YEAR}", minimum=0, maximum=_MAX_INSTANT)
    elif column.type in ("integer", "real"):
        yield from _range(column, schema)
    elif column.type == "text":
        yield from _text(column, schema)


def _range(column: Column, schema: _Schema) -> Iterator[Bound]:
    minimum, maximum = schema.get("minimum", -sys.float_info.max), schema.get("maximum", sys.float_info.max)
    above = schema.get("exclusiveMinimum")
    if above is not None:
        # A bound is inclusive, so it begins at the next number above the excluded one.
        minimum, demand = math.nextafter(above, math.inf), f"must be finite and above {above}"
    elif "minimum" in schema and "maximum" not in schema:
        demand = f"must be finite and at least {minimum}"
    else:
        demand = f"must lie between {minimum} and {maximum}"
    yield Bound(column, demand, minimum=minimum, maximum=maximum)


def _text(column: Column, schema: _Schema) -> Iterator[Bound]:
    if schema.get("type") == "array":
        yield _list(column, schema)
    elif "enum" in schema:
        values = tuple(schema["enum"])
        yield Bound(column, f"must be one of {', '.join(values)}", values=values)
    elif "maxLength" in schema:
        # A pattern beside a length only excludes NUL and the bar of lists, which no file of the contract holds.
        lengths = schema.get("minLength", 0), schema["maxLength"]
        demand = f"must have {lengths[0]} to {lengths[1]} characters"
        yield Bound(column, demand, min_length=lengths[0], max_length=lengths[1])
    elif "pattern" in schema:
        yield Bound(column, f"must match {schema['pattern']}", pattern=schema["pattern"].strip("^$"))


def _list(column: Column, schema: _Schema) -> Bound:
    items = schema["items"]
    values = items.get("enum")
    item = f"({'|'.join(map(re.escape, values))})" if values else f"[^|]{{1,{items['maxLength']}}}"
    demand = "must be a list written |a|b|" + (f" of {', '.join(values)}" if values else "")
    some = rf"\|({item}\|)+"
    return Bound(column, demand, pattern=some if schema.get("minItems") else rf"{some}|\|\|")
