"""What both databases promise, and how the store is opened, told apart and refused."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.schema import CreateTable

from serving.champion.tables import bundle_files
from serving.records.tables import ingest_counter
from serving.store.database import UnusableStore, connect, create, describe, reading
from serving.tables import metadata

pytestmark = pytest.mark.both_databases


def last(store: Engine) -> int:
    with reading(store) as connection:
        return connection.execute(select(ingest_counter.c.last)).scalar_one()


def test_threads_that_lock_read_and_update_lose_nothing(store: Engine) -> None:
    def raise_fifty_times(_: int) -> None:
        for _ in range(50):
            with store.begin() as connection:
                found = connection.execute(select(ingest_counter.c.last).with_for_update()).scalar_one()
                connection.execute(update(ingest_counter).values(last=found + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(raise_fifty_times, range(8)))
    assert last(store) == 400


def test_a_reader_sees_one_state_while_a_writer_commits(store: Engine) -> None:
    with reading(store) as reader:
        before = reader.execute(select(ingest_counter.c.last)).scalar_one()
        with store.begin() as writer:
            writer.execute(update(ingest_counter).values(last=7))
        assert reader.execute(select(ingest_counter.c.last)).scalar_one() == before
    assert last(store) == 7


def test_reading_cannot_write_and_leaves_the_connection_fit_for_writing(store: Engine) -> None:
    with reading(store) as connection, pytest.raises(DBAPIError):
        connection.execute(update(ingest_counter).values(last=1))
    with store.begin() as connection:
        connection.execute(update(ingest_counter).values(last=2))
    assert last(store) == 2


def test_a_writer_that_waits_in_vain_is_told_as_requests_expect(store: Engine, database: str) -> None:
    if database == "postgresql":
        pytest.skip("writers wait for rows there, not for each other")
    with store.connect() as late, store.begin():
        driver: Any = late.connection.driver_connection
        driver.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(OperationalError):
            late.begin()


def test_commits_reach_the_disk(store: Engine, database: str) -> None:
    with store.begin() as connection:
        if database == "postgresql":
            # The server of these tests has it off, as a careless one may.
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
        else:
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_foreign_keys_hold_and_errors_do_not_show_what_was_stored(store: Engine) -> None:
    with pytest.raises(IntegrityError) as raised, store.begin() as connection:
        connection.execute(insert(bundle_files).values(sha256="CANARY", path="a", content=b""))
    shown: BaseException | None = raised.value
    while shown is not None:
        assert "CANARY" not in f"{shown} {shown!r}"
        shown = shown.__cause__


def test_a_value_that_the_database_refuses_is_not_shown(store: Engine, database: str) -> None:
    if database == "sqlite":
        pytest.skip("SQLite refuses no value")
    with pytest.raises(DBAPIError) as raised, store.begin() as connection:
        connection.execute(text("SELECT CAST(:sent AS bigint)"), {"sent": "CANARY"})
    assert "CANARY" not in str(raised.value)


def test_text_is_ordered_by_its_bytes(store: Engine) -> None:
    names = ["a", "B", "b", "Z", "ä", "é", "z", "_", "10", "9", "\U0001f600", "\uffee"]
    with store.begin() as connection:
        connection.execute(
            insert(metadata.tables["bundles"]),
            [{"sha256": name, "name": name, "version": "1", "published_at": 1} for name in names],
        )
        bundles = metadata.tables["bundles"].c
        found = connection.execute(select(bundles.name).order_by(bundles.name)).scalars().all()
    assert found == sorted(names, key=str.encode)


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_are_not_of_one_database_alone(table: Table) -> None:
    statement = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "AUTOINCREMENT" not in statement
    assert " INTEGER" not in statement


def test_creating_twice_keeps_what_is_there(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(update(ingest_counter).values(last=5))
    create(store)
    assert last(store) == 5


def test_the_store_tells_what_it_is(store: Engine, database: str) -> None:
    with reading(store) as connection:
        told = describe(connection)
    assert {"sqlite": "SQLite 3.", "postgresql": "PostgreSQL 18."}[database] in told
    assert "revision 0" in told
    assert str(store.url.database) in told


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(UnusableStore, match=r"notes\.txt cannot be opened: file is not a database; name another"):
        create(engine)
    engine.dispose()


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'missing' / 'store.sqlite'}")
    with pytest.raises(UnusableStore, match=r"missing.*unable to open database file; make its folder"):
        create(engine)
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.sqlite",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h",
        "postgresql+psycopg2://u:secret@h/d?password=secret",
        "postgresql://u:secret@h:port/d",
        "postgresql://u:se@secret@h/d",
    ],
)
def test_a_url_of_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnusableStore, match=r"sqlite:////folder/store\.sqlite or postgresql://") as raised:
        connect(url)
    assert "secret" not in str(raised.value)


def test_a_killed_process_leaves_whole_transactions_only(empty_url: str) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from features.records import KINDS, Account, Stored
        from serving.store.database import connect, create
        from serving.records.versions import add

        def accounts(word):
            for number in range(1000):
                yield Stored(KINDS["accounts"], f"{word}-{number}", Account(account_id=f"{word}-{number}"))

        engine = connect(sys.argv[1])
        create(engine)
        with engine.begin() as connection:
            add(connection, accounts("kept"))
        connection = engine.connect()
        add(connection, accounts("lost"))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ended = subprocess.run(
        [sys.executable, "-c", program, empty_url], cwd=root, env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGKILL, "", "")
    engine = connect(empty_url)
    with reading(engine) as connection:
        found = connection.execute(text("SELECT account_id FROM accounts")).scalars().all()
        counted = connection.execute(select(ingest_counter.c.last)).scalar_one()
    engine.dispose()
    assert sorted(found) == sorted(f"kept-{number}" for number in range(1000))
    assert counted == 1000
