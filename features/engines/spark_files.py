"""Files of a record folder as Spark rows, checked against the contract as every engine checks them.

The bounds that Parquet footers do not prove are checked by the executors, in one pass for each kind.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from features import folder as layout
from features.bounds import Bound
from features.engines.engine import changed_by_folding, foldings
from features.engines.file_checks import Count, bounds_of, check_bounds, check_texts, open_bounds
from features.folding import Folding, folded_column
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
"""The text that Spark reads for `""`, which it would read as null; no text of the contract holds this character."""

_GLOB = re.compile(r"([][{}*?\\])")


def checked_rows(session: "SparkSession", folder: Path, kind: Kind, attributes: Iterable[Attribute]) -> "DataFrame":
    """The rows of a kind: `Kind.columns`, attributes, folded texts, `position` in the file; none without a file.

    Args:
        session: a session that reads nanoseconds as integers and distinguishes column names by case.
        folder: the record folder.
        kind: the kind.
        attributes: the extra columns of leads.

    Raises:
        UnreadableRecords, FolderError: the file has columns or values that the contract excludes.
    """
    columns, folded = layout.columns_of(kind, attributes), foldings(kind, attributes)
    path = layout.file_of(folder, kind)
    if path is None:
        listed = [f"{_quoted(column.name)} {_TYPES[column.type]}" for column in columns]
        listed += [f"{_quoted(folded_column(name))} STRING" for name in folded]
        return session.createDataFrame([], f"{', '.join(listed)}, position BIGINT")
    if path.suffix == ".csv":
        return _folded(session, _csv(session, path, kind, columns), folded)
    rows = _parquet(session, path, columns)
    check_bounds(path, open_bounds(path, kind, columns), _DIALECT, _counting(rows))
    return _folded(session, rows, folded)


def _folded(session: "SparkSession", rows: "DataFrame", by_column: Mapping[str, Folding]) -> "DataFrame":
    """The rows with a folded column for each column of free text; the distinct texts pass through this process."""
    if not by_column:
        return rows
    distinct = rows.selectExpr(*(f"collect_set({_quoted(name)})" for name in by_column)).collect()[0]
    columns, joins = ["r.*"], ""
    tables: dict[str, Any] = {"rows": rows}
    for (name, folding), texts in zip(by_column.items(), distinct, strict=True):
        sent, folded = _in_query(name), _in_query(folded_column(name))
        changed = list(changed_by_folding(texts, folding).items())
        if changed:
            table = f"f{len(tables)}"
            tables[table] = session.createDataFrame(changed, "sent STRING, folded STRING")
            columns.append(f"CASE WHEN {table}.sent IS NULL THEN r.{sent} ELSE {table}.folded END AS {folded}")
            joins += f" LEFT JOIN {{{table}}} AS {table} ON {table}.sent = r.{sent}"
        else:
            columns.append(f"r.{sent} AS {folded}")
    return session.sql(f"SELECT {', '.join(columns)} FROM {{rows}} AS r{joins}", **tables)


def _in_query(name: str) -> str:
    """A quoted name for `session.sql`, where braces stand for a table."""
    return _quoted(name).replace("{", "{{").replace("}", "}}")


def _parquet(session: "SparkSession", path: Path, columns: Sequence[Column]) -> "DataFrame":
    rows = session.read.parquet(_address(path))
    types = dict(rows.dtypes)
    listed = (f"{_from_parquet(column, types[column.name])} AS {_quoted(column.name)}" for column in columns)
    return rows.selectExpr(*listed, "_metadata.row_index AS position")


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
    # Values may span lines, so one executor reads the whole file. The increasing ids then follow the order of its rows.
    read = session.read.schema(StructType([StructField(name, StringType()) for name in header]))
    whole = read.option("mode", "FAILFAST").option("maxCharsPerColumn", -1).option("emptyValue", _EMPTY)
    texts = whole.csv(_address(path), header=True, multiLine=True, escape='"')
    numbered = texts.selectExpr("*", "monotonically_increasing_id() AS position")
    check_texts(path, columns, _DIALECT, _counting(numbered))
    listed = (f"{_DIALECT.parsed(column)} AS {_quoted(column.name)}" for column in columns)
    rows = numbered.selectExpr(*listed, "position")
    check_bounds(path, bounds_of(kind, columns), _DIALECT, _counting(rows))
    return rows


class _Spark:
    """The parts of a check's condition in Spark's SQL (see `file_checks.Dialect`)."""

    def quoted(self, name: str) -> str:
        return _quoted(name)

    def literal(self, text: str) -> str:
        return _literal(text)

    def matches(self, name: str, pattern: str) -> str:
        whole = _literal(rf"\A({pattern})\z")
        return f"{name} RLIKE {whole}"

    def parsed(self, column: Column) -> str:
        return _FROM_TEXT[column.type].format(_quoted(column.name))

    def wrong_length(self, name: str, bound: Bound) -> str:
        return f"length({name}) NOT BETWEEN {bound.min_length} AND {bound.max_length}"

    def outside(self, name: str, bound: Bound) -> str:
        # To Spark NaN is larger than every number.
        return f"{name} NOT BETWEEN {_number(bound.minimum)} AND {_number(bound.maximum)}"


_DIALECT = _Spark()


def _counting(rows: "DataFrame") -> Count:
    def count(conditions: Sequence[str]) -> tuple[Sequence[int], Sequence[int | None]]:
        counts = (f"count_if({condition}) AS c{number}" for number, condition in enumerate(conditions))
        firsts = (f"min(CASE WHEN {condition} THEN position END) AS p{n}" for n, condition in enumerate(conditions))
        result = rows.selectExpr(*counts, *firsts).collect()[0]
        return result[: len(conditions)], result[len(conditions) :]

    return count


def _address(path: Path) -> str:
    """The file's address for Spark: without wildcards, and with a scheme, as another file system may be the default."""
    return "file:" + _GLOB.sub(r"\\\1", str(path.resolve()))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="spark")


def _number(bound: float | None) -> str:
    return f"{bound!r}D" if isinstance(bound, float) else str(bound)
