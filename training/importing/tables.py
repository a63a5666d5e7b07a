"""A table of an export: its header and its rows as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from training.importing.errors import InvalidFile, hint

Cells: TypeAlias = Sequence[str]

_SEPARATORS = {";": "';'", "\t": '"\\t"', "|": "'|'", ",": "','"}


@dataclass(frozen=True)
class Table:
    """The rows of a file as trimmed text; a null in Parquet, or a value that a join lacks, is the empty text.

    Attributes:
        file: its name, as in the mapping.
        header: the names of its columns; a column without a name cannot be named and is "".
        rows: the number of each row, from 1, and its cells.
        ragged: the number of each row with more or fewer cells than the header, and its number of cells.
        unreadable: the columns that do not hold single values, with their types.
        floats: the columns that the file holds as floating-point numbers.
        notes: what the reader chose or did not find, in words for the report.
    """

    file: str
    header: tuple[str, ...]
    rows: Sequence[tuple[int, Cells]]
    ragged: tuple[tuple[int, int], ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    floats: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.header) if name}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that have one, and that hold single values."""
        return tuple(name for name in self._positions if name not in self.unreadable)

    def position(self, column: str) -> int:
        """The position of a column in each row.

        Raises:
            InvalidFile: there is no such column, or it does not hold single values.
        """
        if column in self.unreadable:
            kind = self.unreadable[column]
            raise InvalidFile(f"{self.file}: column {column!r} holds {kind}, not single values; leave it out")
        if column not in self._positions:
            raise InvalidFile(f"{self.file} has no column {column!r}; {self._fix(column)}")
        return self._positions[column]

    def _fix(self, column: str) -> str:
        """What to do where a column is not found: a line of one cell often has another separator."""
        if len(self.header) == 1:
            for character, written in _SEPARATORS.items():
                if character in self.header[0]:
                    return f"its first line is one cell with {character!r} in it, so set separator: {written}"
        if len(self.header) <= 2:
            return f"{hint(column, self.columns)}; where the names stand below a title, set skip_lines"
        return hint(column, self.columns)
