"""One row of an export becomes records, or the reasons why not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from features.records import InvalidRecord, Kind, Problem, Stored, constraint, parse
from features.value_types import Id
from training.importing.blocks import ROW, Block, LeadEvents, Leads
from training.importing.cell_readers import CellReader, read_cells, required, time_reader
from training.importing.dialect import Dialect
from training.importing.fields import constant, converter, identity
from training.importing.leads import LeadParts, lead_parts
from training.importing.mapping import Mapping as MappingFile
from training.importing.tables import Cells, Table

_ID: TypeAdapter[str] = TypeAdapter(Id)
_TIMES = frozenset({"created_at", "occurred_at", "recorded_at"})
"""Without its time a record would be placed at another moment, so a row with an error there is rejected."""


class ReadRow(NamedTuple):
    """The records of a row, and the errors of the optional fields that were dropped from them."""

    records: tuple[Stored, ...]
    dropped: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads the rows of one block of a mapping.

    Attributes:
        kind: of the records.
        table: the rows.
        id: the reader of the id; None where rows are numbered.
        parent: the reader of the id of the lead or account, where the kind has one.
        required: the readers of the content that a record needs, with its times.
        optional: the readers of the content that a record may lack.
        constants: content that is the same in every row.
        dialect: of its cells.
        lead: the parts that only leads have.
    """

    kind: Kind
    table: Table
    id: CellReader | None
    parent: CellReader | None
    required: tuple[CellReader, ...]
    optional: tuple[CellReader, ...]
    constants: Mapping[str, Any]
    dialect: Dialect
    lead: LeadParts | None

    def id_of(self, number: int, cells: Cells) -> str:
        """The id of a row's record, as written in the row."""
        return str(number if self.id is None else cells[self.id.position])

    def read(self, number: int, cells: Cells) -> ReadRow:
        """The record of a row and, where the row has an outcome, its close.

        An optional field with an error is dropped: the record is kept without it.

        Raises:
            InvalidRecord: the row has errors; it holds all of them.
        """
        if not any(cells):
            raise InvalidRecord(self.kind.name, (Problem("row", "has only blank cells", None),))
        problems: list[Problem] = []
        dropped: list[Problem] = []
        own_id = self.id_of(number, cells)
        parent = read_cells([reader for reader in (self.id, self.parent) if reader], cells, problems).get(
            self.kind.parent or ""
        )
        content = {
            **self.constants,
            **read_cells(self.required, cells, problems),
            **read_cells(self.optional, cells, dropped),
        }
        if self.kind.entity:
            content[self.kind.id] = own_id
        own: dict[str, Any] = self.lead.read(number, cells, content, problems, dropped) if self.lead else {}
        record = _parsed(self.kind, content, self._raw(cells), problems, dropped)
        closing: tuple[Stored, ...] = ()
        if self.lead and self.lead.outcome:
            closing = self.lead.outcome.read(own_id, content.get("created_at"), cells, problems, dropped)
        if problems:
            raise InvalidRecord(self.kind.name, tuple(problems))
        return ReadRow((Stored(self.kind, own_id, record, parent, **own), *closing), tuple(dropped))

    def attribute_columns(self) -> tuple[str, ...]:
        """The columns that the mapping declares as attributes."""
        return tuple(self.table.header[column.position] for column in self.lead.columns) if self.lead else ()

    def _raw(self, cells: Cells) -> Mapping[str, str]:
        return {reader.name: cells[reader.position] for reader in (*self.required, *self.optional)}


def _id_reader(name: str, column: str, table: Table, dialect: Dialect) -> CellReader:
    return CellReader(name, table.position(column), required(_valid_id, dialect.missing))


def _valid_id(cell: str) -> str:
    try:
        return _ID.validate_python(identity(cell))
    except ValidationError as error:
        raise ValueError(constraint(error.errors()[0])) from None


def _parsed(
    kind: Kind, content: dict[str, Any], raw: Mapping[str, str], problems: list[Problem], dropped: list[Problem]
) -> Any:
    """The record without the optional fields that have errors; errors of other fields are added to `problems`."""
    try:
        return parse(kind, content)
    except InvalidRecord as error:
        found = {problem.field.split(".")[0]: problem for problem in error.problems}
    reported = {problem.field for problem in problems}
    optional = {name for name in found if name in raw and not kind.model.model_fields[name].is_required()} - _TIMES
    for name, problem in found.items():
        told = Problem(name, problem.constraint, raw.get(name, problem.value))
        if name in optional:
            dropped.append(told)
        elif name not in reported:
            problems.append(told)
    left = {name: value for name, value in content.items() if name not in optional}
    return _parsed(kind, left, raw, problems, dropped) if optional and not found.keys() - optional else None


def reader(kind: Kind, block: Block, table: Table, mapping: MappingFile) -> RowReader:
    """The reader of the rows of a block.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    dialect = mapping.dialect(block)
    parent = block.parent()
    own_id = None if block.id == ROW else _id_reader(kind.id, block.id, table, dialect)
    readers = tuple(_content_readers(kind, block, table, dialect))
    required = {name for name, info in kind.model.model_fields.items() if info.is_required()} | _TIMES
    return RowReader(
        kind=kind,
        table=table,
        id=own_id,
        parent=_id_reader(kind.parent or "", parent, table, dialect) if parent else None,
        required=tuple(each for each in readers if each.name in required),
        optional=tuple(each for each in readers if each.name not in required),
        constants=_constants(kind, block),
        dialect=dialect,
        lead=lead_parts(block, table, dialect) if isinstance(block, Leads) else None,
    )


def _content_readers(kind: Kind, block: Block, table: Table, dialect: Dialect) -> Iterable[CellReader]:
    time = "created_at" if isinstance(block, Leads) else "occurred_at"
    for name, column in ((time, block.happened()), ("recorded_at", block.recorded_at)):
        if column:
            yield time_reader(name, column, table, dialect)
    for name, source in block.fields.items():
        if source.column:
            yield CellReader(name, table.position(source.column), converter(kind, name, source, dialect))


def _constants(kind: Kind, block: Block) -> Mapping[str, Any]:
    given = {name: constant(kind, name, source) for name, source in block.fields.items() if source.value}
    event = block.event if isinstance(block, LeadEvents) else None
    return {**given, "event": event} if event else given
