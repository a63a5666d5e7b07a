"""Steps: how single cells of a row are read into parts of a record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from features.records import Problem
from training.importing.mapping import Time
from training.importing.sources import Cells, Table
from training.importing.time_parsing import Clock


@dataclass(frozen=True)
class CellReader:
    """Reads one cell.

    Attributes:
        name: of the part of the record.
        place: of the cell in its row.
        read: what the cell holds, None where that is unknown; a ValueError says what it must be.
    """

    name: str
    place: int
    read: Callable[[str], Any]


def read_cells(steps: Iterable[CellReader], cells: Cells, problems: list[Problem]) -> dict[str, Any]:
    """What the steps read; unknowns are left out, and what cannot be read is added to `problems`."""
    taken = {}
    for step in steps:
        cell = cells[step.place]
        try:
            value = step.read(cell)
        except ValueError as error:
            problems.append(Problem(step.name, str(error), cell))
        else:
            if value is not None:
                taken[step.name] = value
    return taken


def required(read: Callable[[str], Any], missing: frozenset[str]) -> Callable[[str], Any]:
    """Reads a cell that must not be missing."""

    def check(cell: str) -> Any:
        if cell in missing:
            raise ValueError("is missing")
        return read(cell)

    return check


def time_reader(name: str, time: Time, table: Table, missing: frozenset[str], clock: Clock) -> CellReader:
    """Reads a time that must be there.

    Raises:
        InvalidFile: the table lacks its column.
    """
    return CellReader(name, table.place(time.column), required(lambda cell: clock.instant(cell, time.format), missing))
