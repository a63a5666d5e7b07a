"""The home: no command but those that fill one makes it, everything in it follows it, and leftovers are cleared."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from app import address
from app.cli import COMMANDS, CREATING
from app.scratch import remove_leftovers, scratch_folder
from tests.app.conftest import ROOT, Eql, with_store

_HOMELESS = {"simulate": ["{out}/world"], "policy": ["show"]}
"""Commands that work with no home, and never make one."""
_ARGUMENTS: dict[str, list[str]] = {
    "export": ["{out}/records"],
    "backup": ["{out}/backup.sqlite"],
    "features": ["--as-of", "2026-01-01", "--out", "{out}/features.csv"],
    "matrix": ["{out}/matrix.parquet"],
    "exposures": ["--out", "{out}/exposures.csv"],
    "worker": ["--once"],
    "overlap": ["wrong", "O-1"],
    "keys": ["list"],
    "seals": ["verify"],
    "decisions": ["replay"],
    "privacy": ["export", "--email", "ada@acme.example", "--out", "{out}/data.ndjson"],
    "shadow": ["report"],
    "rollback": ["--reason", "test"],
    "promote": ["--reason", "test"],
}


@pytest.mark.parametrize("command", sorted({*COMMANDS} - CREATING - {*_HOMELESS}))
def test_a_command_in_a_folder_without_a_store_ends_1_and_makes_nothing(
    run_eql: Eql, tmp_path: Path, command: str
) -> None:
    home = tmp_path / "mistyped"
    arguments = [each.format(out=tmp_path) for each in _ARGUMENTS.get(command, [])]
    done = run_eql(home, command, *arguments)
    assert done.returncode == 1, (done.stdout, done.stderr)
    said = " ".join((done.stdout + done.stderr).split())
    assert "holds no store" in said
    assert "`eql import`" in said or command == "doctor"
    assert [*tmp_path.iterdir()] == []


def test_with_a_database_url_an_empty_home_is_fine(run_eql: Eql, tmp_path: Path) -> None:
    with patch.dict(os.environ, {"EQL_DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere.sqlite"}):
        assert run_eql(tmp_path / "home", "keys", "list").returncode == 0


def places(home: Path) -> set[str]:
    """The places of artifacts that the registry of a home holds."""
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as connection:
        columns = ("SELECT artifact_uri FROM runs", "SELECT source FROM model_versions")
        return {place for each in columns for (place,) in connection.execute(each)}


def test_the_artifacts_of_a_copied_or_moved_home_follow_it(run_eql: Eql, trained_home: Path, tmp_path: Path) -> None:
    before = places(trained_home)
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(trained_home, first)
    for home in (first, second):
        if home == second:
            first.rename(second)
        shown = run_eql(home, "models", "show", "champion")
        assert shown.returncode == 0, shown.stderr
        assert all(place.startswith((home / "mlflow" / "artifacts").as_uri()) for place in places(home))
    assert not first.exists()
    assert places(trained_home) == before


def test_leftovers_of_a_killed_process_are_removed_and_folders_in_use_stay(tmp_path: Path) -> None:
    for name in ("export-dead", "simulated-dead"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".lock").touch()
    (tmp_path / "exports").mkdir()
    with scratch_folder(tmp_path, "export-") as used:
        assert remove_leftovers(tmp_path) == ["export-dead", "simulated-dead"]
        assert {path.name for path in tmp_path.iterdir()} == {"exports", used.name}
    assert [path.name for path in tmp_path.iterdir()] == ["exports"]


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_store_is_a_sentence_and_the_doctor_finds_it(
    run_eql: Eql, trained_home: Path, tmp_path: Path, damage: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert run_eql(trained_home, "backup", home / "eql.sqlite").returncode == 0
    content = bytearray((home / "eql.sqlite").read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[8192:-4096] = b"\xa5" * (len(content) - 12288)
    (home / "eql.sqlite").write_bytes(content)
    for command in (("export", tmp_path / "records"), ("backup", tmp_path / "copy.sqlite"), ("doctor",)):
        done = run_eql(home, *command)
        assert done.returncode == 1
        assert "malformed" in done.stdout + done.stderr or "damaged" in done.stdout
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "copy.sqlite").exists()
    assert not [*tmp_path.glob(".copy*")]


def test_a_backup_that_finds_no_room_leaves_nothing(run_eql: Eql, trained_home: Path, tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        done = run_eql(trained_home, "backup", tmp_path / "copy.sqlite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.returncode == 1
    assert "copy.sqlite cannot be written" in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_the_link_is_for_the_port_in_use(run_eql: Eql, trained_home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    home = tmp_path / "home"
    home.mkdir()
    run_eql(trained_home, "backup", home / "eql.sqlite")
    guessed = run_eql(home, "sign-in")
    assert guessed.stdout.startswith("http://127.0.0.1:8000/sign-in?token=")
    assert "no service runs with this home" in guessed.stderr
    with address.announced(home, "http://127.0.0.1:8731"):
        known = run_eql(home, "sign-in")
        assert known.stdout.startswith("http://127.0.0.1:8731/sign-in?token=")
        assert known.stderr == ""
        monkeypatch.setenv("EQL_PUBLIC_URL", "https://eql.example.org/")
        assert run_eql(home, "sign-in").stdout.startswith("https://eql.example.org/sign-in?token=")
        assert run_eql(home, "sign-in", "--site", "https://a.example").stdout.startswith("https://a.example/sign-in?")


def test_a_signal_to_the_process_group_is_no_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "eql"), "serve", "--port", str(port)]
    environment = {**os.environ, "EQL_HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
                break
        os.killpg(process.pid, signal.SIGTERM)
        _, told = process.communicate()
    assert process.returncode == 0
    assert "error" not in told.lower()
    assert "worker ended" not in told


def test_a_home_and_its_store_are_their_owners_alone(run_eql: Eql, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(0o755)
    with_store(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.glob("eql.sqlite*")} == {0o600}
    # One of an earlier version, which every user could read.
    home.chmod(0o755)
    (home / "eql.sqlite").chmod(0o644)
    assert run_eql(home, "keys", "list").returncode == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "eql.sqlite").stat().st_mode) == 0o600


def test_the_lock_of_a_folder_is_held_while_it_is_used(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "export-") as used, (used / ".lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
