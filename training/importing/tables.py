"""A table of an export: its header and its rows as text."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from training.importing.errors import InvalidFile, hint

Cells: TypeAlias = Sequence[str]


class TypedText(str):
    """The text of a value that a file holds as a number or a time rather than as text.

    Numbers have a decimal point and times are ISO 8601, whatever the mapping says about texts.
    """

    __slots__ = ()


class FloatText(TypedText):
    """The text of a floating-point number that is no whole number up to 2^53, so that it cannot be an id."""

    __slots__ = ()


_MAX_OF_TITLE = 2
"""Cells that a title above the header may have."""
_SEPARATORS = (";", "\t", "|", ",")
_INDEX = "__index_level_"
"""The beginning of the names that pandas gives the index of a frame in Parquet."""


@dataclass(frozen=True)
class Table:
    """The rows of a file as trimmed text; a null in Parquet, or a value that a join lacks, is the empty text.

    Attributes:
        file: its name, as in the mapping.
        header: the names of its columns; a column without a name cannot be named and is "".
        rows: the number of each row, from 1, and its cells.
        ragged: the number of each row with more or fewer cells than the header, and its number of cells.
        unreadable: the columns that do not hold single values, with their types.
        notes: what the reader chose or did not find, in words for the report.
    """

    file: str
    header: tuple[str, ...]
    rows: Sequence[tuple[int, Cells]]
    ragged: tuple[tuple[int, int], ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.header) if name}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that have one and hold single values, without the index of a frame."""
        return tuple(name for name in self._positions if name not in self.unreadable and not name.startswith(_INDEX))

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

    def other_separator(self) -> str | None:
        """The option for the separator that the only cell of the header contains; None where nothing hints at one."""
        return self._option(lambda sign: len(self.header) == 1 and sign in self.header[0])

    def _fix(self, column: str) -> str:
        """What to do where a column is not found: the file may have another separator, or a title above the header."""
        inside = self._option(lambda sign: any(column in map(str.strip, cell.split(sign)) for cell in self.header))
        if option := inside or self.other_separator():
            return f"its first line has another separator than the mapping says, so set {option}"
        if len(self.columns) <= _MAX_OF_TITLE:
            return f"{hint(column, self.columns)}; where the names stand below a title, set skip_lines"
        return hint(column, self.columns)

    @staticmethod
    def _option(fits: Callable[[str], bool]) -> str | None:
        found = next(filter(fits, _SEPARATORS), None)
        return None if found is None else f"separator: {json.dumps(found)}"
