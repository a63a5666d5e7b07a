"""What the command says when something is wrong: the exit code, one sentence with the fix, nothing half written."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.conftest import with_store

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def eql(run_eql: Run, tmp_path: Path) -> Run:
    return lambda *arguments: run_eql(tmp_path / "home", *arguments)


def failed(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("eql: ")
    for word in words:
        assert word in sentence
    assert "Traceback" not in done.stderr


def test_no_data_and_no_model(eql: Run, tmp_path: Path) -> None:
    with_store(tmp_path / "home")
    failed(eql("train"), "no leads", "eql import")
    failed(eql("evaluate"), "no model", "eql train")
    failed(eql("promote"), "no model", "eql train")
    failed(eql("rollback"), "no earlier champion")


def test_a_faulty_mapping_or_folder_writes_nothing(eql: Run, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("recrods: {}\n")
    failed(eql("import", tmp_path, "--mapping", mapping), "recrods", "records")
    failed(eql("import", tmp_path / "nowhere"), "nowhere", "for a CRM export add --mapping")
    assert eql("doctor").returncode == 1


def test_a_file_that_is_not_there_is_named_with_the_mend(eql: Run, tmp_path: Path) -> None:
    with_store(tmp_path / "home")
    failed(eql("score", tmp_path / "none.ndjson", "--out", tmp_path / "o.ndjson"), "none.ndjson: no such file", "check")
    assert not (tmp_path / "o.ndjson").exists()


def test_an_mlflow_server_that_is_gone_is_not_waited_for(
    eql: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("EQL_MLFLOW_URI", f"http://user:secret@{server}")
    with_store(tmp_path / "home")
    done = eql("models")
    failed(done, server, "EQL_MLFLOW_URI")
    assert "secret" not in done.stderr


def test_a_faulty_policy(eql: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: '1'\nrulez: []\n")
    failed(eql("policy", "check", policy), "policy.yaml", "rulez")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux has a folder that not even root may write")
def test_a_home_that_cannot_be_written_is_named_with_its_mend(run_eql: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for home in (Path("/proc"), Path("/proc/eql"), file, file / "home"):
        failed(run_eql(home, "keys", "list"), str(home), "EQL_HOME")
        wrong = {row["check"]: row["finding"] for row in json.loads(run_eql(home, "doctor", "--json").stdout)}
        assert "EQL_HOME" in wrong["home"]


def test_a_port_in_use(eql: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failed(eql("serve", "--port", taken.getsockname()[1]), "port", "--port")


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "x", "--until", "yesterday"),
        ("features", "--as-of", "soon", "--out", "f.csv"),
        ("features", "--as-of", "2026-01-01", "--out", "f.xlsx"),
        ("features", "--as-of", "2026-01-01", "--out", "f.csv", "--engine", "abacus"),
        ("score", "bodies.ndjson"),
        ("import",),
        ("keys", "create", "--role", "king"),
        ("keys", "create", "--role", "partner"),
        ("sign-in", "--role", "sales", "--partner", "P-1"),
        ("trian",),
    ],
)
def test_wrong_usage_ends_with_2(eql: Run, arguments: tuple[str, ...]) -> None:
    assert eql(*arguments).returncode == 2


def test_an_existing_folder_is_not_overwritten(eql: Run, tmp_path: Path) -> None:
    world = tmp_path / "world"
    assert eql("simulate", world, "--accounts", 20).returncode == 0
    before = sorted((file.name, file.stat().st_mtime_ns) for file in world.iterdir())
    failed(eql("simulate", world, "--accounts", 20), "already")
    assert sorted((file.name, file.stat().st_mtime_ns) for file in world.iterdir()) == before
