"""A backup is a store of its own that shows one state of the store it was made from."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine

from features.records import KINDS, Lead, Stored
from serving.records import versions
from serving.store.backup import Unsaved, backup
from serving.store.database import connect, create, reading


def lead(number: int) -> Stored:
    return Stored(KINDS["leads"], f"L-{number}", Lead(lead_id=f"L-{number}"))


def restored(path: Path) -> list[int]:
    """The ingest numbers of the leads in a backup that is opened as a store."""
    engine = connect(f"sqlite:///{path}")
    create(engine)
    with reading(engine) as connection:
        numbers = [row["ingest"] for row in versions.versions(connection, KINDS["leads"])]
        assert versions.last_ingest(connection) == len(numbers)
    engine.dispose()
    return numbers


def test_a_backup_beside_a_writer_is_whole_and_has_all_that_was_committed_before(store: Engine, tmp_path: Path) -> None:
    done, written = threading.Event(), []

    def write() -> None:
        while not done.is_set():
            with store.begin() as connection:
                versions.add(connection, [lead(len(written)), lead(len(written) + 1)])
            written.extend((0, 0))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            known = len(written)
            backup(store, tmp_path / f"{number}.sqlite")
            found = restored(tmp_path / f"{number}.sqlite")
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= known
            assert len(found) % 2 == 0
    finally:
        done.set()
        writer.join()


def test_only_its_owner_may_read_a_backup_and_nothing_else_is_left(store: Engine, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    backup(store, tmp_path / "backups" / "one.sqlite")
    assert (tmp_path / "backups" / "one.sqlite").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["one.sqlite"]


def test_a_file_that_exists_is_kept(store: Engine, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Unsaved, match="precious exists already"):
        backup(store, tmp_path / "precious")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_folder_that_is_missing_is_named(store: Engine, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        backup(store, tmp_path / "missing" / "one.sqlite")


def test_a_postgresql_store_has_its_own_tool() -> None:
    engine = connect("postgresql://ada@localhost/eql")
    with pytest.raises(Unsaved, match="pg_dump"):
        backup(engine, Path("anything"))
    engine.dispose()
