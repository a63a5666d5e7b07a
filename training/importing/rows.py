"""One row of an export becomes records, or the reasons why not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from features.records import InvalidRecord, Kind, Problem, Stored, constraint, parse
from features.values import Id
from training.importing.cell_readers import CellReader, read_cells, required, time_reader
from training.importing.fields import constant, converter
from training.importing.leads import LeadParts, lead_parts
from training.importing.mapping import ROW, Block, LeadEvents, Leads
from training.importing.mapping import Mapping as MappingFile
from training.importing.sources import Cells, Table
from training.importing.time_parsing import Clock

_ID: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one block of a mapping.

    Attributes:
        kind: of the records.
        table: the rows.
        id: how to read the id; None where rows are numbered.
        parent: how to read the id of the lead or account, where the kind has one.
        steps: how to read the content.
        constants: content that is the same in every row.
        lead: what only leads have.
    """

    kind: Kind
    table: Table
    id: CellReader | None
    parent: CellReader | None
    steps: tuple[CellReader, ...]
    constants: Mapping[str, Any]
    lead: LeadParts | None

    def id_of(self, number: int, cells: Cells) -> str:
        """The id of a row's record, as it stands there."""
        return str(number) if self.id is None else cells[self.id.place]

    def read(self, number: int, cells: Cells) -> tuple[Stored, ...]:
        """The record of a row and, where an outcome tells so, its closing.

        Raises:
            InvalidRecord: with everything that is wrong with the row.
        """
        problems: list[Problem] = []
        identity = self.id_of(number, cells)
        parent = read_cells([step for step in (self.id, self.parent) if step], cells, problems).get(
            self.kind.parent or ""
        )
        content = {**self.constants, **read_cells(self.steps, cells, problems)}
        if self.kind.entity:
            content[self.kind.id] = identity
        own: dict[str, Any] = self.lead.read(number, cells, content, problems) if self.lead else {}
        record = _parsed(self.kind, content, self._raw(cells), problems)
        closing = self.lead.closing.read(identity, cells, problems) if self.lead and self.lead.closing else ()
        if problems:
            raise InvalidRecord(self.kind.name, tuple(problems))
        return (Stored(self.kind, identity, record, parent, **own), *closing)

    def attribute_columns(self) -> tuple[str, ...]:
        """The columns that the mapping declares as attributes."""
        return tuple(self.table.header[column.place] for column in self.lead.columns) if self.lead else ()

    def _raw(self, cells: Cells) -> Mapping[str, str]:
        return {step.name: cells[step.place] for step in self.steps}


def _id_step(name: str, column: str, table: Table, missing: frozenset[str]) -> CellReader:
    return CellReader(name, table.place(column), required(_valid_id, missing))


def _valid_id(cell: str) -> str:
    try:
        return _ID.validate_python(cell)
    except ValidationError as error:
        raise ValueError(constraint(error.errors()[0])) from None


def _parsed(kind: Kind, content: Mapping[str, Any], raw: Mapping[str, str], problems: list[Problem]) -> Any:
    """The record; faults of fields that have none yet are added to `problems`, with what the row says there."""
    try:
        return parse(kind, content)
    except InvalidRecord as error:
        faulty = {problem.field for problem in problems}
        for problem in error.problems:
            name = problem.field.split(".")[0]
            if name not in faulty:
                problems.append(Problem(name, problem.constraint, raw.get(name, problem.value)))
    return None


def reader(kind: Kind, block: Block, table: Table, mapping: MappingFile) -> RowReader:
    """How to read the rows of a block.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    missing, clock = mapping.unknown(block), mapping.clock()
    parent = block.parent()
    return RowReader(
        kind,
        table,
        None if block.id == ROW else _id_step(kind.id, block.id, table, missing),
        _id_step(kind.parent or "", parent, table, missing) if parent else None,
        tuple(_content_steps(kind, block, table, missing, clock)),
        _constants(kind, block),
        lead_parts(block, table, missing, clock) if isinstance(block, Leads) else None,
    )


def _content_steps(
    kind: Kind, block: Block, table: Table, missing: frozenset[str], clock: Clock
) -> Iterable[CellReader]:
    time = "created_at" if isinstance(block, Leads) else "occurred_at"
    for name, column in ((time, block.happened()), ("recorded_at", block.recorded_at)):
        if column:
            yield time_reader(name, column, table, missing, clock)
    for name, source in block.fields.items():
        if source.column:
            yield CellReader(name, table.place(source.column), converter(kind, name, source, missing))


def _constants(kind: Kind, block: Block) -> Mapping[str, Any]:
    given = {name: constant(kind, name, source) for name, source in block.fields.items() if source.value}
    event = block.event if isinstance(block, LeadEvents) else None
    return {**given, "event": event} if event else given
