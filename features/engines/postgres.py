"""The PostgreSQL engine: the features of many snapshots from a folder of records, computed by a server.

DuckDB reads and checks the folder. The server gets the rows as temporary tables of one session. When the session ends,
even by a crash, the server drops them.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import adbc_driver_manager
import pyarrow as pa
import sqlglot
from adbc_driver_postgresql import dbapi
from sqlglot import exp

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import POSITION, DuckDBEngine
from features.engines.engine import NEEDED, EngineError, earliest, known_leads, numbered, open_leads, plain, shaped
from features.engines.sql_compiler import fill_template, template
from features.records import DERIVED, Kind

_SESSION = {
    "search_path": "pg_temp",
    "timezone": "UTC",
    "jit": "off",
    "work_mem": "256MB",
    "temp_buffers": "256MB",
    "client_min_messages": "error",
}
"""To compile (JIT) so long a query costs more than it saves. The query and its tables need more memory than usual."""

_POSITION = "position"
"""The column of `lead_events` that holds the position of a row in its file."""

_DIALECT = "postgres"
_TYPES = {pa.int64(): "bigint", pa.float64(): "double precision", pa.bool_(): "boolean"}
_TEXT = 'text COLLATE "C"'
"""Texts are compared by their bytes, as in every engine."""

_MAX_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer identifiers off."""

_FIXES = {
    "42501": "grant the role TEMPORARY on the database",
    "53100": "free space on the server's disk",
    "53200": "give the server more memory",
}
_DEFAULT_FIX = "see the server's log, or choose another engine"


class PostgresEngine:
    """Records of a folder as temporary tables of one session of a server; a context manager.

    Args:
        folder: the record folder (see features.folder).
        horizon_days: the horizon of the derived records, which are made from the folder's leads.
        url: the URL of the database, such as `postgresql://user@host/name`; the user may create temporary tables.

    Raises:
        EngineError: the server cannot be reached, or refuses the session.
        UnreadableRecords, FolderError, OutOfSpace: see `DuckDBEngine`, which reads the folder.
    """

    def __init__(self, folder: Path, horizon_days: int, url: str) -> None:
        with ExitStack() as undo:
            self._connection = undo.enter_context(_connected(url))
            for name, value in _SESSION.items():
                self._run(f"SET {name} = '{value}'")
            with DuckDBEngine(folder, horizon_days) as records:
                self.provenance = records.provenance
                for kind in (*NEEDED, *DERIVED):
                    self._create(kind.name, records.stream(_rows(kind)))
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def evaluate(self, catalogue: Catalogue, snapshots: pa.Table, *, fields: bool = False) -> pa.Table:
        """One row for each of `snapshots` (lead_id, as_of in microseconds) with the columns of `sql_compiler.query`.

        Raises:
            EngineError: the server refuses the query.
        """
        self._create("snapshots", numbered(snapshots).to_reader())
        text = fill_template(_statement(catalogue, fields), _DIALECT, earliest(snapshots))
        try:
            result = self._query(text)
        finally:
            self._run('DROP TABLE "snapshots"')
        return shaped(result, catalogue, self.provenance, fields=fields)

    def open_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of the leads open then: created, neither won nor lost (see `features.outcomes`)."""
        return self._query(open_leads(as_of, _DIALECT, _POSITION))

    def known_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of all leads known then, open or closed."""
        return self._query(known_leads(as_of))

    def _create(self, name: str, rows: pa.RecordBatchReader) -> None:
        schema = pa.schema([field.with_name(_short(field.name)) for field in rows.schema])
        columns = ", ".join(f"{_quoted(field.name)} {_TYPES.get(field.type, _TEXT)}" for field in schema)
        named = pa.RecordBatchReader.from_batches(schema, (batch.rename_columns(schema.names) for batch in rows))
        self._run(f"CREATE TEMPORARY TABLE {_quoted(name)} ({columns})")
        with _own_errors(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, named, mode="append", temporary=True)
        self._run(f"ANALYZE {_quoted(name)}")

    def _run(self, text: str) -> None:
        with _own_errors(), self._connection.cursor() as cursor:
            cursor.execute(text)

    def _query(self, text: str) -> pa.Table:
        with _own_errors(), self._connection.cursor() as cursor:
            cursor.execute(text)
            return plain(cursor.fetch_arrow_table())


def _rows(kind: Kind) -> str:
    """SQL for DuckDB: the rows of a kind; of `lead_events` with their position, which breaks ties of outcomes."""
    position = f", {POSITION} AS {_POSITION}" if kind.name == "lead_events" else ""
    return f'SELECT *{position} FROM "{kind.name}"'


_CHARACTER = r"(?:[\w.~!$&'()*+,;=-]|%(?!00)[0-9A-Fa-f]{2})"
_URL = re.compile(
    rf"postgres(ql)?://({_CHARACTER}*(:{_CHARACTER}*)?@)?"
    rf"({_CHARACTER}|\[[\dA-Fa-f:.]+\]|:\d+(?=[,/?]|\Z))*(/{_CHARACTER}*)?(\?({_CHARACTER}|[:/])*)?",
    re.ASCII,
)
"""Strict, so that the driver never mistakes a part of the password for a host and then names it in an error."""

_TIMEOUT = "connect_timeout"


def _connected(url: str) -> dbapi.Connection:
    """Opens a session of the server.

    Raises:
        EngineError: the URL is malformed, or the server refuses the session.
    """
    if not _URL.fullmatch(url):
        form = "postgresql://user:password@host:5432/database"
        raise EngineError(
            f"EQL_POSTGRES_URL must be written {form}; write other characters of user and password as %XX"
        )
    timeout = "" if _TIMEOUT in url else f"{'&' if '?' in url else '?'}{_TIMEOUT}=10"
    try:
        return dbapi.connect(url + timeout, autocommit=True)
    except adbc_driver_manager.Error as error:
        reason = " ".join(str(error).partition("Failed to connect: ")[2].split())
        fix = "check EQL_POSTGRES_URL and that the server runs, or choose another engine"
        raise EngineError(f"no session of the PostgreSQL server: {reason}; {fix}") from None


@contextmanager
def _own_errors() -> Iterator[None]:
    """Turns the server's errors into `EngineError`."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        message = re.search(r"ERROR: +(.*)", str(error))
        reason = message.group(1) if message else str(error).splitlines()[0]
        raise EngineError(f"PostgreSQL refused: {reason}; {_FIXES.get(error.sqlstate or '', _DEFAULT_FIX)}") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=4)
def _statement(catalogue: Catalogue, fields: bool) -> str:
    """The template with identifiers as short as those of the tables' columns."""
    tree = sqlglot.parse_one(template(catalogue, _DIALECT, fields), dialect=_DIALECT)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", _short(identifier.name))
    return tree.sql(dialect=_DIALECT, identify=True)


def _short(name: str) -> str:
    """A name, or its hash where the name is too long for PostgreSQL."""
    return (
        name
        if len(name.encode()) <= _MAX_IDENTIFIER_BYTES
        else hashlib.sha256(name.encode()).hexdigest()[:_MAX_IDENTIFIER_BYTES]
    )
