"""The fields of a record: the source of each in a mapping, and the conversion of text to the record's types."""

import re
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from features.currencies import minor_digits
from features.folding import fold
from features.records import InvalidRecord, Kind, parse
from features.value_types import MAX_INTEGER, Count, Currency, Date, Id, Money, Size
from training.importing.currency_signs import meanings
from training.importing.dialect import MAPPING, Dialect
from training.importing.errors import hint
from training.importing.mapping_base import MappingPart, Name, Text, one_or_more
from training.importing.numbers import PLAIN, NumberFormat, split_currency
from training.importing.tables import FloatText
from training.importing.time_parsing import check_form

Shape = Literal["text", "id", "integer", "number", "flag", "date", "money", "list"]
"""The type that the text of a field is read as."""
Convert: TypeAlias = Callable[[str], Any]
"""Reads a cell. None is unknown; a ValueError says the constraint."""

_SHORTENED = re.compile(r"\d(\.\d+)?[eE]\+\d+", re.ASCII)
_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation])

Form = Annotated[Text, AfterValidator(check_form)]
"""A strptime format, such as %d/%m/%Y, or a form of `training.importing.time_parsing.NAMED`."""
Forms = Annotated[tuple[Form, ...], BeforeValidator(one_or_more, json_schema_input_type=Form | list[Form])]
"""The forms of a column's dates; the first that fits a cell is taken."""


class Source(MappingPart):
    """Where a field comes from: a column, with what its texts mean, or a constant."""

    column: Name | None = None
    map: Annotated[dict[Text, Text] | None, Field(description="what texts of the column mean")] = None
    default: Annotated[Text | None, Field(description="where the cell is missing or not in the map")] = None
    currency: Annotated[Currency | None, Field(description="of money in major units, e.g. USD")] = None
    format: Annotated[Forms, Field(description="forms of a date, tried in order; default ISO")] = ()
    split: Annotated[Name | None, Field(description="what separates the members of a list")] = None
    value: Annotated[Name | None, Field(description="a constant, instead of a column")] = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Source":
        if (self.column is None) == (self.value is None):
            raise ValueError("must have either a column or a constant value")
        if self.value is not None and (self.map is not None or self.default is not None):
            raise ValueError("has a constant value, which needs no map and no default")
        if twice := _two_meanings(self.map or {}):
            one, other = twice
            raise ValueError(f"has {one!r} and {other!r} in its map, which are one text (folded); keep one of them")
        return self

    def words(self, choices: Mapping[str, str]) -> Mapping[str, str]:
        """What folded texts of the column mean: by the map, else by the `choices` that the field has."""
        if self.map is None:
            return choices
        return {fold(text): meaning for text, meaning in self.map.items()}

    def constants(self) -> tuple[str, ...]:
        """The texts of the mapping that end up in the field."""
        return tuple(text for text in (self.value, self.default, *(self.map or {}).values()) if text)


def _two_meanings(texts: Mapping[str, str]) -> tuple[str, str] | None:
    """Two texts of a map that are equal after folding and mean different things."""
    first: dict[str, str] = {}
    for text, meaning in texts.items():
        known = first.setdefault(fold(text), text)
        if texts[known] != meaning:
            return known, text
    return None


def short_form(key: str) -> Callable[[Any], Any]:
    """Reads a plain text as a part with just that `key`."""
    return lambda value: {key: value} if isinstance(value, str) else value


FieldSource = Annotated[Source, BeforeValidator(short_form("column"), json_schema_input_type=Name | Source)]
"""A source, or just the name of a column."""


def number(text: str, written: NumberFormat = PLAIN) -> float:
    """The finite number in a text.

    Raises:
        ValueError: the text is not a finite number.
    """
    plain = written.plain(text)
    if plain is None:
        raise ValueError(f"must be a finite number such as {example(written)}")
    return float(plain)


def example(written: NumberFormat) -> str:
    """A number in a format."""
    return f"1{written.thousands or ''}250{written.decimal}5"


