"""What every engine demands of the files of a record folder before it reads them in place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from features import folder as layout
from features.bounds import Bound, bounds, finite
from features.folder import FolderError
from features.provenance import ATTRIBUTE_PREFIX
from features.records import Column, ColumnType, Kind


class UnreadableRecords(FolderError):
    """A file of a record folder cannot be read as its records; the message names the file, what is wrong, the mend."""


WRITTEN: Mapping[ColumnType, tuple[str, str]] = {
    "integer": ("must be an integer in digits", r"-?[0-9]+"),
    "real": ("must be a number", r"\S+"),
    "flag": ("must be true or false", r"(?i)true|false"),
    "instant": (
        "must be an RFC 3339 time with an offset, such as 2026-11-01T00:00:00Z",
        r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    ),
    "date": ("must be a calendar day that exists, written YYYY-MM-DD", r"\d{4}-\d\d-\d\d"),
}
"""How a CSV file writes values of a type: the demand in words, and as a pattern of the whole text."""


def demands(kind: Kind, columns: Sequence[Column]) -> Iterator[Bound]:
    """The bounds of a kind's columns, those of attributes among them."""
    yield from bounds(kind)
    for column in columns:
        if column.name.startswith(ATTRIBUTE_PREFIX) and column.type == "real":
            yield finite(column)


def checked(path: Path, kind: Kind, columns: Sequence[Column]) -> list[Bound]:
    """The bounds that the statistics of a Parquet file leave open, its columns being as they must.

    Raises:
        UnreadableRecords, FolderError: the file has other columns, or of another type.
    """
    with pq.ParquetFile(path) as file:
        _check_schema(path, file.schema_arrow, columns)
        return [bound for bound in demands(kind, columns) if not _proven(bound, file)]


def _check_schema(path: Path, found: pa.Schema, columns: Sequence[Column]) -> None:
    layout.check_names(path, found.names, columns)
    for column in columns:
        type = found.field(column.name).type
        if not (layout.WIDER[column.type](type) or pa.types.is_null(type)):
            wanted = layout.ARROW[column.type]
            raise UnreadableRecords(
                f"{path}: column {column.name} must be {wanted}, not {type}; write the column with that type"
            )


def _proven(bound: Bound, file: pq.ParquetFile) -> bool:
    """Whether the statistics of every row group show that the bound holds; those of reals leave out NaN."""
    found = file.schema_arrow.field(bound.column.name).type
    exact = pa.types.is_integer(found) or found == layout.ARROW["instant"]
    if not (bound.given or (exact and bound.least is not None and bound.most is not None)):
        return False
    position = file.schema_arrow.get_field_index(bound.column.name)
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    return all(_holds(bound, group.column(position).statistics, group.num_rows) for group in groups)


def _holds(bound: Bound, statistics: "pq.Statistics | None", rows: int) -> bool:
    if statistics is None or not statistics.has_null_count:
        return False
    if bound.given:
        return bool(statistics.null_count == 0)
    if statistics.null_count == rows:
        return True
    within = statistics.has_min_max and bound.least <= statistics.min_raw and statistics.max_raw <= bound.most
    return bool(within)


def text_demands(columns: Iterable[Column]) -> Iterator[tuple[Column, str, str]]:
    """Of each column whose values a CSV file must write in one way: the demand in words, and its pattern."""
    for column in columns:
        if column.type in WRITTEN:
            yield (column, *WRITTEN[column.type])


Broken: TypeAlias = tuple[Column, str, str]
"""A column, what it must be in words, and SQL that is true of the rows where it is not."""


def refuse(path: Path, broken: Sequence[Broken], counts: Sequence[int], firsts: Sequence[int | None]) -> None:
    """Tells of every demand that rows of a file break: how many do, and the first of them, from 0 on.

    Raises:
        UnreadableRecords: some row breaks one.
    """
    told = "; ".join(
        f"column {column.name} {demand}, which {count} row{'s do' if count > 1 else ' does'} not, first row {first + 1}"
        for (column, demand, _), count, first in zip(broken, counts, firsts, strict=True)
        if first is not None
    )
    if told:
        raise UnreadableRecords(f"{path}: {told}; correct or remove these rows")
