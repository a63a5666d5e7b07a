"""A copy of a SQLite store while it is in use."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine


class Unsaved(ValueError):
    """There is no backup; the message says why and what mends it."""


def backup(engine: Engine, path: Path) -> None:
    """Writes one state of the store, beside any writer, to a new file that is itself a store; whole or not at all.

    Raises:
        Unsaved: the store is no SQLite file, or the file exists already.
        OSError: the file cannot be written.
    """
    if engine.dialect.name != "sqlite":
        raise Unsaved("the store is a PostgreSQL database: back it up with pg_dump --format=custom")
    if path.exists():
        raise Unsaved(f"{path} exists already: name a new file")
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    # Made here, for SQLite would let everybody read it, and not name a folder that is missing.
    unfinished.touch(0o600, exist_ok=False)
    try:
        _copy(engine, unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(engine: Engine, path: Path) -> None:
    # Past SQLAlchemy, whose transactions VACUUM may not be in.
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM INTO ?", (str(path),)).close()
    with path.open("rb") as written:
        os.fsync(written.fileno())
