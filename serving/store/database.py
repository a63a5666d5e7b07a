"""Opening the store: the one place that knows which database it is.

SQLite's driver starts transactions late and SQLAlchemy leaves that so, which silently loses a read-then-update of two
threads. Here every transaction starts with BEGIN IMMEDIATE, which takes the write lock first, unless it is opened by
`reading`. The hooks follow "Using SQLAlchemy to emit BEGIN" in SQLAlchemy's documentation of its SQLite dialect.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError

from serving.store.tables import ingest_counter, metadata, schema_version

SCHEMA_VERSION = 3
"""Of the tables this software writes; grows with every change to them."""

_BUSY_MILLISECONDS = 5_000
_POOL: Mapping[str, Any] = {"pool_size": 20, "max_overflow": 20, "pool_timeout": 2.0}
_READ_ONLY = "read_only"
_TO_JSON = partial(json.dumps, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class UnusableStore(ValueError):
    """The database at the URL cannot serve as the store; the message says why and what mends it."""


def connect(url: str) -> Engine:
    """The engine of the store at `url`, for example `sqlite:////srv/eql/store.sqlite`; the folder must exist.

    `engine.begin()` is a write transaction: it holds the write lock from its start, so what it reads stays true until
    it commits, and a commit is on the disk when it returns. For reading alone see `reading`.

    Raises:
        UnusableStore: the URL is no SQLite file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UnusableStore("the store's URL must look like sqlite:////folder/store.sqlite") from None
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        shown = parsed.render_as_string(hide_password=True)
        raise UnusableStore(f"the store must be a SQLite file such as sqlite:////folder/store.sqlite, not {shown}")
    # An error of the database must not carry personal data into a log, hence hide_parameters.
    engine = create_engine(parsed, json_serializer=_TO_JSON, hide_parameters=True, **_POOL)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection whose reads all see one state of the store, beside any writer; the database refuses it writes."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


def create(engine: Engine) -> None:
    """Creates every table the store lacks, all or none.

    Raises:
        UnusableStore: the file is no database, or was written by another version of this software.
    """
    try:
        with engine.begin() as connection:
            if not inspect(connection).has_table(schema_version.name):
                metadata.create_all(connection)
                connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
                connection.execute(ingest_counter.insert().values(last=0))
            _check(connection)
    except DatabaseError as error:
        raise UnusableStore(f"the store {engine.url.database} cannot be opened: {error.orig}") from None


def _check(connection: Connection) -> None:
    found = connection.execute(select(schema_version.c.version)).scalar_one()
    if found != SCHEMA_VERSION:
        mend = "upgrade eql" if found > SCHEMA_VERSION else "import the records anew into another EQL_HOME"
        raise UnusableStore(f"the store has schema version {found}, this software knows {SCHEMA_VERSION}: {mend}")


def _configure(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions of its own; `_begin` does.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {_BUSY_MILLISECONDS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    # A deferred transaction that turned to writing could find its snapshot stale, so it may not.
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
