"""A store for each test, on SQLite; with the mark `both_databases` once on PostgreSQL too."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from features.catalogue import CATALOGUE
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.policy import load
from models.probability import BaseRate
from serving.champion.watcher import ModelWatcher
from serving.http.token_bucket import RateLimit
from serving.service import Service
from serving.store.database import connect, create

# An example may wait for the disk, or for another test's processor.
settings.register_profile("serving", deadline=None)
settings.load_profile("serving")

POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
Fresh = Callable[[str], AbstractContextManager[str]]


def asked(
    app: Any, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """An application's answer; what is not bytes yet is sent as JSON."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://eql.test") as client:
            return await client.request(method, path, content=content, headers=headers)

    return anyio.run(ask)


def service_on(store: Engine, clock: Callable[[], int], rate_limit: RateLimit | None = None) -> Service:
    """A service on a store, under the policy that comes along."""
    champion = ModelWatcher(store, CATALOGUE, POLICY, clock)
    return Service(engine=store, champion=champion, clock=clock, tokens=secrets.token_bytes, rate_limit=rate_limit)


def saying(log_odds: float) -> Bundle:
    """A model that says the same of every lead."""
    feature = EncodedFeature("employees", "number")
    return Bundle(
        name="test",
        encoding=Encoding((feature,)),
        model=BaseRate(1, log_odds),
        calibration=Calibration(1.0, 0.0),
        horizon_days=90,
        base_rate=0.1,
        grades=(0.3, 0.2, 0.1),
        attributes=(),
        features_sha256=CATALOGUE.values_sha256([feature.name]),
        golden=(({"employees": 400}, log_odds),),
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_databases")
        metafunc.parametrize("database", ["sqlite", "postgresql"] if both else ["sqlite"])


@pytest.fixture(scope="session")
def fresh(postgres_url: str) -> Iterator[Fresh]:
    """Makes a database of the PostgreSQL server, from a template, for as long as a block runs, and gives its URL."""
    numbers = count(1)
    server = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def execute(statement: str) -> None:
        with server.connect() as connection:
            connection.execute(text(statement))

    @contextmanager
    def made(template: str) -> Iterator[str]:
        name = f"store_{next(numbers)}"
        execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        execute(f"DROP DATABASE {name} WITH (FORCE)")

    yield made
    server.dispose()


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the store's tables, which takes far longer to make than to copy."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite"
    with opened(f"sqlite:///{path}") as engine:
        create(engine)
    return path


@pytest.fixture(scope="session")
def template(fresh: Fresh) -> Iterator[str]:
    """The name of a PostgreSQL database with the store's tables."""
    with fresh("template0") as url:
        with opened(url) as engine:
            create(engine)
        yield str(make_url(url).database)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def empty_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store may be made."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
    else:
        with request.getfixturevalue("fresh")("template0") as url:
            yield url


@pytest.fixture
def store_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a new store is."""
    if database == "sqlite":
        shutil.copy(request.getfixturevalue("template_file"), tmp_path / "store.sqlite")
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
    else:
        with request.getfixturevalue("fresh")(request.getfixturevalue("template")) as url:
            yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Engine]:
    with opened(store_url) as engine:
        yield engine
