"""The log of erasures, which names no person; and the removal of deleted rows from a SQLite file."""

import logging
from typing import Any

from sqlalchemy import Connection, Engine, insert, update

from serving.privacy.tables import erasures as table

_LOG = logging.getLogger(__name__)


def begin(connection: Connection, at: int, actor: str, reason: str) -> int:
    """Logs the start of an erasure with its actor and reason; returns its id. The reason must not name the person."""
    started = insert(table).values(at=at, actor=actor, reason=reason).returning(table.c.id)
    erasure_id: int = connection.execute(started).scalar_one()
    return erasure_id


def finish(connection: Connection, erasure_id: int, *, leads: int, rows: int, at: int) -> None:
    """Logs the end of an erasure and the numbers of erased leads and rows."""
    values = {"leads": leads, "rows": rows, "finished_at": at}
    connection.execute(update(table).where(table.c.id == erasure_id).values(values))


def overwrite(connection: Connection) -> None:
    """Makes SQLite overwrite with zeros the rows that this connection deletes from now on."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON").close()


def checkpoint(engine: Engine) -> bool:
    """Empties the write-ahead log of a SQLite store; returns whether it is empty.

    The log stays while another connection reads an earlier state of the store.
    """
    return _run_and_checkpoint(engine, ())


def rewrite(engine: Engine) -> bool:
    """Rewrites the file of a SQLite store without deleted rows, and empties its write-ahead log.

    Other writers wait meanwhile. PostgreSQL removes deleted rows by itself over time.

    Returns:
        Whether no deleted row remains; False where another connection reads an earlier state of the store.
    """
    return _run_and_checkpoint(engine, ("VACUUM",))


def _run_and_checkpoint(engine: Engine, statements: tuple[str, ...]) -> bool:
    if engine.dialect.name != "sqlite":
        return True
    # These statements must run outside a transaction, so the driver runs them and not SQLAlchemy.
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        for statement in statements:
            driver.execute(statement).close()
        # The checkpoint waits for readers, as long as a write waits for a lock.
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        _LOG.warning(
            "the store's write-ahead log could not be emptied: a connection reads an earlier state of the store"
        )
    return not busy
