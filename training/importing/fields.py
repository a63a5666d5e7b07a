"""The fields of a record: the source of each in a mapping, and the conversion of text to the record's types."""

import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from features.currencies import minor_digits
from features.records import InvalidRecord, Kind, parse
from features.value_types import MAX_INTEGER, Count, Date, Money, Size
from training.importing.errors import hint
from training.importing.mapping_base import MappingPart, Name, Text
from training.importing.time_parsing import calendar_day, check_form

Shape = Literal["text", "integer", "number", "flag", "date", "money", "list"]
"""The type that the text of a field is read as."""
Convert: TypeAlias = Callable[[str], Any]
"""Reads a cell. None is unknown; a ValueError says the constraint."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)

_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation])

Form = Annotated[Text, AfterValidator(check_form)]
"""A strptime format, such as %d/%m/%Y."""


class Source(MappingPart):
    """Where a field comes from: a column, with what its texts mean, or a constant."""

    column: Name | None = None
    map: Annotated[dict[Text, Text] | None, Field(description="what texts of the column mean")] = None
    default: Annotated[Text | None, Field(description="where the cell is missing or not in the map")] = None
    currency: Annotated[str | None, Field(pattern="^[A-Z]{3}$", description="of money in major units, e.g. USD")] = None
    format: Annotated[Form | None, Field(description="strptime format of a date; default ISO")] = None
    split: Annotated[Name | None, Field(description="what separates the members of a list")] = None
    value: Annotated[Name | None, Field(description="a constant, instead of a column")] = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Source":
        if (self.column is None) == (self.value is None):
            raise ValueError("must have either a column or a constant value")
        if self.value is not None and (self.map is not None or self.default is not None):
            raise ValueError("has a constant value, which needs no map and no default")
        return self

    def constants(self) -> tuple[str, ...]:
        """The texts of the mapping that end up in the field."""
        return tuple(text for text in (self.value, self.default, *(self.map or {}).values()) if text)


def short_form(key: str) -> Callable[[Any], Any]:
    """Reads a plain text as a part with just that `key`."""
    return lambda value: {key: value} if isinstance(value, str) else value


FieldSource = Annotated[Source, BeforeValidator(short_form("column"), json_schema_input_type=Name | Source)]
"""A source, or just the name of a column."""


def is_number(text: str) -> bool:
    """Whether the text is a finite decimal number."""
    return _NUMBER.fullmatch(text.strip()) is not None and math.isfinite(float(text))


def number(text: str) -> float:
    """The finite number in a text.

    Raises:
        ValueError: the text is not a finite number.
    """
    if not is_number(text):
        raise ValueError("must be a finite number such as 12.5")
    return float(text)


def integer(text: str) -> int:
    """The whole number in a text; 12.0 is one.

    >>> integer("12.0")
    12


    Raises:
        ValueError: the text is not a whole number, or exceeds 2^53.
    """
    exact = Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) else Decimal("NaN")
    if not exact.is_finite() or abs(exact) > MAX_INTEGER or exact != exact.to_integral_value():
        raise ValueError(f"must be a whole number between -{MAX_INTEGER} and {MAX_INTEGER}")
    return int(exact)


def money(text: str, currency: str) -> dict[str, Any]:
    """Minor units of an amount in major units, exactly.

    >>> money("12.5", "EUR")
    {'minor': 1250, 'currency': 'EUR'}


    Raises:
        ValueError: the text is not a number, or has more decimals than the currency.
    """
    digits = minor_digits(currency)
    try:
        minor = _EXACT.scaleb(Decimal(text.strip() if is_number(text) else "NaN"), digits)
        return {"minor": integer(str(minor)), "currency": currency}
    except (ValueError, ArithmeticError):
        raise ValueError(f"must be an amount in {currency} with at most {digits} decimals, such as 1250") from None


def flag(text: str) -> bool:
    """Whether a text is `true` rather than `false`.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false (a map tells which word means what)")
    return text.lower() == "true"


def _text(text: str) -> str:
    return text


def shapes(kind: Kind) -> Mapping[str, Shape]:
    """The type of each mappable field of a kind; its id and its times have keys of their own in a mapping."""
    own = {kind.id, "occurred_at", "recorded_at", *(("created_at",) if kind.name == "leads" else ())}
    return {name: _shape(info.annotation) for name, info in kind.model.model_fields.items() if name not in own}


def _shape(annotation: Any) -> Shape:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(part for part in typing.get_args(annotation) if part is not types.NoneType)
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    known: Mapping[Any, Shape] = {
        Money: "money",
        Size: "money",
        Date: "date",
        Count: "integer",
        int: "integer",
        bool: "flag",
        float: "number",
    }
    if typing.get_origin(annotation) is tuple:
        return "list"
    value = getattr(annotation, "__value__", None)
    return known.get(annotation) or ("number" if typing.get_args(value)[:1] == (float,) else "text")


def converter(kind: Kind, name: str, source: Source, missing: frozenset[str]) -> Convert:
    """The conversion of a cell of the source's column to the field; a text in `map` is never missing."""
    read = _reader(shapes(kind)[name], source)
    words = source.map
    if words is None and source.default is not None:
        words = {word: word for word in _choices(kind, name)}

    def convert(cell: str) -> Any:
        text: str | None = cell
        if words and cell in words:
            text = words[cell]
        elif cell in missing or (words and source.default is not None):
            text = source.default
        return read(text) if text else None

    return convert


def constant(kind: Kind, name: str, source: Source) -> Any:
    """The content of a field that has a constant value."""
    return _reader(shapes(kind)[name], source)(source.value or "")


def _reader(shape: Shape, source: Source) -> Convert:
    if shape == "money":
        return lambda text: money(text, source.currency or "")
    if shape == "date":
        return lambda text: calendar_day(text, source.format)
    if shape == "list":
        return lambda text: tuple(part.strip() for part in (text.split(source.split) if source.split else [text]))
    readers: Mapping[Shape, Convert] = {"integer": integer, "number": number, "flag": flag}
    return readers.get(shape, _text)


def _choices(kind: Kind, name: str) -> tuple[str, ...]:
    annotation = kind.model.model_fields[name].annotation
    inner = [annotation, *typing.get_args(annotation)]
    return next((typing.get_args(part) for part in inner if typing.get_origin(part) is Literal), ())


def check(kind: Kind, name: str, source: Source) -> None:
    """Checks the source of a field against the record's types.

    Raises:
        ValueError: there is no such field, a key does not fit it, or a constant is not allowed in it.
    """
    known = shapes(kind)
    if name not in known:
        raise ValueError(f"is not a field; {hint(name, known, 20)}")
    shape = known[name]
    if shape == "money" and source.currency is None:
        raise ValueError("is money; name its currency, such as currency: USD")
    for key, needs in (("currency", "money"), ("format", "date"), ("split", "list")):
        if getattr(source, key) is not None and shape != needs:
            raise ValueError(f"is no {needs}; leave out {key}")
    for text in source.constants():
        _check_constant(kind, name, source, text)


def _check_constant(kind: Kind, name: str, source: Source, text: str) -> None:
    try:
        content = _reader(shapes(kind)[name], source)(text)
    except ValueError as error:
        raise ValueError(f"{error}, not {text!r}") from None
    try:
        parse(kind, {name: content})
    except InvalidRecord as error:
        for problem in error.problems:
            if problem.field.split(".")[0] == name:
                raise ValueError(f"{problem.constraint}, not {text!r}") from None
