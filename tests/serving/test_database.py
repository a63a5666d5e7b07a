import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateTable

from serving.store.database import SCHEMA_VERSION, UnusableStore, connect, create, reading
from serving.store.tables import bundle_files, ingest_counter, metadata, schema_version


def test_threads_that_read_then_update_lose_nothing(store: Engine) -> None:
    def raise_fifty_times(_: int) -> None:
        for _ in range(50):
            with store.begin() as connection:
                last = connection.execute(select(ingest_counter.c.last)).scalar_one()
                connection.execute(update(ingest_counter).values(last=last + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(raise_fifty_times, range(8)))
    with reading(store) as connection:
        assert connection.execute(select(ingest_counter.c.last)).scalar_one() == 400


def test_a_reader_sees_one_state_while_a_writer_commits(store: Engine) -> None:
    with reading(store) as reader:
        before = reader.execute(select(ingest_counter.c.last)).scalar_one()
        with store.begin() as writer:
            writer.execute(update(ingest_counter).values(last=7))
        assert reader.execute(select(ingest_counter.c.last)).scalar_one() == before
    with reading(store) as reader:
        assert reader.execute(select(ingest_counter.c.last)).scalar_one() == 7


def test_reading_cannot_write_and_leaves_the_connection_fit_for_writing(store: Engine) -> None:
    with reading(store) as connection, pytest.raises(OperationalError):
        connection.execute(update(ingest_counter).values(last=1))
    with store.begin() as connection:
        connection.execute(update(ingest_counter).values(last=2))


def test_commits_reach_the_disk_and_foreign_keys_hold(store: Engine) -> None:
    with store.begin() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    with pytest.raises(IntegrityError), store.begin() as connection:
        connection.execute(insert(bundle_files).values(sha256="unpublished", path="a", content=b""))


def test_errors_of_the_database_do_not_show_what_was_stored(store: Engine) -> None:
    with pytest.raises(IntegrityError) as raised, store.begin() as connection:
        connection.execute(insert(bundle_files).values(sha256="CANARY", path="a", content=b""))
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_are_not_of_one_database_alone(table: Table) -> None:
    statement = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "AUTOINCREMENT" not in statement
    assert " INTEGER" not in statement.replace("version INTEGER", "")


def test_creating_twice_keeps_what_is_there(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(update(ingest_counter).values(last=5))
    create(store)
    with reading(store) as connection:
        assert connection.execute(select(ingest_counter.c.last)).scalar_one() == 5


def test_processes_that_start_together_create_one_store(tmp_path: Path) -> None:
    engines = [connect(f"sqlite:///{tmp_path / 'new.sqlite'}") for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(create, engines))
    with reading(engines[0]) as connection:
        assert connection.execute(select(schema_version.c.version)).scalars().all() == [SCHEMA_VERSION]
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(("found", "mend"), [(SCHEMA_VERSION + 1, "upgrade"), (SCHEMA_VERSION - 1, "import .* anew")])
def test_another_versions_store_is_refused_with_both_versions_and_the_mend(
    store: Engine, found: int, mend: str
) -> None:
    with store.begin() as connection:
        connection.execute(update(schema_version).values(version=found))
    with pytest.raises(UnusableStore, match=rf"schema version {found}.*knows {SCHEMA_VERSION}.*{mend}"):
        create(store)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(UnusableStore, match=r"notes\.txt cannot be opened: file is not a database"):
        create(engine)
    engine.dispose()


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'missing' / 'store.sqlite'}")
    with pytest.raises(UnusableStore, match=r"missing.*unable to open database file"):
        create(engine)
    engine.dispose()


@pytest.mark.parametrize("url", ["", "store.sqlite", "sqlite://", "sqlite:///:memory:", "postgresql://u:secret@h/d"])
def test_a_url_that_is_no_sqlite_file_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnusableStore, match=r"sqlite:////folder/store\.sqlite") as raised:
        connect(url)
    assert "secret" not in str(raised.value)


def test_a_killed_process_leaves_whole_transactions_only(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from features.records import KINDS, Account, Stored
        from serving.store.database import connect, create
        from serving.store.records import add

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
    url = f"sqlite:///{tmp_path / 'killed.sqlite'}"
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program, url], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert ended.returncode == -signal.SIGKILL
    engine = connect(url)
    with reading(engine) as connection:
        found = connection.execute(text("SELECT account_id FROM accounts")).scalars().all()
        last = connection.execute(select(ingest_counter.c.last)).scalar_one()
    engine.dispose()
    assert sorted(found) == sorted(f"kept-{number}" for number in range(1000))
    assert last == 1000
