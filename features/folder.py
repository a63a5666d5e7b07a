"""Record folders: `<kind>.parquet` or `<kind>.csv` for each kind, and `provenance.json` beside them.

A kind without a file has no records. The columns are `Kind.columns` in order; for leads `attributes.<name>` follows for
each attribute that the provenance declares. Parquet holds instants and dates as timestamps in microseconds (UTC). CSV
(RFC 4180, UTF-8) holds instants as RFC 3339 text, dates as YYYY-MM-DD, flags as true and false, and an empty cell for
null.
"""

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from features.provenance import ATTRIBUTE_PREFIX, Attribute, Provenance
from features.records import DERIVED, DETAILS, KINDS, Column, ColumnType, InvalidRecord, Kind, Problem, Row, Stored
from features.rows import stored
from features.value_types import Scalar, iso_date, parse_date, parse_instant, rfc3339

Format: TypeAlias = Literal["parquet", "csv"]

PROVENANCE = "provenance.json"
BATCH = 20_000
"""The rows of one kind that are held in memory, and the rows of a Parquet row group."""

_INSTANT = pa.timestamp("us", tz="UTC")
ARROW: Mapping[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "real": pa.float64(),
    "flag": pa.bool_(),
    "instant": _INSTANT,
    "date": _INSTANT,
}
"""The Arrow type of a Parquet column, by the column's type."""

_PYTHON: Mapping[ColumnType, frozenset[type]] = {
    "text": frozenset({str, type(None)}),
    "integer": frozenset({int, type(None)}),
    "real": frozenset({float, int, type(None)}),
    "flag": frozenset({bool, type(None)}),
    "instant": frozenset({int, type(None)}),
    "date": frozenset({int, type(None)}),
}
WIDER: Mapping[ColumnType, Callable[[pa.DataType], bool]] = {
    "text": lambda type: pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_dictionary(type),
    "integer": pa.types.is_integer,
    "real": lambda type: pa.types.is_floating(type) or pa.types.is_integer(type),
    "flag": pa.types.is_boolean,
    "instant": lambda type: pa.types.is_timestamp(type) and type.tz is not None,
    "date": lambda type: pa.types.is_timestamp(type) and type.tz is not None,
}
"""Whether a column may have an Arrow type that another tool wrote: another width, never another meaning."""


class FolderError(ValueError):
    """A folder cannot be written, or its records cannot be read; the message names the file, the error and the fix."""


def schema(kind: Kind, attributes: Iterable[Attribute] = ()) -> pa.Schema:
    """The Arrow schema of a kind's Parquet file; only leads have `attributes`."""
    return pa.schema([(column.name, ARROW[column.type]) for column in columns_of(kind, attributes)])


def columns_of(kind: Kind, attributes: Iterable[Attribute]) -> tuple[Column, ...]:
    """The columns of a kind's file: `Kind.columns`, then for leads those of the attributes."""
    extra = (
        Column(f"{ATTRIBUTE_PREFIX}{attribute.name}", "real" if attribute.kind == "number" else "text")
        for attribute in attributes
        if kind.name == "leads"
    )
    return (*kind.columns, *extra)


