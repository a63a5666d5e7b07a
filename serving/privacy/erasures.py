"""The log of erasures, which tells of nobody; and clearing the remains of deleted rows from a SQLite file."""

import logging
from typing import Any

from sqlalchemy import Connection, Engine, insert, update

from serving.privacy.tables import erasures as table

_LOG = logging.getLogger(__name__)


def begin(connection: Connection, at: int, actor: str, reason: str) -> int:
    """Notes that an erasure began, by whom and why, which must not name whose; returns its id."""
    begun = insert(table).values(at=at, actor=actor, reason=reason).returning(table.c.id)
    erasure_id: int = connection.execute(begun).scalar_one()
    return erasure_id


def finish(connection: Connection, erasure_id: int, *, leads: int, rows: int, at: int) -> None:
    """Notes how much an erasure came to, and that it is complete."""
    values = {"leads": leads, "rows": rows, "finished_at": at}
    connection.execute(update(table).where(table.c.id == erasure_id).values(values))


def overwrite(connection: Connection) -> None:
    """Has SQLite put zeros in the place of what this connection deletes from now on."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON").close()


def checkpoint(engine: Engine) -> bool:
    """Empties the file beside a SQLite store that holds its latest changes; whether it is empty.

    It is not while somebody still reads an earlier state of the store.
    """
    return _past_transactions(engine, ())


def rewrite(engine: Engine) -> bool:
    """Writes a SQLite store's file anew without what was ever deleted in it, and empties the file beside it.

    Nobody else writes meanwhile. PostgreSQL does the like by itself in the course of time.

    Returns:
        Whether nothing remains; False where somebody still reads an earlier state of the store.
    """
    return _past_transactions(engine, ("VACUUM",))


def _past_transactions(engine: Engine, statements: tuple[str, ...]) -> bool:
    if engine.dialect.name != "sqlite":
        return True
    # Past SQLAlchemy, whose transactions none of this may be in.
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        for statement in statements:
            driver.execute(statement).close()
        # It waits for readers as any write waits for a lock.
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        _LOG.warning("the store's write-ahead log could not be emptied: somebody reads an earlier state of the store")
    return not busy
