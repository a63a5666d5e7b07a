"""Steps: how single cells of a row are read into parts of a record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from features.records import Problem
from training.importing.mapping import Time
from training.importing.sources import Cells, Table
from training.importing.time_parsing import Clock


@dataclass(frozen=True)
class Step:
    """Reads one cell.

    Attributes:
        name: of the part of the record.
        place: of the cell in its row.
        read: what the cell holds, None where that is unknown; a ValueError says what it must be.
    """

    name: str
    place: int
    read: Callable[[str], Any]


def take(steps: Iterable[Step], cells: Cells, problems: list[Problem]) -> dict[str, Any]:
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


def given(read: Callable[[str], Any], missing: frozenset[str]) -> Callable[[str], Any]:
    """Reads a cell that must not be missing."""

    def check(cell: str) -> Any:
        if cell in missing:
            raise ValueError("is missing")
        return read(cell)

    return check


def time_step(name: str, time: Time, table: Table, missing: frozenset[str], clock: Clock) -> Step:
    """Reads a time that must be there.

    Raises:
        FaultyFile: the table lacks its column.
    """
    return Step(name, table.place(time.column), given(lambda cell: clock.instant(cell, time.format), missing))
