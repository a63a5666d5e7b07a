"""Files of a record folder as DuckDB relations: checked against the contract, every version knowing its successor.

A Parquet file is read in place: nothing is copied, an evaluation reads the columns it needs. A CSV file, whose text
must be understood first, becomes a table. Few records have several versions, so `superseded_at` is computed for these
alone and joined by the row's position.
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
from features.engines.file_checks import Broken, UnreadableRecords, checked, demands, refuse, text_demands
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
_IDS_AT_ONCE = 150_000_000
"""Rows whose ids are looked through for repetitions in one pass; a pass takes some 16 bytes a row."""


@dataclass(frozen=True)
class _Rows:
    """The rows of one kind's file, as the contract has them and in the file's order.

    Attributes:
        path: the file, for messages.
        kind: what they are.
        columns: what they hold.
        select: the query that yields the columns and `position`, the row's number in the file from 0 on.
        unproven: the bounds that are yet to be checked.
    """

    path: Path
    kind: Kind
    columns: Sequence[Column]
    select: str
    unproven: Sequence[Bound]


def define(
    connection: duckdb.DuckDBPyConnection, folder: Path, kind: Kind, attributes: Iterable[Attribute], *, in_place: bool
) -> None:
    """Define the relation of a kind: `Kind.columns`, attributes, `superseded_at`; without rows where there is no file.

    Args:
        connection: where to.
        folder: the record folder.
        kind: what to define.
        attributes: the extra columns of leads.
        in_place: define a view where the file is Parquet; otherwise a table, whose `rowid` is the order of the file.

    Raises:
        UnreadableRecords, FolderError: the file has other columns or values than the contract says.
    """
    columns = layout.columns_of(kind, attributes)
    path = layout.file_of(folder, kind)
    _check_case(path or folder, columns)
    if path is None:
        listed = ", ".join(f"{quoted(column.name)} {_TYPES[column.type]}" for column in columns)
        connection.execute(f'CREATE TABLE {quoted(kind.name)} ({listed}, "superseded_at" BIGINT)')
        return
    is_csv = path.suffix == ".csv"
    try:
        rows = _csv(connection, path, kind, columns) if is_csv else _parquet(path, kind, columns)
        _check(connection, rows)
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
            fault = f"columns {other} and {column.name} differ by case alone, which DuckDB cannot tell apart"
            raise UnreadableRecords(f"{path}: {fault}; rename one of the attributes")


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _parquet(path: Path, kind: Kind, columns: Sequence[Column]) -> _Rows:
    unproven = checked(path, kind, columns)
    listed = ", ".join(f"{_from_parquet(column)} AS {quoted(column.name)}" for column in columns)
    relation = f"read_parquet({_pattern(path)}, file_row_number = true)"
    return _Rows(path, kind, columns, f"SELECT {listed}, file_row_number AS position FROM {relation}", unproven)


def _pattern(path: Path) -> str:
    """The file as a literal in which nothing stands for other files."""
    return _literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path)))


def _from_parquet(column: Column) -> str:
    name = quoted(column.name)
    return f"epoch_us({name}::TIMESTAMPTZ)" if column.type in ("instant", "date") else f"{name}::{_TYPES[column.type]}"


def _csv(connection: duckdb.DuckDBPyConnection, path: Path, kind: Kind, columns: Sequence[Column]) -> _Rows:
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    layout.check_names(path, header, columns)
    texts = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in header)
    read = f"read_csv({_pattern(path)}, columns = {{{texts}}}, {_RFC_4180})"
    connection.execute(f"CREATE OR REPLACE TABLE {_staged(kind)} AS FROM {read}")
    _check_texts(connection, path, _staged(kind), columns)
    listed = ", ".join(f"{_from_text(column)} AS {quoted(column.name)}" for column in columns)
    select = f"SELECT {listed}, rowid AS position FROM {_staged(kind)}"
    return _Rows(path, kind, columns, select, tuple(demands(kind, columns)))


_RFC_4180 = """header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', nullstr = '',
allow_quoted_nulls = false, max_line_size = 16777216"""


def _from_text(column: Column) -> str:
    return _FROM_TEXT[column.type].format(quoted(column.name))


def _staged(kind: Kind) -> str:
    return quoted(f"text of {kind.name}")


def _check_texts(connection: duckdb.DuckDBPyConnection, path: Path, table: str, columns: Sequence[Column]) -> None:
    """Whether every text says a value of its column's type."""
    broken = [(column, demand, _unread(column, pattern)) for column, demand, pattern in text_demands(columns)]
    _refuse(connection, path, f"SELECT *, rowid AS position FROM {table}", broken)


