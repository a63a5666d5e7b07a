"""The command with a home of its own: in this process, for starting one each time comes to minutes; or as a process."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from app.cli import main
from app.settings import Settings
from app.wiring import Wiring

ROOT = Path(__file__).parent.parent.parent
Eql = Callable[..., subprocess.CompletedProcess[str]]


def run(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["eql", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, _environment(home)),
        patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        # As a user's process has them.
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def start(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "eql"), *map(str, arguments)]
    environment = {**os.environ, **_environment(home)}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def _environment(home: Path) -> dict[str, str]:
    return {"EQL_HOME": str(home), "COLUMNS": "200"}


def with_store(home: Path) -> Path:
    """The home, with an empty store."""
    Wiring(Settings(home=home)).engine.dispose()
    return home


@pytest.fixture(scope="session")
def run_eql() -> Eql:
    """Runs `eql` with a home and arguments."""
    return run


@pytest.fixture(scope="session")
def start_eql() -> Eql:
    """Runs `eql` with a home and arguments as a process of its own."""
    return start


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
