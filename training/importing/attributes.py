"""The attributes of leads: their columns, and whether they hold numbers or categories."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.provenance import Attribute
from features.value_types import Scalar
from training.importing.blocks import Extra, Leads
from training.importing.dialect import Dialect
from training.importing.fields import number
from training.importing.mapping_base import FoldedTexts
from training.importing.tables import Table

NONE_TEXT = "none"
"""The value of a category that has none, in place of the texts that an export writes for it."""


@dataclass(frozen=True, kw_only=True)
class AttributeColumn:
    """An attribute with its position in a row and the meaning of its texts.

    Attributes:
        attribute: its name, kind and when it is known.
        position: of the cell in a row.
        none: texts that mean "none": 0 in a number.
        dialect: of its texts; `none` takes precedence over the texts that mean unknown.
        inferred: whether the kind was inferred.
    """

    attribute: Attribute
    position: int
    none: FoldedTexts
    dialect: Dialect
    inferred: bool

    def value(self, cell: str) -> Scalar:
        """The value of a cell; None is unknown.

        Raises:
            ValueError: the text of a number is not a finite number, or a text contains NUL.
        """
        if cell in self.none:
            return 0.0 if self.attribute.kind == "number" else NONE_TEXT
        if cell in self.dialect.missing:
            return None
        if self.attribute.kind == "number":
            return number(cell, self.dialect.numbers)
        if "\0" in cell:
            raise ValueError("must not contain the NUL character")
        return str(cell)


def columns(block: Leads, table: Table, dialect: Dialect) -> tuple[AttributeColumn, ...]:
    """The attributes that a mapping declares for a table, with `"*"` expanded and missing kinds inferred.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    extras = {**_others(block, table), **block.attributes.named()}
    return tuple(_column(name, extra, table, dialect) for name, extra in extras.items())


def _others(block: Leads, table: Table) -> Mapping[str, Extra]:
    others = block.attributes.others
    if others is None:
        return {}
    for name in others.except_:
        table.position(name)
    own = block.attributes.named()
    named = {*block.columns(), *others.except_, *(extra.column or name for name, extra in own.items())}
    return {name: Extra(known=others.known) for name in table.columns if name not in named and name not in own}


def _column(name: str, extra: Extra, table: Table, dialect: Dialect) -> AttributeColumn:
    position = table.position(extra.column or name)
    none = FoldedTexts.of(extra.none)
    kind = extra.kind
    if kind is None:
        cells = {cells[position] for _, cells in table.rows}
        known = (cell for cell in cells if cell not in dialect.missing and cell not in none)
        kind = "number" if all(dialect.numbers.plain(text) is not None for text in known) else "category"
    return AttributeColumn(
        attribute=Attribute(name, kind, extra.known),
        position=position,
        none=none,
        dialect=dialect,
        inferred=extra.kind is None,
    )
