"""The wheel: what is installed without a checkout works without one."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from models.policy import DEFAULT_POLICY

ROOT = Path(__file__).parent.parent
_DOCS = """
from app.settings import read
from app.wiring import Wiring
from serving.documentation.documents import Documents
documents = Documents(Wiring(read()).service.docs)
print(*documents.contents())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("eql_scorer-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "EQL_HOME": str(installed.parent / "home")}
    command = [sys.executable, "-P", *arguments]
    done = subprocess.run(command, cwd=installed.parent, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def test_every_file_that_the_code_reads_is_in_the_wheel(installed: Path) -> None:
    rooms = ("features", "models", "training", "operations", "serving", "app")
    kept = {path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*") if path.is_file()}
    lacking = {path for path in kept if "__pycache__" not in path.parts and not (installed / path).is_file()}
    assert not lacking


def test_the_command_and_the_default_policy_work(installed: Path) -> None:
    assert run(installed, "-m", "app", "policy", "show") == DEFAULT_POLICY.read_text("utf-8")


def test_the_documentation_is_in_the_wheel(installed: Path) -> None:
    names = {"README", *(path.stem for path in (ROOT / "docs").glob("*.md"))}
    assert {*run(installed, "-c", _DOCS).split()} == names
