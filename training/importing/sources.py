"""The files of an export: each is read once, joined with others, and reduced to the rows that the mapping wants."""

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from features.folding import fold
from training.importing import table_files
from training.importing.blocks import Block, File, Join
from training.importing.errors import InvalidFile, hint
from training.importing.table_files import Progress
from training.importing.tables import Cells, Table
from training.importing.word_use import column_counts, counted, unused_where

_MAX_SHOWN = 3
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Export:
    """The folder of an export; each file is read once."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
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
        for join in block.joins:
            table = _joined(table, self._file(join), join)
        return _filtered(table, block) if block.where else table

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
            table = table_files.read(path, file, self._progress)
        self._progress(f"reading {file.file}", len(table.rows))
        return _checked(table)


@contextmanager
def _reading(file: File, path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        with path.open("rb") as stream:
            likely = "utf-16" if stream.read(2) in _UTF_16 else "cp1252"
        fix = f"name the file's encoding in the mapping, such as encoding: {likely}"
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
    missed = Counter(cells[key] for _, cells in table.rows if cells[key] not in looked_up)
    return replace(
        table,
        header=(*table.header, *join.columns),
        rows=rows,
        unreadable=table.unreadable,
        floats=table.floats | (other.floats & {*join.columns}),
        notes=(*table.notes, *other.notes, *_missed(table, other, join, missed)),
    )


def _missed(table: Table, other: Table, join: Join, missed: Counter[str]) -> Iterator[str]:
    """The rows that a join does not find, and their commonest values."""
    if missed:
        shown = ", ".join(f"{value or '(empty)'} ({count:,})" for value, count in missed.most_common(_MAX_SHOWN))
        more = ", ..." if len(missed) > _MAX_SHOWN else ""
        of = f"{missed.total():,} of {len(table.rows):,} rows of {table.file}"
        yield f"{of} are not in {other.file} by {join.on}: {shown}{more}"


def _filtered(table: Table, block: Block) -> Table:
    """The rows whose cells have one of the texts that `where` wants, compared folded."""
    wanted = [(table.position(column), {*map(fold, texts)}) for column, texts in block.where.items()]
    rows = [row for row in table.rows if all(fold(row[1][position]) in texts for position, texts in wanted)]
    if not rows and table.rows:
        held = "; ".join(f"{column} holds {counted(column_counts(table, column))}" for column in block.where)
        raise InvalidFile(f"{table.file} has no row that fits `where`: {held}")
    left = f"{len(table.rows) - len(rows):,} rows of {table.file} do not fit `where`"
    return replace(table, rows=rows, notes=(*table.notes, left, *unused_where(block, table)))
