"""The formats of an export's files: CSV, Parquet and .xlsx, each read as rows of trimmed text."""

import csv
import datetime as dt
import gzip
import io
import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.value_types import MAX_INTEGER
from operations.csv_text import unguarded
from training.importing.blocks import OTHER_WORKBOOKS, PARQUET, WORKBOOKS, File
from training.importing.errors import InvalidFile, hint
from training.importing.tables import Cells, FloatText, Table, TypedText

Progress = Callable[[str, int], None]
"""Gets the current step, and its number of rows done."""

_BEGINNING = 64 * 1024
STEP = 10_000
"""Rows between two reports of progress."""

Used = Collection[str] | None
"""The names of the columns that a mapping uses; None for all."""


def read(path: Path, file: File, used: Used, progress: Progress) -> Table:
    """The rows of a file; the cells of columns that are not used may be empty.

    Raises:
        InvalidFile: the file breaks its format.
    """
    suffix = path.suffix.lower()
    if suffix in OTHER_WORKBOOKS:
        raise InvalidFile(f"{file.file} is a workbook in a format that is not read; save it as .xlsx")
    if suffix in PARQUET:
        return _parquet(path, file, used)
    return _xlsx(path, file) if suffix in WORKBOOKS else _csv(path, file, progress)


def _csv(path: Path, file: File, progress: Progress) -> Table:
    # The default of 131,072 characters is less than a long note in a CRM.
    csv.field_size_limit(sys.maxsize)
    with _open(path, file.encoding) as stream:
        for _ in range(file.skip_lines):
            stream.readline()
        lines = csv.reader(stream, delimiter=file.separator, strict=True)
        try:
            return _rows(([*map(unguarded, cells)] for cells in lines), file.file, progress)
        except csv.Error as error:
            line = lines.line_num + 1 + file.skip_lines
            raise InvalidFile(f"{file.file} is broken before line {line} ({error}); fix it there") from None


@contextmanager
def _open(path: Path, encoding: str) -> Iterator[IO[str]]:
    with _unpacked(path) as binary, io.TextIOWrapper(binary, encoding, newline="") as stream:
        # Some programs write a byte order mark before the text; it would become part of the first column's name.
        if stream.read(1) != "\ufeff":
            stream.seek(0)
        yield stream


def _unpacked(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def beginning(path: Path) -> bytes:
    """The first bytes of a file's text, unpacked."""
    with _unpacked(path) as stream:
        return stream.read(_BEGINNING)


def _rows(lines: Iterator[list[str]], name: str, progress: Progress) -> Table:
    filled = (line for line in lines if line)
    header = trimmed(next(filled, ()))
    rows: list[tuple[int, Cells]] = []
    ragged = []
    for number, cells in enumerate(filled, 1):
        if len(cells) == len(header):
            rows.append((number, trimmed(cells)))
        else:
            ragged.append((number, len(cells)))
        if number % STEP == 0:
            progress(f"reading {name}", number)
    return Table(name, header, rows, tuple(ragged))


def trimmed(cells: Sequence[str]) -> tuple[str, ...]:
    """Cells without blanks at their ends; a cell of blanks is empty, which means missing."""
    return tuple([cell.strip() for cell in cells])


def _parquet(path: Path, file: File, used: Used) -> Table:
    with pq.ParquetFile(path) as content:
        names = tuple(content.schema_arrow.names)
        wanted = [name for name in names if used is None or name in used]
        columns, unreadable = {}, {}
        for name in wanted if len({*names}) == len(names) else ():
            column = content.read(columns=[name]).column(name)
            columns[name] = texts = _texts(column)
            if texts is None:
                unreadable[name] = str(column.type)
        unused = [""] * content.metadata.num_rows
    rows = list(enumerate(zip(*(columns.get(name) or unused for name in names), strict=True), 1))
    return Table(file.file, names, rows, unreadable=unreadable)


def _texts(column: pa.ChunkedArray) -> list[str] | None:
    """The texts of a column; None where it does not hold single values that are text, numbers or times."""
    try:
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_floating(plain.type):
            return [number_text(value) for value in plain.to_pylist()]
        if pa.types.is_binary(plain.type) or pa.types.is_large_binary(plain.type):
            return None
        if pa.types.is_decimal(plain.type):
            return [_decimal_text(value) for value in plain.to_pylist()]
        texts = [(text or "").strip() for text in plain.cast(pa.string()).to_pylist()]
        return list(map(TypedText, texts)) if pa.types.is_temporal(plain.type) else texts
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeError):
        return None


def number_text(value: float | None) -> str:
    """The text of a floating-point number: whole numbers up to 2^53 without a point; NaN and null are missing."""
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) <= MAX_INTEGER else FloatText(repr(value))


def _decimal_text(value: Decimal | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value == value.to_integral_value() else TypedText(format(value, "f"))


def _xlsx(path: Path, file: File) -> Table:
    from python_calamine import CalamineError, load_workbook

    try:
        with load_workbook(path) as book:
            if file.sheet is not None and file.sheet not in book.sheet_names:
                raise InvalidFile(f"{file.file} has no sheet {file.sheet!r}; {hint(file.sheet, book.sheet_names)}")
            sheet = file.sheet or book.sheet_names[0]
            others = () if file.sheet else tuple(book.sheet_names[1:])
            found = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise InvalidFile(f"{file.file} is no workbook that can be read ({error}); save it as .xlsx again") from None
    lines = [tuple(map(_cell_text, line)) for line in found[file.skip_lines :]]
    filled = [line for line in lines if any(line)]
    header = filled[0] if filled else ()
    notes = (f"{file.file}: read the sheet {sheet!r}, not {', '.join(map(repr, others))}",) if others else ()
    return Table(file.file, header, list(enumerate(filled[1:], 1)), notes=notes)


def _cell_text(value: Any) -> str:
    """The text of a cell as a CSV file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, dt.datetime):
        return TypedText(value.date() if value.time() == dt.time.min else value)
    if isinstance(value, dt.date):
        return TypedText(value)
    return str(value).strip()
