"""The PostgreSQL engine as a guest: what it asks of a server and leaves there, what it says of one out of reach."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

from features.catalogue import CATALOGUE
from features.engines.engine import EngineError
from features.engines.postgres import PostgresEngine
from features.engines.postgres_server import private_server

SNAPSHOTS = pa.table({"lead_id": ["L"], "as_of": pa.array([10], pa.int64())})


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    """The last statement's rows; each is committed."""
    with closing(dbapi.connect(url, autocommit=True)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows: list[tuple[object, ...]] = cursor.fetchall()
        return rows


@pytest.fixture
def guest(postgres_url: str) -> Iterator[str]:
    """A URL with a password, of a user who may do nothing in the database yet."""
    run(postgres_url, "REVOKE ALL ON DATABASE postgres FROM public", "CREATE ROLE guest LOGIN PASSWORD 's3cret'")
    run(postgres_url, "GRANT CONNECT ON DATABASE postgres TO guest")
    yield postgres_url.replace("//eql@", "//guest:s3cret@")
    run(postgres_url, "DROP OWNED BY guest", "DROP ROLE guest", "GRANT ALL ON DATABASE postgres TO public")


def test_it_leaves_nothing_behind_and_what_is_there_alone(postgres_url: str, records: Path) -> None:
    tables = "SELECT oid::text FROM pg_class ORDER BY 1"
    run(postgres_url, "CREATE TABLE leads (mine text)", "INSERT INTO leads VALUES ('mine')")
    before = run(postgres_url, tables)
    with PostgresEngine(records, 90, postgres_url) as engine:
        assert engine.evaluate(CATALOGUE, SNAPSHOTS).num_rows == 1
    assert run(postgres_url, "SELECT mine FROM leads") == [("mine",)]
    assert run(postgres_url, tables) == before
    run(postgres_url, "DROP TABLE leads")


def test_the_right_to_temporary_tables_is_all_it_needs(postgres_url: str, guest: str, records: Path) -> None:
    with pytest.raises(EngineError, match=r"PostgreSQL refused: .*; grant the role TEMPORARY on the database"):
        PostgresEngine(records, 90, guest)
    run(postgres_url, "GRANT TEMPORARY ON DATABASE postgres TO guest")
    with PostgresEngine(records, 90, guest) as engine:
        assert engine.known_leads(10)["lead_id"].to_pylist() == ["L", "M"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/eql",
        "postgresql://ann:s3cret@no-such-host.invalid/eql",
        "postgresql://ann:s3/cret@127.0.0.1/eql",
        "postgresql://ann:12/s3cret@127.0.0.1/eql",
        "postgresql://ann:s3%cret@127.0.0.1/eql",
        "postgresql://ann:s3@cret@127.0.0.1/eql",
        "postgresql://ann:s3%00cret@127.0.0.1/eql",
        "host=127.0.0.1 password=s3cret",
        "mysql://ann:s3cret@127.0.0.1/eql",
    ],
)
def test_a_server_out_of_reach_is_told_without_the_password(records: Path, url: str) -> None:
    with pytest.raises(EngineError, match="EQL_POSTGRES_URL") as caught:
        PostgresEngine(records, 90, url)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_private_server_ends_with_its_block(records: Path) -> None:
    with private_server() as url:
        folder = Path(urlsplit(url).query.removeprefix("host=").replace("%2F", "/"))
        assert folder.exists()
        assert run(url, "SELECT 1") == [(1,)]
    assert not folder.exists()
    with pytest.raises(EngineError, match="no session of the PostgreSQL server"):
        PostgresEngine(records, 90, url)
