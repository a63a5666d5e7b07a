"""Files of a record folder as DuckDB relations, checked against the contract and with `superseded_at`.

A Parquet file is read in place: nothing is copied, and an evaluation reads only the columns that it needs. A CSV file
must be parsed first and becomes a table. Few records have several versions, so `superseded_at` is computed for these
alone and joined by the position of the row.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import folder as layout
from features.bounds import Bound
from features.engines.engine import changed_by_folding, foldings
from features.engines.file_checks import Count, UnreadableRecords, bounds_of, check_bounds, check_texts, open_bounds
from features.folding import Folding, folded_column
from features.provenance import Attribute
from features.records import Column, ColumnType, Kind

_TYPES: Mapping[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "flag": "BOOLEAN",
    "instant": "BIGINT",
    "date": "BIGINT",
}
_FROM_TEXT: Mapping[ColumnType, str] = {
    "text": "{}",
    "integer": "try_cast({} AS BIGINT)",
    "real": "try_cast({} AS DOUBLE)",
    "flag": "try_cast({} AS BOOLEAN)",
    "instant": "epoch_us(try_cast(upper({}) AS TIMESTAMPTZ))",
    "date": "epoch_us(try_cast({} || 'T00:00:00Z' AS TIMESTAMPTZ))",
}
_MAX_IDS_PER_PASS = 150_000_000
"""The rows whose ids are searched for repetitions in one pass; a pass takes some 16 bytes for each row."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of one kind's file, in the columns of the contract and in the order of the file.

    Attributes:
        path: the file, for messages.
        kind: the kind of record.
        columns: the columns.
        select: the query that yields the columns and `position`, the number of the row in the file from 0 on.
        unproven: the bounds that are yet to be checked.
        foldings: the columns of free text, each with the function that folds it.
    """

    path: Path
    kind: Kind
    columns: Sequence[Column]
    select: str
    unproven: Sequence[Bound]
    foldings: Mapping[str, Folding]


def define(
    connection: duckdb.DuckDBPyConnection, folder: Path, kind: Kind, attributes: Iterable[Attribute], *, in_place: bool
) -> None:
    """Defines the relation of a kind: `Kind.columns`, attributes, folded texts, `superseded_at`; empty without a file.

    Args:
        connection: the DuckDB connection that gets the relation.
        folder: the record folder.
        kind: the kind.
        attributes: the extra columns of leads.
        in_place: whether a Parquet file becomes a view. Otherwise it becomes a table whose `rowid` follows the file.

    Raises:
        UnreadableRecords, FolderError: the file has columns or values that the contract excludes.
    """
    columns, folded = layout.columns_of(kind, attributes), foldings(kind, attributes)
    path = layout.file_of(folder, kind)
    _check_case(path or folder, columns)
    if path is None:
        listed = [f"{quoted(column.name)} {_TYPES[column.type]}" for column in columns]
        listed += [f"{quoted(folded_column(name))} VARCHAR" for name in folded]
        connection.execute(f'CREATE TABLE {quoted(kind.name)} ({", ".join(listed)}, "superseded_at" BIGINT)')
        return
    is_csv = path.suffix == ".csv"
    try:
        rows = _csv(connection, path, kind, columns, folded) if is_csv else _parquet(path, kind, columns, folded)
        check_bounds(rows.path, rows.unproven, _DIALECT, _counting(connection, rows.select))
        _relate(connection, rows, in_place=in_place and not is_csv)
    except (duckdb.DataError, duckdb.InvalidInputException, pa.ArrowException, UnicodeDecodeError) as error:
        raise UnreadableRecords(f"{path} cannot be read: {str(error).splitlines()[0]}; write the file again") from None
    if is_csv:
        connection.execute(f"DROP TABLE {_staged(kind)}")


def _check_case(path: Path, columns: Sequence[Column]) -> None:
    named: dict[str, str] = {}
    for column in columns:
        other = named.setdefault(column.name.lower(), column.name)
        if other != column.name:
            error = f"columns {other} and {column.name} differ by case alone, which DuckDB cannot distinguish"
            raise UnreadableRecords(f"{path}: {error}; rename one of the attributes")


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _parquet(path: Path, kind: Kind, columns: Sequence[Column], folded: Mapping[str, Folding]) -> _Rows:
    unproven = open_bounds(path, kind, columns)
    listed = ", ".join(f"{_from_parquet(column)} AS {quoted(column.name)}" for column in columns)
    relation = f"read_parquet({_pattern(path)}, file_row_number = true)"
    return _Rows(
        path=path,
        kind=kind,
        columns=columns,
        select=f"SELECT {listed}, file_row_number AS position FROM {relation}",
        unproven=unproven,
        foldings=folded,
    )


def _pattern(path: Path) -> str:
    """The path as a literal of DuckDB's glob patterns, with every wildcard escaped."""
    return _literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path)))