def integer(text: str, written: NumberFormat = PLAIN) -> int:
    """The whole number in a text; 12.0 is one.

    >>> integer("12.0")
    12


    Raises:
        ValueError: the text is not a whole number, or exceeds 2^53.
    """
    exact = Decimal(written.plain(text) or "NaN")
    if not exact.is_finite() or abs(exact) > MAX_INTEGER or exact != exact.to_integral_value():
        raise ValueError(f"must be a whole number between -{MAX_INTEGER} and {MAX_INTEGER}")
    return int(exact)


def money(text: str, currency: str, written: NumberFormat = PLAIN) -> dict[str, Any]:
    """Minor units of an amount in major units, exactly.

    >>> money("12.5", "EUR")
    {'minor': 1250, 'currency': 'EUR'}


    Raises:
        ValueError: the text is not a number, has more decimals than the currency, or the sign of another currency.
    """
    sign, _ = split_currency(text.strip())
    if sign and currency not in (meanings(sign) or {currency}):
        raise ValueError(f"must be an amount in {currency}, not of another currency")
    digits = minor_digits(currency)
    try:
        minor = _EXACT.scaleb(Decimal(written.plain(text) or "NaN"), digits)
        return {"minor": integer(str(minor)), "currency": currency}
    except (ValueError, ArithmeticError):
        raise ValueError(
            f"must be an amount in {currency} with at most {digits} decimals, such as {example(written)}"
        ) from None


def identity(text: str) -> str:
    """A text as an id.

    Raises:
        ValueError: it is what a program made of a number: digits of the id may be lost.
    """
    if isinstance(text, FloatText):
        raise ValueError("must be a whole number up to 2^53, because the file holds it as a floating-point number")
    if _SHORTENED.fullmatch(text):
        raise ValueError("was shortened by a program that took it for a number; export the column as text")
    return str(text)


def flag(text: str) -> bool:
    """Whether a text is `true` rather than `false`.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false (a map tells which word means what)")
    return text.lower() == "true"


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
        Id: "id",
    }
    if typing.get_origin(annotation) is tuple:
        return "list"
    value = getattr(annotation, "__value__", None)
    return known.get(annotation) or ("number" if typing.get_args(value)[:1] == (float,) else "text")


def converter(kind: Kind, name: str, source: Source, dialect: Dialect) -> Convert:
    """The conversion of a cell of the source's column to the field; a text in `map` is never missing.

    Texts are compared folded (see `features.folding`): in an export `Partner` and `PARTNER` are one.
    """
    choices = {fold(word): word for word in _choices(kind, name)}
    read = _reader(shapes(kind)[name], source, dialect, choices)
    words = source.words(choices)

    def convert(cell: str) -> Any:
        folded = fold(cell)
        if folded in words:
            text: str | None = words[folded]
        elif cell in dialect.missing or (words and source.default is not None):
            text = source.default
        else:
            text = cell
        return read(text) if text else None

    return convert


def constant(kind: Kind, name: str, source: Source) -> Any:
    """The content of a field that has a constant value."""
    return _reader(shapes(kind)[name], source)(source.value or "")


def _reader(
    shape: Shape, source: Source, dialect: Dialect = MAPPING, choices: Mapping[str, str] = MappingProxyType({})
) -> Convert:
    readers: Mapping[Shape, Convert] = {
        "id": identity,
        "money": lambda text: money(text, source.currency or "", dialect.numbers),
        "date": lambda text: dialect.clock.day(text, source.format),
        "list": lambda text: _members(text, source.split, choices),
        "integer": lambda text: integer(text, dialect.numbers),
        "number": lambda text: number(text, dialect.numbers),
        "flag": flag,
    }
    return readers.get(shape, lambda text: choices.get(fold(text), str(text)))


def _members(text: str, separator: str | None, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The members of a list, without empty and repeated ones; of members that are equal after folding, the first."""
    parts = (part.strip() for part in (text.split(separator) if separator else [text]))
    first: dict[str, str] = {}
    for part in parts:
        if part:
            first.setdefault(fold(part), choices.get(fold(part), part))
    return tuple(first.values())


def _choices(kind: Kind, name: str) -> tuple[str, ...]:
    """The texts that a field, or a member of its list, may have; empty where any text may."""
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
        if getattr(source, key) not in (None, ()) and shape != needs:
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
