"""The checks that every engine makes on the files of a record folder before it reads them in place.

A check is a column, a demand on its values in words, and the SQL condition of the rows that break it. The checks come
from the typed contract (`features.bounds`). They are the same for every engine; an engine brings its `Dialect`, which
writes the conditions, and a function that counts the rows of a file for which a condition is true.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from features import folder as layout
from features.bounds import Bound, bounds, finite
from features.folder import FolderError
from features.provenance import ATTRIBUTE_PREFIX
from features.records import Column, ColumnType, Kind


class UnreadableRecords(FolderError):
    """A file of a record folder breaks the contract; the message names the file, the constraint and the fix."""


TEXT_FORMS: Mapping[ColumnType, tuple[str, str]] = {
    "integer": ("must be an integer in digits", r"-?[0-9]+"),
    "real": ("must be a number", r"\S+"),
    "flag": ("must be true or false", r"(?i)true|false"),
    "instant": (
        "must be an RFC 3339 time with an offset, such as 2026-11-01T00:00:00Z",
        r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    ),
    "date": ("must be a calendar day that exists, written YYYY-MM-DD", r"\d{4}-\d\d-\d\d"),
}
"""How a CSV file writes the values of a type: the demand in words, and the pattern of the whole text."""


class Dialect(Protocol):
    """An engine's SQL for the parts of a condition; every method returns an SQL expression."""

    def quoted(self, name: str) -> str:
        """An identifier."""
        ...

    def literal(self, text: str) -> str:
        """A text."""
        ...

    def matches(self, name: str, pattern: str) -> str:
        """Whether the whole text of a quoted column matches a regular expression."""
        ...

    def parsed(self, column: Column) -> str:
        """The value that a CSV column's text stands for; null where the text stands for none."""
        ...

    def wrong_length(self, name: str, bound: Bound) -> str:
        """Whether the text of a quoted column is shorter or longer than the bound allows."""
        ...

    def outside(self, name: str, bound: Bound) -> str:
        """Whether the number of a quoted column lies outside the bound's range; NaN always does."""
        ...


@dataclass(frozen=True)
class ValueCheck:
    """One demand on the values of one column.

    Attributes:
        column: the column.
        demand: what its values must be, in words.
        broken: the SQL condition of the rows that break the demand; null or false of all others.
    """

    column: Column
    demand: str
    broken: str


Count: TypeAlias = Callable[[Sequence[str]], tuple[Sequence[int], Sequence[int | None]]]
"""Counts, in one pass over a file, the rows that meet each of some conditions.

It returns the counts and the positions (from 0 on) of the first such rows; None where there is no such row.
"""


def open_bounds(path: Path, kind: Kind, columns: Sequence[Column]) -> list[Bound]:
    """The bounds that the statistics of a Parquet file leave open, after a check of its columns.

    Raises:
        FolderError: the file has other columns, or columns of another type.
    """
    with pq.ParquetFile(path) as file:
        layout.check_schema(path, file.schema_arrow, columns)
        return [bound for bound in bounds_of(kind, columns) if not _proven(bound, file)]


def bounds_of(kind: Kind, columns: Sequence[Column]) -> Iterator[Bound]:
    """The bounds of a kind's columns, including those of a lead's attributes."""
    yield from bounds(kind)
    for column in columns:
        if column.name.startswith(ATTRIBUTE_PREFIX) and column.type == "real":
            yield finite(column)


def check_bounds(path: Path, bounds: Iterable[Bound], dialect: Dialect, count: Count) -> None:
    """Checks that the rows of a file hold to the bounds.

    Raises:
        UnreadableRecords: some row breaks one.
    """
    _refuse(path, [ValueCheck(bound.column, bound.demand, _broken(bound, dialect)) for bound in bounds], count)


def check_texts(path: Path, columns: Iterable[Column], dialect: Dialect, count: Count) -> None:
    """Checks that every text of a CSV file stands for a value of its column's type.

    Raises:
        UnreadableRecords: some text does not.
    """
    forms = ((column, *TEXT_FORMS[column.type]) for column in columns if column.type in TEXT_FORMS)
    _refuse(
        path,
        [ValueCheck(column, demand, _unread(column, pattern, dialect)) for column, demand, pattern in forms],
        count,
    )


def _broken(bound: Bound, dialect: Dialect) -> str:
    """The condition of a row that breaks the bound. It is null where the column is, unless null itself breaks it."""
    name = dialect.quoted(bound.column.name)
    if bound.required:
        return f"{name} IS NULL"
    if bound.values:
        return f"{name} NOT IN ({', '.join(map(dialect.literal, bound.values))})"
    if bound.pattern is not None:
        return f"NOT {dialect.matches(name, bound.pattern)}"
    return dialect.wrong_length(name, bound) if bound.max_length is not None else dialect.outside(name, bound)


def _unread(column: Column, pattern: str, dialect: Dialect) -> str:
    name = dialect.quoted(column.name)
    # The pattern refuses texts that the cast would accept beyond the contract; the cast refuses days such as 31 June.
    return f"{name} IS NOT NULL AND (NOT {dialect.matches(name, pattern)} OR {dialect.parsed(column)} IS NULL)"


def _refuse(path: Path, checks: Sequence[ValueCheck], count: Count) -> None:
    """Raises one error that names every broken check, the number of rows that break it, and the first of them."""
    if not checks:
        return
    counts, firsts = count([check.broken for check in checks])
    errors = "; ".join(
        f"column {check.column.name} {check.demand}, "
        f"which {number} row{'s do' if number > 1 else ' does'} not, first row {first + 1}"
        for check, number, first in zip(checks, counts, firsts, strict=True)
        if first is not None
    )
    if errors:
        raise UnreadableRecords(f"{path}: {errors}; correct or remove these rows")


def _proven(bound: Bound, file: pq.ParquetFile) -> bool:
    """Whether the statistics of every row group show that the bound holds; those of reals leave out NaN."""
    arrow_type = file.schema_arrow.field(bound.column.name).type
    exact = pa.types.is_integer(arrow_type) or arrow_type == layout.ARROW["instant"]
    if not (bound.required or (exact and bound.minimum is not None and bound.maximum is not None)):
        return False
    position = file.schema_arrow.get_field_index(bound.column.name)
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    return all(_holds(bound, group.column(position).statistics, group.num_rows) for group in groups)


def _holds(bound: Bound, statistics: "pq.Statistics | None", rows: int) -> bool:
    if statistics is None or not statistics.has_null_count:
        return False
    if bound.required:
        return bool(statistics.null_count == 0)
    if statistics.null_count == rows:
        return True
    within = statistics.has_min_max and bound.minimum <= statistics.min_raw and statistics.max_raw <= bound.maximum
    return bool(within)
