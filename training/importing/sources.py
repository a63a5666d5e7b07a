"""The files of an export, read as tables of text."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from training.importing.errors import InvalidFile, hint
from training.importing.mapping import Block, File, Join

Cells: TypeAlias = Sequence[str]
Progress: TypeAlias = Callable[[str, int], None]
"""Gets the current step, and its number of rows done."""

STEP = 10_000
"""Rows between two reports of progress."""


@dataclass(frozen=True)
class Table:
    """The rows of a file as text; a null in Parquet, or a value that a join lacks, is the empty text.

    Attributes:
        file: its name, as in the mapping.
        header: the names of its columns; a column without a name cannot be named and is "".
        rows: the number of each row, from 1, and its cells.
        ragged: the number of each row with more or fewer cells than the header, and its number of cells.
    """

    file: str
    header: tuple[str, ...]
    rows: Sequence[tuple[int, Cells]]
    ragged: tuple[tuple[int, int], ...] = ()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.header) if name}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that have one."""
        return tuple(self._positions)

    def position(self, column: str) -> int:
        """The position of a column in each row.

        Raises:
            InvalidFile: there is no such column.
        """
        if column not in self._positions:
            raise InvalidFile(f"{self.file} has no column {column!r}; {hint(column, self.columns)}")
        return self._positions[column]


class Export:
    """The folder of an export; each file is read once."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self._read: dict[tuple[str, str, str], Table] = {}
        if not folder.is_dir():
            raise InvalidFile(f"{folder} is not a folder; name the folder that holds the files of the export")

    def table(self, block: Block) -> Table:
        """The rows of a block's file, with the columns it joins.

        Raises:
            InvalidFile: a file is absent, unreadable, or lacks a column that a join names.
        """
        table = self._file(block)
        for join in block.joins:
            table = _joined(table, self._file(join), join)
        return table

    def _file(self, file: File) -> Table:
        key = (file.file, file.separator, file.encoding)
        if key not in self._read:
            self._read[key] = self._parse(file)
        return self._read[key]

    def _parse(self, file: File) -> Table:
        path = self._folder / file.file
        if not path.is_file():
            near = sorted(each.name for each in self._folder.iterdir() if each.is_file())
            raise InvalidFile(f"{self._folder} has no file {file.file!r}; {hint(file.file, near)}")
        with _reading(file):
            table = _parquet(path, file) if path.suffix == ".parquet" else _csv(path, file, self._progress)
        self._progress(f"reading {file.file}", len(table.rows))
        return _checked(table)


@contextmanager
def _reading(file: File) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        fix = "name the file's encoding in the mapping, such as encoding: cp1252"
        raise InvalidFile(f"{file.file} is not {file.encoding} text; {fix}") from None
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidFile(f"{file.file} cannot be read ({reason.rstrip('.')}); export it again") from None


def _checked(table: Table) -> Table:
    if not any(table.header):
        raise InvalidFile(f"{table.file} is empty; it needs a first line with the names of its columns")
    names = [name for name in table.header if name]
    twice = next((name for name in table.columns if names.count(name) > 1), None)
    if twice:
        raise InvalidFile(f"{table.file} has two columns {twice!r}; rename one of them in the file")
    return table


def _csv(path: Path, file: File, progress: Progress) -> Table:
    with _open(path, file.encoding) as stream:
        lines = csv.reader(stream, delimiter=file.separator, strict=True)
        try:
            return _rows(lines, file.file, progress)
        except csv.Error as error:
            raise InvalidFile(
                f"{file.file} is broken before line {lines.line_num + 1} ({error}); fix it there"
            ) from None


def _open(path: Path, encoding: str) -> IO[str]:
    # Some programs write a byte order mark before UTF-8 text; it would become part of the first column's name.
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _rows(lines: Iterator[list[str]], name: str, progress: Progress) -> Table:
    filled = (line for line in lines if line)
    header = tuple(next(filled, ()))
    rows: list[tuple[int, Cells]] = []
    ragged = []
    for number, cells in enumerate(filled, 1):
        if len(cells) == len(header):
            rows.append((number, cells))
        else:
            ragged.append((number, len(cells)))
        if number % STEP == 0:
            progress(f"reading {name}", number)
    return Table(name, header, rows, tuple(ragged))


def _parquet(path: Path, file: File) -> Table:
    content = pq.ParquetFile(path).read()
    columns = [_texts(content.column(position), name, file.file) for position, name in enumerate(content.column_names)]
    rows = list(enumerate(zip(*columns, strict=True), 1))
    return Table(file.file, tuple(content.column_names), rows)


def _texts(column: pa.ChunkedArray, name: str, file: str) -> list[str]:
    try:
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        return [text or "" for text in plain.cast(pa.string()).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidFile(f"{file}: column {name!r} holds {column.type}, not single values; leave it out") from None


def _joined(table: Table, other: Table, join: Join) -> Table:
    key, other_key = table.position(join.on), other.position(join.on)
    positions = [other.position(column) for column in join.columns]
    if clash := set(join.columns) & set(table.columns):
        raise InvalidFile(f"{table.file} and {other.file} both have {min(clash)!r}; leave it out of the join's columns")
    looked_up: dict[str, Cells] = {}
    for _, cells in other.rows:
        if cells[other_key] in looked_up:
            raise InvalidFile(
                f"{other.file} has {cells[other_key]!r} twice in {join.on!r}; a join needs each value once"
            )
        looked_up[cells[other_key]] = [cells[position] for position in positions]
    nothing = [""] * len(positions)
    rows = [(number, [*cells, *looked_up.get(cells[key], nothing)]) for number, cells in table.rows]
    return replace(table, header=(*table.header, *join.columns), rows=rows)
