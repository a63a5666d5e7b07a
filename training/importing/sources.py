"""The files of an export: each is read once, joined with others, and reduced to the rows that the mapping wants."""

import codecs
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from training.importing import table_files
from training.importing.blocks import Block, File, Join
from training.importing.errors import InvalidFile, hint
from training.importing.mapping_base import FoldedTexts
from training.importing.table_files import Progress
from training.importing.tables import Cells, Table
from training.importing.word_use import column_counts, counted, unused_where

_MAX_SHOWN = 3
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP = b"PK\x03\x04"


class Export:
    """The folder of an export; each file is read once, with the columns that the blocks use."""

    def __init__(self, folder: Path, blocks: Iterable[Block], progress: Progress) -> None:
        self._folder = folder
        self._used = _used(blocks)
        self._progress = progress
        self._read: dict[tuple[object, ...], Table] = {}
        if not folder.is_dir():
            raise InvalidFile(f"{folder} is not a folder; name the folder that holds the files of the export")

    def table(self, block: Block) -> Table:
        """The rows of a block's file, with the columns it joins.

        Raises:
            InvalidFile: a file is absent, unreadable, or lacks a column that a join names.
        """
        table = self._file(block)
        own = {column: texts for column, texts in block.where.items() if column in table.columns}
        table = _filtered(table, own)
        for join in block.joins:
            table = _joined(table, self._file(join), join)
        return _filtered(table, {column: texts for column, texts in block.where.items() if column not in own})

    def _file(self, file: File) -> Table:
        key = (file.file, file.separator, file.encoding, file.skip_lines, file.sheet)
        if key not in self._read:
            self._read[key] = self._parse(file)
        return self._read[key]

    def _parse(self, file: File) -> Table:
        path = self._folder / file.file
        if not path.is_file():
            near = sorted(each.name for each in self._folder.iterdir() if each.is_file())
            raise InvalidFile(f"{self._folder} has no file {file.file!r}; {hint(file.file, near)}")
        with _reading(file, path):
            table = table_files.read(path, file, self._used[file.file], self._progress)
        self._progress(f"reading {file.file}", len(table.rows))
        return _checked(table)


@contextmanager
def _reading(file: File, path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise InvalidFile(f"{file.file} is not {file.encoding} text; {_fix_of_encoding(path)}") from None
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidFile(f"{file.file} cannot be read ({reason.rstrip('.')}); export it again") from None


def _fix_of_encoding(path: Path) -> str:
    start = table_files.beginning(path)
    if start.startswith(_ZIP):
        return "it is a workbook or an archive; a workbook needs a name that ends in .xlsx"
    return f"name the file's encoding in the mapping, such as encoding: {_likely_encoding(start)}"


def _likely_encoding(start: bytes) -> str:
    if start.startswith(_UTF_16):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _used(blocks: Iterable[Block]) -> Mapping[str, Collection[str] | None]:
    """The columns of each file that the blocks use; None for all."""
    used: dict[str, set[str] | None] = {}
    for block in blocks:
        columns = block.used()
        for file in (block.file, *(join.file for join in block.joins)):
            known = used.setdefault(file, set())
            used[file] = None if known is None or columns is None else {*known, *columns}
    return used


def _checked(table: Table) -> Table:
    if any("\0" in name for name in table.header):
        fix = "name its encoding in the mapping, such as encoding: " + (
            "utf-16-be" if table.header[0].startswith("\0") else "utf-16-le"
        )
        raise InvalidFile(f"{table.file} has NUL characters in its first line, as UTF-16 text has; {fix}")
    if not any(table.header):
        raise InvalidFile(f"{table.file} is empty; it needs a first line with the names of its columns")
    names = [name for name in table.header if name]
    twice = next((name for name in table.columns if names.count(name) > 1), None)
    if twice:
        raise InvalidFile(f"{table.file} has two columns {twice!r}; rename one of them in the file")
    return table


def _joined(table: Table, other: Table, join: Join) -> Table:
    key, other_key = table.position(join.on), other.position(join.on)
    positions = [other.position(column) for column in join.columns]
    if clash := set(join.columns) & set(table.columns):
        raise InvalidFile(f"{table.file} and {other.file} both have {min(clash)!r}; leave it out of the join's columns")
    looked_up: dict[str, Cells] = {}
    for _, cells in other.rows:
        if not cells[other_key]:
            continue
        if cells[other_key] in looked_up:
            raise InvalidFile(
                f"{other.file} has {cells[other_key]!r} twice in {join.on!r}; a join needs each value once"
            )
        looked_up[cells[other_key]] = [cells[position] for position in positions]
    nothing = [""] * len(positions)
    rows = [(number, [*cells, *looked_up.get(cells[key], nothing)]) for number, cells in table.rows]
    missed = Counter(cells[key] for _, cells in table.rows if cells[key] not in looked_up)
    return replace(
        table,
        header=(*table.header, *join.columns),
        rows=rows,
        notes=(*table.notes, *other.notes, *_missed(table, other, join, missed)),
    )


def _missed(table: Table, other: Table, join: Join, missed: Counter[str]) -> Iterator[str]:
    """The rows that a join does not find, and their commonest values."""
    if missed:
        shown = ", ".join(f"{value or '(empty)'} ({count:,})" for value, count in missed.most_common(_MAX_SHOWN))
        more = ", ..." if len(missed) > _MAX_SHOWN else ""
        of = f"{missed.total():,} of {len(table.rows):,} rows of {table.file}"
        yield f"{of} are not in {other.file} by {join.on}: {shown}{more}"


def _filtered(table: Table, where: Mapping[str, Collection[str]]) -> Table:
    """The rows whose cells have one of the texts that `where` wants, compared folded."""
    if not where:
        return table
    wanted = [(table.position(column), FoldedTexts.of(texts)) for column, texts in where.items()]
    rows = [row for row in table.rows if all(row[1][position] in texts for position, texts in wanted)]
    if not rows and table.rows:
        held = "; ".join(f"{column} holds {counted(column_counts(table, column))}" for column in where)
        raise InvalidFile(f"{table.file} has no row that fits `where`: {held}")
    left = f"{len(table.rows) - len(rows):,} rows of {table.file} do not fit `where` by {', '.join(where)}"
    return replace(table, rows=rows, notes=(*table.notes, left, *unused_where(where, table)))
