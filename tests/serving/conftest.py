"""A store for each test, once on each database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from serving.store.database import connect, create

# An example may wait for the disk, or for another test's processor.
settings.register_profile("serving", deadline=None)
settings.load_profile("serving")

NewDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Iterator[NewDatabase]:
    """Makes a database of the PostgreSQL server, from a template, and gives its URL."""
    numbers = count(1)
    server = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def make(template: str) -> str:
        name = f"store_{next(numbers)}"
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
        return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)

    yield make
    server.dispose()


@pytest.fixture(scope="session")
def template(new_database: NewDatabase) -> str:
    """The name of a database with the store's tables, which takes far longer to make than to copy."""
    url = new_database("template0")
    with opened(url) as engine:
        create(engine)
    return str(make_url(url).database)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    return str(request.getfixturevalue("new_database")("template0"))


@pytest.fixture
def store(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if database == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    else:
        url = request.getfixturevalue("new_database")(request.getfixturevalue("template"))
    with opened(url) as engine:
        create(engine)
        yield engine
