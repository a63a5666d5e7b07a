"""The attributes of leads: their columns, and whether they hold numbers or categories."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.provenance import Attribute
from features.value_types import Scalar
from training.importing.fields import is_number, number
from training.importing.mapping import Extra, Leads
from training.importing.sources import Table

NONE_TEXT = "none"
"""The value of a category that has none, in place of the texts that an export writes for it."""


@dataclass(frozen=True, kw_only=True)
class AttributeColumn:
    """An attribute with its position in a row and the meaning of its texts.

    Attributes:
        attribute: its name, kind and when it is known.
        position: of the cell in a row.
        none: texts that mean "none": 0 in a number.
        missing: texts that mean unknown; `none` takes precedence.
        inferred: whether the kind was inferred.
    """

    attribute: Attribute
    position: int
    none: frozenset[str]
    missing: frozenset[str]
    inferred: bool

    def value(self, cell: str) -> Scalar:
        """The value of a cell; None is unknown.

        Raises:
            ValueError: the text of a number is not a finite number, or a text contains NUL.
        """
        if cell in self.none:
            return 0.0 if self.attribute.kind == "number" else NONE_TEXT
        if cell in self.missing:
            return None
        if self.attribute.kind == "number":
            return number(cell)
        if "\0" in cell:
            raise ValueError("must not contain the NUL character")
        return cell


def columns(block: Leads, table: Table, missing: frozenset[str]) -> tuple[AttributeColumn, ...]:
    """The attributes that a mapping declares for a table, with `"*"` expanded and missing kinds inferred.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    extras = {**_others(block, table), **block.attributes.named()}
    return tuple(_column(name, extra, table, missing) for name, extra in extras.items())


def _others(block: Leads, table: Table) -> Mapping[str, Extra]:
    others = block.attributes.others
    if others is None:
        return {}
    for name in others.except_:
        table.position(name)
    own = block.attributes.named()
    named = {*block.columns(), *others.except_, *(extra.column or name for name, extra in own.items())}
    return {name: Extra(known=others.known) for name in table.columns if name not in named and name not in own}


def _column(name: str, extra: Extra, table: Table, missing: frozenset[str]) -> AttributeColumn:
    position = table.position(extra.column or name)
    none = frozenset(extra.none)
    kind = extra.kind
    if kind is None:
        texts = {cells[position] for _, cells in table.rows} - missing - none
        kind = "number" if _all_numbers(texts) else "category"
    return AttributeColumn(
        attribute=Attribute(name, kind, extra.known),
        position=position,
        none=none,
        missing=missing,
        inferred=extra.kind is None,
    )


def _all_numbers(texts: Iterable[str]) -> bool:
    return all(is_number(text) for text in texts)
