"""The opening of the store: the one module that knows which database it is.

`engine.begin()` is a write transaction. `reading(engine)` is a transaction that sees a single state of the store and
cannot write. A commit is on the disk when it returns.

On SQLite one transaction writes at a time: every write transaction takes the write lock at its start. By default the
driver starts transactions late, and an update of a value that two threads read would be lost silently. The hook
`_begin_sqlite` prevents this; see "Using SQLAlchemy to emit BEGIN" in SQLAlchemy's documentation of its SQLite dialect.

On PostgreSQL writers run concurrently (READ COMMITTED). So the rows that a write depends on are locked, or a constraint
protects them. The same statements do no harm on SQLite:

* records, derived records and provenance: `versions.lock_records` locks the row of the ingest counter before the first
  read, so ingest numbers appear in the order of commits;
* whether a lead is known already, and its aliases: read and written under `versions.lock_records`;
* answers to requests with an Idempotency-Key: INSERT ... ON CONFLICT DO NOTHING first in the transaction, so that a
  repeated request waits for it;
* decisions: only added, under a primary key. Decisions on facts in requests share a transaction (see
  `serving.store.group_commit`). Each seal follows a head that only one seal can follow;
* current scores: INSERT ... ON CONFLICT DO UPDATE in the order of leads, so that no two writers wait for each
  other;
* exposures, bundles, policies, the challenger's scores, leads' addresses: INSERT ... ON CONFLICT DO NOTHING;
* events to be delivered: SELECT ... FOR UPDATE SKIP LOCKED, then the UPDATE that claims them;
* schedules, events of a promotion, keys and sign-in links: a conditional UPDATE, and whether it changed a row;
* the quality report: one row, INSERT ... ON CONFLICT DO UPDATE;
* the tables themselves: an advisory lock during an upgrade.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from serving.store import migrating
from serving.store.errors import UnusableStore, safe_url, unopened

__all__ = ["UnusableStore", "connect", "create", "damage", "describe", "inserting", "reading"]

_EXAMPLES = "sqlite:////folder/store.sqlite or postgresql://user:password@host:5432/database"
_BUSY_MILLISECONDS = 5_000
_MIGRATION_MILLISECONDS = 600_000
_STATEMENT_MILLISECONDS = 60_000
_MIGRATION_LOCK = 0x45514C
"""The key of the advisory lock: EQL in ASCII."""
_TO_JSON = partial(json.dumps, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
# An error of the database must not carry personal data into a log, hence hide_parameters.
_ENGINE: Mapping[str, Any] = {"json_serializer": _TO_JSON, "hide_parameters": True, "pool_timeout": 2.0}
_SQLITE: Mapping[str, Any] = {"pool_size": 20, "max_overflow": 20}
# A server has some hundred connections for all processes, and may be restarted while the pool holds connections.
_POSTGRESQL: Mapping[str, Any] = {"pool_size": 5, "max_overflow": 15, "pool_pre_ping": True, "pool_recycle": 3600}
_LIBPQ: Mapping[str, Any] = {
    "application_name": "eql",
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_READING: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_READERS = "readers"


def connect(url: str) -> Engine:
    """The engine of the store at `url`: `sqlite:////srv/eql/store.sqlite`, whose folder must exist, or `postgresql://`.

    The engine connects later; see `create`.

    Raises:
        UnusableStore: the URL names neither a SQLite file nor a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or ""):
            raise ValueError
    except (ArgumentError, ValueError):
        # The URL is not shown: with a character that is not written as %XX, the password may be in any part of it.
        raise UnusableStore(
            f"the store's URL cannot be read; it must look like {_EXAMPLES}, with %XX for other characters than "
            "letters, digits and -._~ in user and password"
        ) from None
    match parsed.drivername, parsed.database:
        case ("sqlite" | "sqlite+pysqlite", str(path)) if path not in ("", ":memory:"):
            return _sqlite(parsed)
        case ("postgresql" | "postgres" | "postgresql+psycopg", str(name)) if name:
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    given = parsed.set(query={}).render_as_string(hide_password=True)
    raise UnusableStore(f"the store's URL must look like {_EXAMPLES}, not {given}")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection whose reads all see one state of the store while writers go on; the database refuses its writes."""
    readers: Engine | None = engine.get_execution_options().get(_READERS)
    if readers is None:
        with engine.connect().execution_options(**_READING) as connection:
            yield connection
    else:
        with readers.connect() as connection:
            # By the driver and not by SQLAlchemy: this statement waits for nothing and cannot fail.
            _driver(connection).execute("BEGIN").close()
            yield connection


def create(engine: Engine, scripts: Path = migrating.SCRIPTS, wanted: str = migrating.REVISION) -> None:
    """Creates or upgrades the store's tables, all or nothing. Of several processes, one does it and the others wait.

    Args:
        engine: the store's.
        scripts: the folder of the migrations.
        wanted: the newest revision of these migrations.

    Raises:
        UnusableStore: the store cannot be opened, is no database, or was written by another version of this software.
    """
    _keep_private(engine.url)
    try:
        with reading(engine) as connection:
            found = migrating.revision(connection)
        if found != wanted:
            with engine.connect() as connection:
                _detach(connection)
                with connection.begin():
                    _prepare(connection)
                    migrating.upgrade(connection, scripts)
    except DBAPIError as error:
        raise unopened(engine.url, error) from None


def describe(connection: Connection) -> str:
    """The store's URL without password, the database with its version, and the revision of the tables."""
    version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.dialect.name]
    return f"{safe_url(connection.engine.url)} ({kind} {version}, revision {migrating.revision(connection)})"