def _unread(column: Column, pattern: str) -> str:
    name = quoted(column.name)
    return f"{name} IS NOT NULL AND (NOT {_matches(name, pattern)} OR {_from_text(column)} IS NULL)"


def _matches(name: str, pattern: str) -> str:
    return f"regexp_full_match({name}, {_literal(pattern)})"


def _check(connection: duckdb.DuckDBPyConnection, rows: _Rows) -> None:
    broken = [(bound.column, bound.demand, _broken(bound)) for bound in rows.unproven]
    _refuse(connection, rows.path, rows.select, broken)


def _broken(bound: Bound) -> str:
    """The condition on a row that breaks the bound; null where the column is, unless it must be given."""
    name = quoted(bound.column.name)
    if bound.given:
        return f"{name} IS NULL"
    if bound.values:
        return f"{name} NOT IN ({', '.join(map(_literal, bound.values))})"
    if bound.pattern is not None:
        return f"NOT {_matches(name, bound.pattern)}"
    if bound.longest is not None:
        # Bytes are counted faster than characters, and are never fewer.
        long = f"(strlen({name}) > {bound.longest} AND length({name}) > {bound.longest})"
        return f"({long} OR {name} = '')" if bound.shortest else long
    outside = f"{name} NOT BETWEEN {bound.least} AND {bound.most}"
    # DuckDB skips row groups by statistics, which leave out NaN.
    return f"({outside} OR isnan({name}))" if bound.column.type == "real" else outside


def _refuse(connection: duckdb.DuckDBPyConnection, path: Path, select: str, broken: Sequence[Broken]) -> None:
    """One pass counts the rows that break each demand and finds the first."""
    if not broken:
        return
    counts = (f"count(*) FILTER ({condition})" for *_, condition in broken)
    firsts = (f"min(position) FILTER ({condition})" for *_, condition in broken)
    found = connection.execute(f"SELECT {', '.join((*counts, *firsts))} FROM ({select})").fetchall()[0]
    refuse(path, broken, found[: len(broken)], found[len(broken) :])


def _scalar(connection: duckdb.DuckDBPyConnection, text: str) -> int:
    found: int = connection.execute(text).fetchall()[0][0]
    return found


def _relate(connection: duckdb.DuckDBPyConnection, rows: _Rows, *, in_place: bool) -> None:
    listed = ", ".join(f"r.{quoted(column.name)}" for column in rows.columns)
    superseded = _superseded(connection, rows)
    joined = f"LEFT JOIN {superseded} AS v ON v.position = r.position" if superseded else ""
    moment = "v.superseded_at" if superseded else "NULL::BIGINT"
    select = f"SELECT {listed}, {moment} AS superseded_at FROM ({rows.select}) AS r {joined}"
    if in_place:
        connection.execute(f"CREATE VIEW {quoted(rows.kind.name)} AS {select}")
    else:
        connection.execute(f"CREATE TABLE {quoted(rows.kind.name)} AS {select} ORDER BY r.position")


def _superseded(connection: duckdb.DuckDBPyConnection, rows: _Rows) -> str | None:
    """The table of versions that a later one replaced, by position, and the moment; None where there are none.

    Ids are compared by hash; different ids of one hash are told apart afterwards.
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
    """The keys that several rows have, in passes that share the keys out; sorting them is quicker than grouping."""
    passes = -(-_scalar(connection, f"SELECT count(*) FROM ({rows.select})") // _IDS_AT_ONCE)
    found = [np.empty(0, np.uint64)]
    for number in range(passes):
        share = f"WHERE {key} % {passes} = {number}" if passes > 1 else ""
        keys = connection.sql(f"SELECT {key} AS key FROM ({rows.select}) {share}").fetchnumpy()["key"]
        _sort(keys)
        found.append(np.unique(keys[1:][keys[1:] == keys[:-1]]))
    return np.concatenate(found)


def _sort(keys: NDArray[np.uint64]) -> None:
    """Each half on a core of its own, then merged: a stable sort knows sorted stretches, and numpy frees the lock."""
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
