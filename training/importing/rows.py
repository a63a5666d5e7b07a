"""One row of an export becomes records, or the reasons why not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from features.records import InvalidRecord, Kind, Problem, Stored, constraint, parse
from features.value_types import Id
from training.importing.cell_readers import CellReader, read_cells, required, time_reader
from training.importing.fields import constant, converter
from training.importing.leads import LeadParts, lead_parts
from training.importing.mapping import ROW, Block, LeadEvents, Leads
from training.importing.mapping import Mapping as MappingFile
from training.importing.sources import Cells, Table
from training.importing.time_parsing import Clock

_ID: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads the rows of one block of a mapping.

    Attributes:
        kind: of the records.
        table: the rows.
        id: the reader of the id; None where rows are numbered.
        parent: the reader of the id of the lead or account, where the kind has one.
        readers: the readers of the content.
        constants: content that is the same in every row.
        lead: the parts that only leads have.
    """

    kind: Kind
    table: Table
    id: CellReader | None
    parent: CellReader | None
    readers: tuple[CellReader, ...]
    constants: Mapping[str, Any]
    lead: LeadParts | None

    def id_of(self, number: int, cells: Cells) -> str:
        """The id of a row's record, as written in the row."""
        return str(number) if self.id is None else cells[self.id.position]

    def read(self, number: int, cells: Cells) -> tuple[Stored, ...]:
        """The record of a row and, where the row has an outcome, its close.

        Raises:
            InvalidRecord: the row has errors; it holds all of them.
        """
        problems: list[Problem] = []
        identity = self.id_of(number, cells)
        parent = read_cells([reader for reader in (self.id, self.parent) if reader], cells, problems).get(
            self.kind.parent or ""
        )
        content = {**self.constants, **read_cells(self.readers, cells, problems)}
        if self.kind.entity:
            content[self.kind.id] = identity
        own: dict[str, Any] = self.lead.read(number, cells, content, problems) if self.lead else {}
        record = _parsed(self.kind, content, self._raw(cells), problems)
        closing = self.lead.outcome.read(identity, cells, problems) if self.lead and self.lead.outcome else ()
        if problems:
            raise InvalidRecord(self.kind.name, tuple(problems))
        return (Stored(self.kind, identity, record, parent, **own), *closing)

    def attribute_columns(self) -> tuple[str, ...]:
        """The columns that the mapping declares as attributes."""
        return tuple(self.table.header[column.position] for column in self.lead.columns) if self.lead else ()

    def _raw(self, cells: Cells) -> Mapping[str, str]:
        return {reader.name: cells[reader.position] for reader in self.readers}


def _id_reader(name: str, column: str, table: Table, missing: frozenset[str]) -> CellReader:
    return CellReader(name, table.position(column), required(_valid_id, missing))


def _valid_id(cell: str) -> str:
    try:
        return _ID.validate_python(cell)
    except ValidationError as error:
        raise ValueError(constraint(error.errors()[0])) from None


def _parsed(kind: Kind, content: Mapping[str, Any], raw: Mapping[str, str], problems: list[Problem]) -> Any:
    """The record; errors of fields without a problem so far are added to `problems`, with the texts of the row."""
    try:
        return parse(kind, content)
    except InvalidRecord as error:
        reported = {problem.field for problem in problems}
        for problem in error.problems:
            name = problem.field.split(".")[0]
            if name not in reported:
                problems.append(Problem(name, problem.constraint, raw.get(name, problem.value)))
    return None


def reader(kind: Kind, block: Block, table: Table, mapping: MappingFile) -> RowReader:
    """The reader of the rows of a block.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    missing, clock = mapping.unknown(block), mapping.clock()
    parent = block.parent()
    return RowReader(
        kind=kind,
        table=table,
        id=None if block.id == ROW else _id_reader(kind.id, block.id, table, missing),
        parent=_id_reader(kind.parent or "", parent, table, missing) if parent else None,
        readers=tuple(_content_readers(kind, block, table, missing, clock)),
        constants=_constants(kind, block),
        lead=lead_parts(block, table, missing, clock) if isinstance(block, Leads) else None,
    )


def _content_readers(
    kind: Kind, block: Block, table: Table, missing: frozenset[str], clock: Clock
) -> Iterable[CellReader]:
    time = "created_at" if isinstance(block, Leads) else "occurred_at"
    for name, column in ((time, block.happened()), ("recorded_at", block.recorded_at)):
        if column:
            yield time_reader(name, column, table, missing, clock)
    for name, source in block.fields.items():
        if source.column:
            yield CellReader(name, table.position(source.column), converter(kind, name, source, missing))


def _constants(kind: Kind, block: Block) -> Mapping[str, Any]:
    given = {name: constant(kind, name, source) for name, source in block.fields.items() if source.value}
    event = block.event if isinstance(block, LeadEvents) else None
    return {**given, "event": event} if event else given