def _keep_private(url: URL) -> None:
    """Lets only its owner read the file of a SQLite store, which holds personal data. SQLite's own files follow it."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    file = Path(url.database)
    # A file that cannot be opened or changed is an error of the store, which says so below.
    with suppress(OSError):
        file.touch(0o600)
        for each in file.parent.glob(f"{file.name}*"):
            if each.stat().st_mode & 0o077:
                each.chmod(0o600)


def damage(connection: Connection) -> str | None:
    """What SQLite's quick check finds first; None for a sound file, and for a server, which checks its own."""
    if connection.dialect.name != "sqlite":
        return None
    found: str = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    return None if found == "ok" else " ".join(found.split())


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of the connection's dialect, which has the methods `on_conflict_...`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _sqlite(url: URL) -> Engine:
    # Readers have connections of their own: SQLite compiles every statement again where a connection switches between
    # reading and writing.
    readers = create_engine(url, **_ENGINE, **_SQLITE)
    event.listen(readers, "connect", _configure_reader)
    engine = create_engine(url, execution_options={_READERS: readers}, **_ENGINE, **_SQLITE)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "engine_disposed", lambda _: readers.dispose())
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions of its own; `_begin_sqlite` and `reading` do.
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {_BUSY_MILLISECONDS}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.execute("PRAGMA foreign_keys = ON").close()


def _configure_reader(connection: Any, record: Any) -> None:
    _configure_sqlite(connection, record)
    # A deferred transaction that began to write could find its snapshot stale, so readers cannot write.
    connection.execute("PRAGMA query_only = ON").close()


def _begin_sqlite(connection: Connection) -> None:
    # By SQLAlchemy and not by the driver, so that it raises SQLAlchemy's error where the wait for the lock is too long.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _detach(connection: Connection) -> None:
    """Gives SQLite's migration a connection of its own, because the two pragmas must not outlive the migration.

    Without foreign keys, rebuilding a table does not delete the rows that refer to it. The wait for the migration of
    another process has a limit that only a process that hangs can reach.
    """
    if connection.dialect.name == "sqlite":
        connection.detach()
        # The pragma of foreign keys works outside transactions only.
        _driver(connection).execute("PRAGMA foreign_keys = OFF").close()
        _driver(connection).execute(f"PRAGMA busy_timeout = {_MIGRATION_MILLISECONDS}").close()


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _postgresql(url: URL) -> Engine:
    engine = create_engine(url, connect_args=dict(_LIBPQ), **_ENGINE, **_POSTGRESQL)
    event.listen(engine, "connect", _configure_postgresql)
    event.listen(engine, "handle_error", _without_values)
    return engine


def _configure_postgresql(connection: Any, _record: Any) -> None:
    # A server may be set to answer before a commit is on the disk. A decision that was answered must be on the disk.
    connection.execute(
        f"SET statement_timeout = {_STATEMENT_MILLISECONDS}; SET lock_timeout = {_BUSY_MILLISECONDS};"
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _without_values(context: ExceptionContext) -> None:
    """Removes the refused row, which PostgreSQL's details quote, from an error."""
    error: Any = context.original_exception
    state, diagnosis = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    if state is None or diagnosis is None:
        return
    # Errors of class 22 are about data: their messages quote values, too.
    text = type(error).__name__ if state.startswith("22") else str(diagnosis.message_primary)
    error.args = (text,)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (text,)


def _prepare(connection: Connection) -> None:
    """Waits for other migrations of a PostgreSQL database; on SQLite the write lock has done this."""
    if connection.dialect.name != "postgresql":
        return
    for setting in ("statement_timeout", "lock_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {setting} = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise UnusableStore(
            f"the database {connection.engine.url.database} has the encoding {encoding}, and the store needs UTF8: "
            "create one WITH ENCODING 'UTF8' TEMPLATE template0, and name it in EQL_DATABASE_URL"
        )
