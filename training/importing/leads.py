"""What only leads have: attributes, an order, groups, and the outcome that their row tells."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.provenance import Attribute
from features.records import KINDS, Problem, Stored, parse
from training.importing.attributes import AttributeColumn, columns
from training.importing.cell_readers import CellReader, read_cells, required, time_reader
from training.importing.fields import integer
from training.importing.mapping import NONE, ROW, Leads
from training.importing.sources import Cells, Table
from training.importing.time_parsing import Clock

_APART = frozenset({"account_id", "duplicate_of", "referral_date"})
"""Ids and times among the fields of leads: they do not make two profiles differ."""


@dataclass(frozen=True)
class OutcomeReader:
    """Reads from the row of a lead whether it was won or lost.

    Attributes:
        place: of the outcome in a row.
        events: what its texts mean; any other is still open.
        closed_at: how to read when, where the export says.
    """

    place: int
    events: Mapping[str, str]
    closed_at: CellReader | None

    def read(self, lead_id: str, cells: Cells, problems: list[Problem]) -> tuple[Stored, ...]:
        """The closing of a lead, if it has one."""
        event = self.events.get(cells[self.place])
        if event is None:
            return ()
        when = read_cells([self.closed_at], cells, problems).get("closed_at") if self.closed_at else None
        kind = KINDS["lead_events"]
        return (Stored(kind, f"outcome:{lead_id}", parse(kind, {"event": event, "occurred_at": when}), lead_id),)


@dataclass(frozen=True)
class LeadParts:
    """Reads from a row what only leads have.

    Attributes:
        columns: the declared attributes, those known later among them.
        attributes: how to read those that are kept.
        order: how to read the order; `row` and `none` need no column.
        group: places of the cells that rows which belong together have in common.
        grouped: whether the mapping names them, rather than their being the profile.
        missing: texts that mean unknown.
        closing: how to read the outcome.
    """

    columns: tuple[AttributeColumn, ...]
    attributes: tuple[CellReader, ...]
    order: CellReader | str
    group: tuple[int, ...]
    grouped: bool
    missing: frozenset[str]
    closing: OutcomeReader | None

    def declared(self) -> tuple[Attribute, ...]:
        """The declared attributes."""
        return tuple(column.attribute for column in self.columns)

    def read(self, number: int, cells: Cells, content: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """The attributes, order and group of a lead, as `Stored` takes them."""
        return {
            "attributes": read_cells(self.attributes, cells, problems),
            "order": self._rank(number, cells, problems),
            "group": self._group(cells) if self.grouped or "account_id" not in content else None,
        }

    def _rank(self, number: int, cells: Cells, problems: list[Problem]) -> int | None:
        if isinstance(self.order, CellReader):
            return read_cells([self.order], cells, problems).get("order")
        return number if self.order == ROW else None

    def _group(self, cells: Cells) -> str | None:
        """A hash of the shared cells; a row that has none of them stands alone."""
        shared = ["" if cells[place] in self.missing else cells[place] for place in self.group]
        if not any(shared):
            return None
        return hashlib.blake2b(json.dumps(shared).encode(), digest_size=8).hexdigest()


def lead_parts(block: Leads, table: Table, missing: frozenset[str], clock: Clock) -> LeadParts:
    """How to read what only leads have.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    declared = columns(block, table, missing)
    kept = tuple(CellReader(c.attribute.name, c.place, c.value) for c in declared if c.attribute.known == "at_creation")
    places = tuple(map(table.place, block.group_by)) or _profile(block, table, kept)
    order = block.order if block.order in (ROW, NONE) else _order(block.order, table, missing)
    return LeadParts(
        declared, kept, order, places, bool(block.group_by), missing, _closing(block, table, missing, clock)
    )


def _order(column: str, table: Table, missing: frozenset[str]) -> CellReader:
    return CellReader("order", table.place(column), required(integer, missing))


def _profile(block: Leads, table: Table, kept: tuple[CellReader, ...]) -> tuple[int, ...]:
    fields = {table.place(each.column) for name, each in block.fields.items() if each.column and name not in _APART}
    own = set() if block.id == ROW else {table.place(block.id)}
    return tuple(sorted({step.place for step in kept} | fields - own))


def _closing(block: Leads, table: Table, missing: frozenset[str], clock: Clock) -> OutcomeReader | None:
    outcome = block.outcome
    if outcome is None:
        return None
    events = {**dict.fromkeys(outcome.won, "won"), **dict.fromkeys(outcome.lost, "lost")}
    closed = outcome.closed_at
    when = time_reader("closed_at", closed, table, missing, clock) if closed else None
    return OutcomeReader(table.place(outcome.column), events, when)
