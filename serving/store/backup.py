"""A copy of a SQLite store while it is in use."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine


class Unsaved(ValueError):
    """A backup cannot be made; the message names the reason and the fix."""


def backup(engine: Engine, path: Path) -> None:
    """Copies one state of the store to a new file, itself a store, while writers go on. No partial file stays.

    Raises:
        Unsaved: the store is not a SQLite file, is damaged, or the new file exists already or finds no room.
        OSError: the file cannot be written.
    """
    if engine.dialect.name != "sqlite":
        raise Unsaved("the store is a PostgreSQL database: back it up with pg_dump --format=custom")
    if path.exists():
        raise Unsaved(f"{path} exists already: name a new file")
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # A folder of its own, so that SQLite's journal goes with it, and no other user reads the file meanwhile.
    unfinished.mkdir(0o700)
    try:
        _copy(engine, unfinished / path.name)
        (unfinished / path.name).rename(path)
    except sqlite3.Error as error:
        raise Unsaved(f"{path} cannot be written: {error}; make room on its disk, or name another") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _copy(engine: Engine, path: Path) -> None:
    # Created here, because SQLite would let every user read the file.
    path.touch(0o600, exist_ok=False)
    # VACUUM must run outside a transaction, so the driver runs it and not SQLAlchemy.
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM INTO ?", (str(path),)).close()
    with path.open("rb") as written:
        os.fsync(written.fileno())
