"""The attributes of leads: which columns they are, and whether they hold numbers or categories."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.provenance import Attribute
from features.values import Scalar
from training.importing.fields import is_number, number
from training.importing.mapping import Extra, Leads
from training.importing.sources import Table

NONE_TEXT = "none"
"""What a category holds where there is none, in place of the texts an export writes for that."""


@dataclass(frozen=True)
class AttributeColumn:
    """An attribute, where it is in a row, and what its texts mean.

    Attributes:
        attribute: its name, kind and when it is known.
        place: of the cell in a row.
        none: texts that mean "none": 0 in a number.
        missing: texts that mean unknown; `none` goes before it.
        inferred: whether the kind was inferred.
    """

    attribute: Attribute
    place: int
    none: frozenset[str]
    missing: frozenset[str]
    inferred: bool

    def value(self, cell: str) -> Scalar:
        """What a cell holds; None is unknown.

        Raises:
            ValueError: a number is no finite number, or a text contains NUL.
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
    """The attributes a mapping declares for a table, those of `"*"` spelled out, kinds inferred where not given.

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
        table.place(name)
    own = block.attributes.named()
    named = {*block.columns(), *others.except_, *(extra.column or name for name, extra in own.items())}
    return {name: Extra(known=others.known) for name in table.columns if name not in named and name not in own}


def _column(name: str, extra: Extra, table: Table, missing: frozenset[str]) -> AttributeColumn:
    place = table.place(extra.column or name)
    none = frozenset(extra.none)
    kind = extra.kind
    if kind is None:
        texts = {cells[place] for _, cells in table.rows} - missing - none
        kind = "number" if _all_numbers(texts) else "category"
    return AttributeColumn(Attribute(name, kind, extra.known), place, none, missing, extra.kind is None)


def _all_numbers(texts: Iterable[str]) -> bool:
    return all(is_number(text) for text in texts)
