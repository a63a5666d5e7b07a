"""A PostgreSQL database that cannot be the store: one sentence with which, why and the fix, and no password."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import create_engine, make_url, text

from serving.store.database import UnusableStore, connect, create, reading

SECRET = "open-sesame"
HBA = "COPY (VALUES ('local all locked scram-sha-256'), ('local all all trust')) TO '{file}'"
Fresh = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def url(fresh: Fresh) -> Iterator[str]:
    """An empty database; on its server `locked` needs a password, and `weak` may not create tables."""
    with fresh("template0") as made:
        server = create_engine(make_url(made).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'"))
            connection.execute(text("CREATE ROLE weak LOGIN"))
            file = connection.execute(text("SHOW hba_file")).scalar_one()
            connection.execute(text(HBA.format(file=file)))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield made
        server.dispose()


def refusal(url: str) -> str:
    engine = connect(url)
    with pytest.raises(UnusableStore) as raised:
        create(engine)
    engine.dispose()
    said = str(raised.value)
    assert raised.value.__cause__ is None
    assert SECRET not in said
    assert "\n" not in said
    return said


def changed(url: str, **parts: str) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_a_wrong_password(url: str) -> None:
    # The server reads its file a moment after it was told to.
    for _ in range(100):
        engine = connect(changed(url, username="locked"))
        try:
            create(engine)
        except UnusableStore as error:
            if "password" in str(error):
                break
        finally:
            engine.dispose()
        time.sleep(0.05)
    said = refusal(changed(url, username="locked", password=f"{SECRET}x"))
    assert 'password authentication failed for user "locked"; correct user and password in EQL_DATABASE_URL' in said


def test_a_user_that_may_not_create_tables(url: str) -> None:
    said = refusal(changed(url, username="weak"))
    assert "weak" in said
    assert "permission denied for schema public; let its user create tables there: GRANT CREATE" in said


def test_a_database_or_role_that_is_not_there(url: str) -> None:
    assert 'database "nowhere" does not exist; create it' in refusal(changed(url, database="nowhere"))
    assert 'role "nobody" does not exist; create the role' in refusal(changed(url, username="nobody"))


def test_a_database_of_another_encoding(url: str) -> None:
    server = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0"))
        said = refusal(changed(url, database="latin"))
        connection.execute(text("DROP DATABASE latin"))
    server.dispose()
    assert "latin has the encoding LATIN1" in said
    assert "ENCODING 'UTF8'" in said


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("127.0.0.1:9/d", "Connection refused"),
        ("/d?host=/nowhere", "No such file or directory"),
        (f"/d?host=/nowhere&password={SECRET}", "No such file or directory"),
    ],
)
def test_a_server_that_is_down(where: str, reason: str) -> None:
    said = refusal(f"postgresql://ada:{SECRET}@{where}")
    assert f"{reason}; check that its server runs and can be reached, or correct EQL_DATABASE_URL" in said


def test_an_option_that_there_is_not(url: str) -> None:
    assert 'invalid connection option "sslmodus"; take the option out' in refusal(f"{url}&sslmodus=on")


def test_a_server_that_was_restarted_is_found_again(url: str) -> None:
    engine = connect(url)
    create(engine)
    other = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'eql'"
        assert connection.execute(text(ended)).scalars().all() == [True]
    with reading(engine) as connection:
        assert connection.execute(text("SELECT last FROM ingest_counter")).scalar_one() == 0
    other.dispose()
    engine.dispose()
