"""Records from flat rows: the inverse of `Stored.row`."""

import typing
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from features.provenance import ATTRIBUTE_PREFIX
from features.records import InvalidRecord, Kind, Problem, Row, Stored, constraint, parse
from features.value_types import KEPT, Id, Scalar

_ID: TypeAdapter[str] = TypeAdapter(Id)


def stored(kind: Kind, row: Row, *, kept: bool = False) -> Stored:
    """The record whose flat row is `row`; other columns of `row` are ignored.

    Args:
        kind: of the record.
        row: its flat row.
        kept: whether the store holds the row already (see `features.records.parse`).

    Raises:
        InvalidRecord: the row breaks the contract; the error names every field, its constraint and the value.
    """
    lists = list_fields(kind)
    content = {name: _content(name, row, name in lists) for name in kind.model.model_fields}
    order, group = row.get("order"), row.get("group")
    return Stored(
        kind=kind,
        id=_identifier(kind, kind.id, row, kept),
        record=parse(kind, {name: value for name, value in content.items() if value is not None}, kept=kept),
        parent=_identifier(kind, kind.parent, row, kept) if kind.parent else None,
        attributes=_attributes(kind, row) if kind.name == "leads" else {},
        order=order if isinstance(order, int) else None,
        group=group if isinstance(group, str) else None,
        deleted=bool(row.get("deleted")),
    )


def _content(name: str, row: Row, is_list: bool) -> Any:
    if name in row:
        value = row[name]
        return _items(value) if is_list and isinstance(value, str) else value
    minor, currency = row.get(f"{name}_minor"), row.get(f"{name}_currency")
    return None if minor is None and currency is None else {"minor": minor, "currency": currency}


@cache
def list_fields(kind: Kind) -> frozenset[str]:
    """The fields of a kind that hold lists; in a flat row a list is a text such as `|a|b|`."""
    return frozenset(name for name, info in kind.model.model_fields.items() if _is_tuple(info.annotation))


def _is_tuple(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple or any(map(_is_tuple, typing.get_args(annotation)))


def _items(text: str) -> tuple[str, ...] | str:
    if len(text) < 2 or not (text.startswith("|") and text.endswith("|")):
        return text
    return tuple(text[1:-1].split("|")) if len(text) > 2 else ()


def _identifier(kind: Kind, column: str, row: Row, kept: bool) -> str:
    try:
        return _ID.validate_python(row.get(column), strict=True, context=KEPT if kept else None)
    except ValidationError as error:
        problem = Problem(column, constraint(error.errors()[0]), row.get(column))
        raise InvalidRecord(kind.name, (problem,)) from None


def _attributes(kind: Kind, row: Row) -> dict[str, Scalar]:
    named = {name: value for name, value in row.items() if name.startswith(ATTRIBUTE_PREFIX) and value is not None}
    for name, value in named.items():
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise InvalidRecord(kind.name, (Problem(name, "must be a finite number", value),))
    return {name.removeprefix(ATTRIBUTE_PREFIX): value for name, value in named.items()}