def _from_parquet(column: Column) -> str:
    name = quoted(column.name)
    return f"epoch_us({name}::TIMESTAMPTZ)" if column.type in ("instant", "date") else f"{name}::{_TYPES[column.type]}"


def _csv(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    kind: Kind,
    columns: Sequence[Column],
    folded: Mapping[str, Folding],
) -> _Rows:
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    layout.check_names(path, header, columns)
    texts = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in header)
    read = f"read_csv({_pattern(path)}, columns = {{{texts}}}, {_RFC_4180})"
    connection.execute(f"CREATE OR REPLACE TABLE {_staged(kind)} AS FROM {read}")
    texts_of_rows = f"SELECT *, rowid AS position FROM {_staged(kind)}"
    check_texts(path, columns, _DIALECT, _counting(connection, texts_of_rows))
    listed = ", ".join(f"{_DIALECT.parsed(column)} AS {quoted(column.name)}" for column in columns)
    select = f"SELECT {listed}, rowid AS position FROM {_staged(kind)}"
    unproven = tuple(bounds_of(kind, columns))
    return _Rows(path=path, kind=kind, columns=columns, select=select, unproven=unproven, foldings=folded)


_RFC_4180 = """header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', nullstr = '',
allow_quoted_nulls = false, max_line_size = 16777216"""


def _staged(kind: Kind) -> str:
    return quoted(f"text of {kind.name}")


class _DuckDB:
    """The parts of a check's condition in DuckDB's SQL (see `file_checks.Dialect`)."""

    def quoted(self, name: str) -> str:
        return quoted(name)

    def literal(self, text: str) -> str:
        return _literal(text)

    def matches(self, name: str, pattern: str) -> str:
        return f"regexp_full_match({name}, {_literal(pattern)})"

    def parsed(self, column: Column) -> str:
        return _FROM_TEXT[column.type].format(quoted(column.name))

    def wrong_length(self, name: str, bound: Bound) -> str:
        # Bytes are counted faster than characters, and are never fewer.
        long = f"(strlen({name}) > {bound.max_length} AND length({name}) > {bound.max_length})"
        return f"({long} OR {name} = '')" if bound.min_length else long

    def outside(self, name: str, bound: Bound) -> str:
        outside = f"{name} NOT BETWEEN {bound.minimum} AND {bound.maximum}"
        # DuckDB skips row groups by statistics, which leave out NaN.
        return f"({outside} OR isnan({name}))" if bound.column.type == "real" else outside


_DIALECT = _DuckDB()


def _counting(connection: duckdb.DuckDBPyConnection, select: str) -> Count:
    def count(conditions: Sequence[str]) -> tuple[Sequence[int], Sequence[int | None]]:
        counts = (f"count(*) FILTER ({condition})" for condition in conditions)
        firsts = (f"min(position) FILTER ({condition})" for condition in conditions)
        result = connection.execute(f"SELECT {', '.join((*counts, *firsts))} FROM ({select})").fetchall()[0]
        return result[: len(conditions)], result[len(conditions) :]

    return count


def _scalar(connection: duckdb.DuckDBPyConnection, text: str) -> int:
    result: int = connection.execute(text).fetchall()[0][0]
    return result


