"""The command line: what a command imports, and what its help says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app.cli import LateCommand, app
from tests.app.conftest import with_store

_RUN = """
import json, sys
from app.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
_NEVER = {"mlflow", "lightgbm", "sklearn", "pandas", "matplotlib", "fastapi", "opentelemetry", "duckdb", "pyspark"}
_SLOW = {*_NEVER, "numpy", "pyarrow", "scipy", "httpx", "sqlglot", "joserfc"}
_ROOT: Any = typer.main.get_command(app)
COMMANDS = dict(_ROOT.commands)


def imported(*arguments: str, home: Path) -> set[str]:
    """The packages in a process that ran the command."""
    command = [sys.executable, "-c", _RUN, *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"EQL_HOME": str(home), "PYTHONPATH": ":".join(sys.path)},
    )
    return {*json.loads(done.stderr.splitlines()[-1])}


def test_help_imports_neither_the_store_nor_the_models(tmp_path: Path) -> None:
    assert not imported("--help", home=tmp_path) & {*_SLOW, "sqlalchemy", "pydantic"}


def test_keys_import_the_store_alone(tmp_path: Path) -> None:
    assert not imported("keys", "create", "--role", "crm", home=with_store(tmp_path)) & _SLOW


def test_models_import_neither_mlflow_nor_the_libraries_of_training(tmp_path: Path) -> None:
    assert not imported("models", home=with_store(tmp_path)) & _SLOW


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_help_of_eql_says_of_each_command_what_the_command_says(command: Any) -> None:
    assert isinstance(command, LateCommand)
    own = command.load().get_short_help_str(limit=300)
    assert own.startswith((command.help or "").rstrip("."))
