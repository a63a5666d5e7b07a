"""The command as a user runs it: a process of its own, with a home of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
Eql = Callable[..., subprocess.CompletedProcess[str]]


def run(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EQL_HOME": str(home), "COLUMNS": "200"}
    command = [str(Path(sys.executable).parent / "eql"), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def run_eql() -> Eql:
    """Runs `eql` with a home and arguments."""
    return run


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a simulated ecosystem imported, a model trained and promoted."""
    home = tmp_path_factory.mktemp("trained")
    world = home / "world"
    for arguments in (
        ("simulate", world, "--accounts", 700, "--seed", 3, "--until", "2026-06-30"),
        ("import", world),
        ("train",),
        ("promote", "--reason", "first", "--actor", "tests"),
    ):
        done = run(home / "home", *arguments)
        assert done.returncode == 0, done.stderr
    return home / "home"
