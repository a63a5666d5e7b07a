"""New stores for the trials, on either database. Their commits are on the disk when they return."""

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
    """Creates a store for the time of the block; yields its URL."""
    with tempfile.TemporaryDirectory(prefix="eql-evidence-") as name:
        if kind == "sqlite":
            yield f"sqlite:///{Path(name, 'store.sqlite')}"
        else:
            with private_server(durable=True) as url:
                yield url


@contextmanager
def open_store(url: str) -> Iterator[Engine]:
    """Opens a store and creates its tables; yields its engine."""
    engine = database.connect(url)
    try:
        database.create(engine)
        yield engine
    finally:
        engine.dispose()