def _relate(connection: duckdb.DuckDBPyConnection, rows: _Rows, *, in_place: bool) -> None:
    folded = [_folded(connection, rows, *each) for each in enumerate(rows.foldings.items())]
    listed = ", ".join([*(f"r.{quoted(column.name)}" for column in rows.columns), *(text for text, _ in folded)])
    superseded = _superseded(connection, rows)
    joined = f"LEFT JOIN {superseded} AS v ON v.position = r.position" if superseded else ""
    joined += "".join(join for _, join in folded)
    moment = "v.superseded_at" if superseded else "NULL::BIGINT"
    select = f"SELECT {listed}, {moment} AS superseded_at FROM ({rows.select}) AS r {joined}"
    if in_place:
        connection.execute(f"CREATE VIEW {quoted(rows.kind.name)} AS {select}")
    else:
        connection.execute(f"CREATE TABLE {quoted(rows.kind.name)} AS {select} ORDER BY r.position")


def _folded(
    connection: duckdb.DuckDBPyConnection, rows: _Rows, number: int, column: tuple[str, Folding]
) -> tuple[str, str]:
    """The folded column of a column of free text, and the join that it needs; none where all texts are folded."""
    (name, folding), alias = column, f"f{number}"
    sent, named = f"r.{quoted(name)}", quoted(folded_column(name))
    texts = connection.execute(f"SELECT DISTINCT {quoted(name)} FROM ({rows.select})").fetchall()
    changed = changed_by_folding((text for (text,) in texts), folding)
    if not changed:
        return f"{sent} AS {named}", ""
    table = quoted(f"folded {name} of {rows.kind.name}")
    columns = {"sent": pa.array(changed.keys(), pa.string()), "folded": pa.array(changed.values(), pa.string())}
    connection.register("changed", pa.table(columns))
    connection.execute(f'CREATE TABLE {table} AS FROM "changed"')
    connection.unregister("changed")
    value = f"CASE WHEN {alias}.sent IS NULL THEN {sent} ELSE {alias}.folded END AS {named}"
    return value, f" LEFT JOIN {table} AS {alias} ON {alias}.sent = {sent}"


def _superseded(connection: duckdb.DuckDBPyConnection, rows: _Rows) -> str | None:
    """The name of a table with the position and `superseded_at` of each superseded version; None where there is none.

    Repeated ids are found by their hashes. Different ids with one hash are separated afterwards, by the partition.
    """
    key = f"hash({quoted(rows.kind.id)})"
    repeated = _repeated(connection, rows, key)
    if not len(repeated):
        return None
    table = quoted(f"superseded {rows.kind.name}")
    connection.register("repeated", pa.table({"key": repeated}))
    connection.execute(_SUPERSEDED.format(table=table, id=quoted(rows.kind.id), select=rows.select, key=key))
    connection.unregister("repeated")
    return table


def _repeated(connection: duckdb.DuckDBPyConnection, rows: _Rows, key: str) -> NDArray[np.uint64]:
    """The hashes that several rows have. Each pass takes a share of the hashes; sorting is faster than grouping."""
    passes = -(-_scalar(connection, f"SELECT count(*) FROM ({rows.select})") // _MAX_IDS_PER_PASS)
    repeated = [np.empty(0, np.uint64)]
    for number in range(passes):
        share = f"WHERE {key} % {passes} = {number}" if passes > 1 else ""
        keys = connection.sql(f"SELECT {key} AS key FROM ({rows.select}) {share}").fetchnumpy()["key"]
        _sort(keys)
        repeated.append(np.unique(keys[1:][keys[1:] == keys[:-1]]))
    return np.concatenate(repeated)


def _sort(keys: NDArray[np.uint64]) -> None:
    """Sorts on two cores: a thread for each half, as numpy releases the lock; then a stable sort merges the halves."""
    half = len(keys) // 2
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(np.ndarray.sort, (keys[:half], keys[half:])))
    keys.sort(kind="stable")


_SUPERSEDED = """
CREATE TABLE {table} AS SELECT position, superseded_at FROM (
    SELECT position, lead(coalesce(recorded_at, 0)) OVER (
        PARTITION BY {id} ORDER BY coalesce(recorded_at, -1), position) AS superseded_at
    FROM ({select}) WHERE {key} IN (SELECT key FROM "repeated")
) WHERE superseded_at IS NOT NULL
"""
