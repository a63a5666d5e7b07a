"""Where evidence is gathered: a new store on either database, whose commits are on the disk when they return."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from features.engines.postgres_server import private_server
from serving.store import database

DATABASES = ("sqlite", "postgresql")


@contextmanager
def new_store(kind: str) -> Iterator[str]:
    """The URL of a new store, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="eql-evidence-") as name:
        if kind == "sqlite":
            yield f"sqlite:///{Path(name, 'store.sqlite')}"
        else:
            with private_server(durable=True) as url:
                yield url


@contextmanager
def open_store(url: str) -> Iterator[Engine]:
    """The engine of a store, whose tables are there."""
    engine = database.connect(url)
    try:
        database.create(engine)
        yield engine
    finally:
        engine.dispose()