class FolderWriter:
    """Writes a new folder of records in batches; a context manager.

    `provenance.json` is written last, so a folder without it is incomplete. After an error all written files are
    removed.

    Args:
        folder: the folder, which is absent or empty.
        provenance: the provenance of all records, with the attributes of leads.
        format: the format of every file.

    Raises:
        FolderError: the folder holds something already, or a row does not fit its kind's columns.
    """

    def __init__(self, folder: Path, provenance: Provenance, format: Format = "parquet") -> None:
        self._folder = folder
        self._provenance = provenance
        self._format = format
        self._parts: dict[str, _Part] = {}

    def __enter__(self) -> "FolderWriter":
        _claim(self._folder)
        return self

    def write(self, kind: Kind, rows: Iterable[Mapping[str, Scalar]]) -> None:
        """Appends rows of a kind; a column that a row lacks is null. A kind may be written in several calls."""
        if kind.name not in self._parts:
            path = self._folder / f"{kind.name}.{self._format}"
            self._parts[kind.name] = _Part(path, columns_of(kind, self._provenance.attributes))
        part = self._parts[kind.name]
        for row in rows:
            part.add(row)

    def __exit__(
        self, error: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(self._discard)
            if error is None:
                for part in self._parts.values():
                    part.close()
                (self._folder / PROVENANCE).write_text(self._provenance.to_json(), encoding="utf-8")
                undo.pop_all()

    def _discard(self) -> None:
        for part in self._parts.values():
            part.discard()


def _claim(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; choose a folder that does not exist yet")
    if (folder / PROVENANCE).exists():
        raise FolderError(f"{folder} already holds records; choose another folder, or delete this one first")
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(f"{folder} is not empty; choose a folder that is empty or does not exist yet")
    folder.mkdir(parents=True, exist_ok=True)


class _Part:
    """The file of one kind while it is written."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self._path = path
        self._columns = columns
        self._names = frozenset(column.name for column in columns)
        self._pending: list[Mapping[str, Scalar]] = []
        csv = path.suffix == ".csv"
        types = {**ARROW, **_CSV} if csv else ARROW
        self._array = _text_array if csv else _array
        self._schema = pa.schema([(column.name, types[column.type]) for column in columns])
        self._sink = pc.CSVWriter(path, self._schema) if csv else pq.ParquetWriter(path, self._schema)

    def add(self, row: Mapping[str, Scalar]) -> None:
        if not row.keys() <= self._names:
            unknown = ", ".join(sorted(row.keys() - self._names))
            raise FolderError(f"{self._path.name} has no column {unknown}; leave it out or declare it as an attribute")
        self._pending.append(row)
        if len(self._pending) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        rows, self._pending = self._pending, []
        arrays = [
            self._array(self._path.name, column, [row.get(column.name) for row in rows]) for column in self._columns
        ]
        self._sink.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        if self._pending:
            self._flush()
        self._sink.close()

    def discard(self) -> None:
        self._sink.close()
        self._path.unlink(missing_ok=True)


_CSV: Mapping[ColumnType, pa.DataType] = {"instant": pa.string(), "date": pa.string()}
_TEXT: Mapping[ColumnType, Callable[[int], str]] = {"instant": rfc3339, "date": iso_date}


def _array(file: str, column: Column, values: Sequence[Scalar]) -> pa.Array:
    if {*map(type, values)} <= _PYTHON[column.type]:
        try:
            return pa.array(values, ARROW[column.type])
        except (OverflowError, UnicodeEncodeError):
            pass
    raise FolderError(f"{file}: column {column.name} takes {column.type} values, not {_misfit(column, values)!r}")


def _misfit(column: Column, values: Sequence[Scalar]) -> Scalar:
    """The first of some values that does not fit the column."""
    for value in values:
        try:
            pa.array([value], ARROW[column.type])
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            return value
    return next(value for value in values if type(value) not in _PYTHON[column.type])


def _text_array(file: str, column: Column, values: Sequence[Scalar]) -> pa.Array:
    array = _array(file, column, values)
    if column.type not in _TEXT:
        return array
    try:
        return pa.array([_shown(column, value) for value in values], pa.string())
    except OverflowError:
        raise FolderError(f"{file}: column {column.name} takes moments of the years 1 to 9999") from None


def read_provenance(folder: Path) -> Provenance:
    """The provenance of the records in a folder.

    Raises:
        FolderError: `provenance.json` is missing or unreadable, so the folder is incomplete; or a file is not named
            like a kind of record, so that it would never be read.
    """
    path = folder / PROVENANCE
    try:
        known = Provenance.from_json(path.read_text(encoding="utf-8"))
    except OSError:
        fix = "name a folder that `eql simulate` or an export finished writing"
        raise FolderError(f"{folder} is no folder of records: it has no readable {PROVENANCE}; {fix}") from None
    except ValueError as error:
        raise FolderError(f"{path}: {error}; write the folder again") from None
    _check_files(folder)
    return known


def _check_files(folder: Path) -> None:
    kinds = {*KINDS, *(kind.name for kind in DERIVED)}
    files = sorted(path for path in folder.iterdir() if path.suffix.removeprefix(".") in typing.get_args(Format))
    for path in files:
        if path.stem not in kinds:
            raise FolderError(f"{path} is of no kind of record; move it, or name it one of {', '.join(sorted(kinds))}")


def read(folder: Path, kind: Kind) -> Iterator[Stored]:
    """The validated records of a kind in the order of its file, one batch in memory; none where there is no file.

    Every row must equal the flat row of its record, so that the engines, which read the file in place, see the same
    values. Only the columns of `features.records.DETAILS` may differ, because an export may leave out their fields. A
    null attribute is absent.

    Raises:
        FolderError: a row breaks the contract; the error names the file, the row (the first below a header is 1), the
            column and the constraint.
    """
    columns = columns_of(kind, read_provenance(folder).attributes)
    path = file_of(folder, kind)
    for number, row in enumerate(() if path is None else _file_rows(path, columns), 1):
        try:
            yield _checked(kind, row)
        except InvalidRecord as error:
            raise FolderError(f"{path}, row {number}: {error}; correct or remove the row") from None


def file_of(folder: Path, kind: Kind) -> Path | None:
    """The file of a kind; None where it has none.

    Raises:
        FolderError: the kind has two files.
    """
    paths = [path for path in (folder / f"{kind.name}.{suffix}" for suffix in typing.get_args(Format)) if path.exists()]
    if len(paths) > 1:
        raise FolderError(f"{folder} holds both {' and '.join(path.name for path in paths)}; remove one of them")
    return paths[0] if paths else None


def _file_rows(path: Path, columns: tuple[Column, ...]) -> Iterator[Row]:
    try:
        yield from _csv_rows(path, columns) if path.suffix == ".csv" else _parquet_rows(path, columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FolderError(f"{path} cannot be read: {error}; write the file again") from None


def _parquet_rows(path: Path, columns: tuple[Column, ...]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        check_schema(path, file.schema_arrow, columns)
        for batch in file.iter_batches(BATCH):
            yield from _rows(columns, [_python(batch.column(column.name), column) for column in columns])


def _python(array: pa.Array, column: Column) -> list[Scalar]:
    array = array.cast(ARROW[column.type])
    values: list[Scalar] = (array.cast(pa.int64()) if column.type in _TEXT else array).to_pylist()
    return values


def _csv_rows(path: Path, columns: tuple[Column, ...]) -> Iterator[Row]:
    convert = pc.ConvertOptions(
        column_types={column.name: pa.string() for column in columns},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    reading = pc.ReadOptions(use_threads=False, block_size=8 * 2**20)
    parsing = pc.ParseOptions(newlines_in_values=True)
    with pc.open_csv(path, reading, parsing, convert) as file:
        check_names(path, file.schema.names, columns)
        first = 1
        for batch in file:
            texts = ((column, batch.column(column.name).to_pylist()) for column in columns)
            yield from _rows(columns, [_parsed(path, first, column, values) for column, values in texts])
            first += batch.num_rows


def _rows(columns: tuple[Column, ...], values: Sequence[Sequence[Scalar]]) -> Iterator[Row]:
    names = [column.name for column in columns]
    return (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))


def _parsed(path: Path, first: int, column: Column, texts: Sequence[str | None]) -> list[Scalar]:
    parser = _PARSERS[column.type]
    values: list[Scalar] = []
    for text in texts:
        try:
            values.append(None if text is None else parser(text))
        except ValueError as error:
            where = f"{path}, row {first + len(values)}: {column.name}"
            raise FolderError(f"{where} {error}, not {text!r}; correct or remove the row") from None
    return values


def check_names(path: Path, present: Sequence[str], columns: Sequence[Column]) -> None:
    """Checks that a file has exactly these columns, each once, in any order.

    Raises:
        FolderError: a column is missing, unknown or repeated; the error names it.
    """
    wanted = [column.name for column in columns]
    for error, names in (
        ("lacks the column", [name for name in wanted if name not in present]),
        ("has the unknown column", [name for name in present if name not in wanted]),
        ("has twice the column", [name for name in wanted if present.count(name) > 1]),
    ):
        if names:
            raise FolderError(f"{path} {error} {', '.join(names)}; its columns must be {', '.join(wanted)}")


def check_schema(path: Path, present: pa.Schema, columns: Sequence[Column]) -> None:
    """Checks that a Parquet file has these columns, each of its type in any width (see `WIDER`).

    Raises:
        FolderError: a column has another type; the error names the column, the required type and the found type.
    """
    check_names(path, present.names, columns)
    for column in columns:
        type = present.field(column.name).type
        if not (WIDER[column.type](type) or pa.types.is_null(type)):
            wanted = ARROW[column.type]
            raise FolderError(
                f"{path}: column {column.name} must be {wanted}, not {type}; write the column with that type"
            )


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("must be an integer in digits")
    return int(text)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


_PARSERS: Mapping[ColumnType, Callable[[str], Scalar]] = {
    "text": str,
    "integer": _integer,
    "real": _real,
    "flag": _flag,
    "instant": parse_instant,
    "date": parse_date,
}


def _checked(kind: Kind, row: Row) -> Stored:
    record = stored(kind, row)
    expected = record.row()
    for column in kind.columns:
        value = expected[column.name]
        if row[column.name] != value and column.name not in DETAILS:
            constraint = f"must be {_shown(column, value)} for what the row's other columns say"
            raise InvalidRecord(kind.name, (Problem(column.name, constraint, _shown(column, row[column.name])),))
    return record


def _shown(column: Column, value: Scalar) -> Scalar:
    return _TEXT[column.type](value) if column.type in _TEXT and isinstance(value, int) else value
