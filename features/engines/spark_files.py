"""Files of a record folder as Spark rows: checked against the contract as every engine checks them.

What the footers cannot prove is counted where the executors run, in one pass a kind.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlglot import exp

from features import folder as layout
from features.bounds import Bound
from features.engines.file_checks import Broken, checked, demands, refuse, text_demands
from features.provenance import Attribute
from features.records import Column, ColumnType, Kind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TYPES: Mapping[ColumnType, str] = {
    "text": "STRING",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "flag": "BOOLEAN",
    "instant": "BIGINT",
    "date": "BIGINT",
}
_FROM_TEXT: Mapping[ColumnType, str] = {
    "text": "replace({}, '\\0', '')",
    "integer": "try_cast({} AS BIGINT)",
    "real": "try_cast({} AS DOUBLE)",
    "flag": "try_cast({} AS BOOLEAN)",
    "instant": "unix_micros(try_cast(upper({}) AS TIMESTAMP))",
    "date": "unix_micros(try_cast(concat({}, 'T00:00:00Z') AS TIMESTAMP))",
}
_EMPTY = "\0"
"""What Spark is to give for `""`, which it would take for null; no text of the contract holds it."""

_GLOB = re.compile(r"([][{}*?\\])")


def checked_rows(session: "SparkSession", folder: Path, kind: Kind, attributes: Iterable[Attribute]) -> "DataFrame":
    """A kind's rows: `Kind.columns`, attributes, and `position`, the place in the file; none where there is no file.

    Args:
        session: reads nanoseconds as integers and column names by case.
        folder: the record folder.
        kind: what to read.
        attributes: the extra columns of leads.

    Raises:
        UnreadableRecords, FolderError: the file has other columns or values than the contract says.
    """
    columns = layout.columns_of(kind, attributes)
    path = layout.file_of(folder, kind)
    if path is None:
        listed = ", ".join(f"{_quoted(column.name)} {_TYPES[column.type]}" for column in columns)
        return session.createDataFrame([], f"{listed}, position BIGINT")
    if path.suffix == ".csv":
        return _csv(session, path, kind, columns)
    rows = _parquet(session, path, columns)
    _check(path, rows, checked(path, kind, columns))
    return rows


def _parquet(session: "SparkSession", path: Path, columns: Sequence[Column]) -> "DataFrame":
    found = session.read.parquet(_address(path))
    types = dict(found.dtypes)
    listed = (f"{_from_parquet(column, types[column.name])} AS {_quoted(column.name)}" for column in columns)
    return found.selectExpr(*listed, "_metadata.row_index AS position")


def _from_parquet(column: Column, type: str) -> str:
    name = _quoted(column.name)
    if column.type not in ("instant", "date"):
        return f"CAST({name} AS {_TYPES[column.type]})"
    if type == "timestamp":
        return f"unix_micros({name})"
    return f"{name} div 1000" if type == "bigint" else "CAST(NULL AS BIGINT)"


def _csv(session: "SparkSession", path: Path, kind: Kind, columns: Sequence[Column]) -> "DataFrame":
    from pyspark.sql.types import StringType, StructField, StructType

    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    layout.check_names(path, header, columns)
    # A file whose values may span lines is read as a whole by one executor, so that the numbers follow its rows.
    read = session.read.schema(StructType([StructField(name, StringType()) for name in header]))
    whole = read.option("mode", "FAILFAST").option("maxCharsPerColumn", -1).option("emptyValue", _EMPTY)
    texts = whole.csv(_address(path), header=True, multiLine=True, escape='"')
    numbered = texts.selectExpr("*", "monotonically_increasing_id() AS position")
    _check_texts(path, numbered, columns)
    listed = (f"{_from_text(column)} AS {_quoted(column.name)}" for column in columns)
    rows = numbered.selectExpr(*listed, "position")
    _check(path, rows, list(demands(kind, columns)))
    return rows


def _from_text(column: Column) -> str:
    return _FROM_TEXT[column.type].format(_quoted(column.name))


def _check_texts(path: Path, rows: "DataFrame", columns: Sequence[Column]) -> None:
    """Whether every text says a value of its column's type."""
    broken = [(column, demand, _unread(column, pattern)) for column, demand, pattern in text_demands(columns)]
    _refuse(path, rows, broken)


def _unread(column: Column, pattern: str) -> str:
    name = _quoted(column.name)
    return f"{name} IS NOT NULL AND (NOT {_matches(name, pattern)} OR {_from_text(column)} IS NULL)"


def _check(path: Path, rows: "DataFrame", bounds: Sequence[Bound]) -> None:
    _refuse(path, rows, [(bound.column, bound.demand, _broken(bound)) for bound in bounds])


def _broken(bound: Bound) -> str:
    """The condition on a row that breaks the bound; null where the column is, unless it must be given."""
    name = _quoted(bound.column.name)
    if bound.given:
        return f"{name} IS NULL"
    if bound.values:
        return f"{name} NOT IN ({', '.join(map(_literal, bound.values))})"
    if bound.pattern is not None:
        return f"NOT {_matches(name, bound.pattern)}"
    if bound.longest is not None:
        return f"length({name}) NOT BETWEEN {bound.shortest} AND {bound.longest}"
    return f"{name} NOT BETWEEN {_number(bound.least)} AND {_number(bound.most)}"


def _refuse(path: Path, rows: "DataFrame", broken: Sequence[Broken]) -> None:
    """One pass counts the rows that break each demand and finds the first."""
    if not broken:
        return
    counts = (f"count_if({condition}) AS c{number}" for number, (*_, condition) in enumerate(broken))
    firsts = (f"min(CASE WHEN {condition} THEN position END) AS p{n}" for n, (*_, condition) in enumerate(broken))
    found = rows.selectExpr(*counts, *firsts).collect()[0]
    refuse(path, broken, found[: len(broken)], found[len(broken) :])


def _address(path: Path) -> str:
    """The file for Spark, to which some characters would be wildcards, and a path without a scheme another system's."""
    return "file:" + _GLOB.sub(r"\\\1", str(path.resolve()))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="spark")


def _matches(name: str, pattern: str) -> str:
    whole = _literal(rf"\A({pattern})\z")
    return f"{name} RLIKE {whole}"


def _number(bound: float | None) -> str:
    return f"{bound!r}D" if isinstance(bound, float) else str(bound)
