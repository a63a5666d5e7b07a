"""The parts that only leads have: attributes, an order, groups, and an outcome in their row."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.provenance import Attribute
from features.records import Problem
from training.importing.attributes import AttributeColumn, columns
from training.importing.blocks import NONE, ROW, Leads
from training.importing.cell_readers import CellReader, read_cells, required
from training.importing.dialect import Dialect
from training.importing.fields import integer
from training.importing.mapping_base import FoldedTexts
from training.importing.outcomes import OutcomeReader, outcome_reader
from training.importing.tables import Cells, Table

_NOT_IN_PROFILE = frozenset({"account_id", "duplicate_of", "referral_date"})
"""Ids and times among the fields of leads: profiles are compared without them."""


@dataclass(frozen=True, kw_only=True)
class LeadParts:
    """Reads from a row the parts that only leads have.

    Attributes:
        columns: the declared attributes, including those known later.
        attributes: readers of the attributes that are kept.
        order: the reader of the order; `row` and `none` need no column.
        group: positions of the cells that rows of one group have in common.
        grouped: whether the mapping names these cells; otherwise they are the profile.
        missing: texts that mean unknown.
        outcome: the reader of the outcome.
    """

    columns: tuple[AttributeColumn, ...]
    attributes: tuple[CellReader, ...]
    order: CellReader | str
    group: tuple[int, ...]
    grouped: bool
    missing: FoldedTexts
    outcome: OutcomeReader | None

    def declared(self) -> tuple[Attribute, ...]:
        """The declared attributes."""
        return tuple(column.attribute for column in self.columns)

    def read(
        self, number: int, cells: Cells, content: Mapping[str, Any], problems: list[Problem], dropped: list[Problem]
    ) -> dict[str, Any]:
        """The attributes, order and group of a lead, as `Stored` takes them; an attribute with an error is dropped."""
        return {
            "attributes": read_cells(self.attributes, cells, dropped),
            "order": self._rank(number, cells, problems),
            "group": self._group(cells) if self.grouped or "account_id" not in content else None,
        }

    def _rank(self, number: int, cells: Cells, problems: list[Problem]) -> int | None:
        if isinstance(self.order, CellReader):
            return read_cells([self.order], cells, problems).get("order")
        return number if self.order == ROW else None

    def _group(self, cells: Cells) -> str | None:
        """A hash of the shared cells; a row without any of them has no group."""
        shared = ["" if cells[position] in self.missing else cells[position] for position in self.group]
        if not any(shared):
            return None
        return hashlib.blake2b(json.dumps(shared).encode(), digest_size=8).hexdigest()


def lead_parts(block: Leads, table: Table, dialect: Dialect) -> LeadParts:
    """The readers of the parts that only leads have.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    declared = columns(block, table, dialect)
    kept = tuple(
        CellReader(c.attribute.name, c.position, c.value) for c in declared if c.attribute.known == "at_creation"
    )
    positions = tuple(map(table.position, block.group_by)) or _profile(block, table, kept)
    order = block.order if block.order in (ROW, NONE) else _order(block.order, table, dialect)
    return LeadParts(
        columns=declared,
        attributes=kept,
        order=order,
        group=positions,
        grouped=bool(block.group_by),
        missing=dialect.missing,
        outcome=outcome_reader(block.outcome, table, dialect) if block.outcome else None,
    )


def _order(column: str, table: Table, dialect: Dialect) -> CellReader:
    read = required(lambda cell: integer(cell, dialect.numbers), dialect.missing)
    return CellReader("order", table.position(column), read)


def _profile(block: Leads, table: Table, kept: tuple[CellReader, ...]) -> tuple[int, ...]:
    fields = {
        table.position(each.column)
        for name, each in block.fields.items()
        if each.column and name not in _NOT_IN_PROFILE
    }
    own = set() if block.id == ROW else {table.position(block.id)}
    return tuple(sorted({reader.position for reader in kept} | fields - own))
