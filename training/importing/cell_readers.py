"""Cell readers: each reads one cell of a row into one field of a record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from features.records import Problem
from training.importing.blocks import Time
from training.importing.dialect import Dialect
from training.importing.mapping_base import FoldedTexts
from training.importing.tables import Cells, Table


@dataclass(frozen=True)
class CellReader:
    """Reads one cell.

    Attributes:
        name: the field of the record.
        position: of the cell in its row.
        read: gives the value of the cell, None where it is unknown; its ValueError says the constraint.
    """

    name: str
    position: int
    read: Callable[[str], Any]


def read_cells(readers: Iterable[CellReader], cells: Cells, problems: list[Problem]) -> dict[str, Any]:
    """The values of cells by field; unknown values are left out, and errors are added to `problems`."""
    values = {}
    for reader in readers:
        cell = cells[reader.position]
        try:
            value = reader.read(cell)
        except ValueError as error:
            problems.append(Problem(reader.name, str(error), cell))
        else:
            if value is not None:
                values[reader.name] = value
    return values


def required(read: Callable[[str], Any], missing: FoldedTexts) -> Callable[[str], Any]:
    """A reader of a cell that must not be missing."""

    def check(cell: str) -> Any:
        if cell in missing:
            raise ValueError("is missing")
        return read(cell)

    return check


def time_reader(name: str, time: Time, table: Table, dialect: Dialect, *, optional: bool = False) -> CellReader:
    """The reader of a time, which must not be missing unless it is optional.

    Raises:
        InvalidFile: the table lacks its column.
    """

    def instant(cell: str) -> int:
        return dialect.clock.instant(cell, time.format)

    def known(cell: str) -> int | None:
        return None if cell in dialect.missing else instant(cell)

    read = known if optional else required(instant, dialect.missing)
    return CellReader(name, table.position(time.column), read)
