"""`eql doctor data`: over the store and over a folder, for people and for machines, with exit codes that say enough."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from features.quality.report import Report
from features.quality.thresholds import DEFAULT
from features.records import KINDS

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def home(run_eql: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store holds a small world; the world lies beside it."""
    folder = tmp_path_factory.mktemp("doctor")
    for arguments in (("simulate", folder / "world", "--accounts", 40, "--seed", 3), ("import", folder / "world")):
        assert run_eql(folder / "home", *arguments).returncode == 0
    return folder / "home"


@pytest.fixture
def eql(run_eql: Run, home: Path) -> Run:
    return lambda *arguments: run_eql(home, *arguments)


@pytest.fixture
def damaged(home: Path, tmp_path: Path) -> Path:
    """A copy of the world in which half of the buying signals are of leads that nobody recorded."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in (home.parent / "world").iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    signals = pq.read_table(folder / "buying_signals.parquet")
    ids = [f"{lead}-gone" if n % 2 else lead for n, lead in enumerate(signals["lead_id"].to_pylist())]
    changed = signals.set_column(signals.schema.get_field_index("lead_id"), signals.schema.field("lead_id"), [ids])
    pq.write_table(changed, folder / "buying_signals.parquet")
    return folder


def test_the_store_is_examined_as_pure_json(eql: Run) -> None:
    done = eql("doctor", "data", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["tally"]["fail"] else 0), done.stderr
    assert report["records"].keys() == KINDS.keys()
    assert report["findings"]
    Report.from_json(done.stdout)


def test_a_folder_with_a_fault_ends_with_1_and_says_how_many(eql: Run, damaged: Path) -> None:
    done = eql("doctor", "data", damaged)
    assert done.returncode == 1
    assert "eql: 1 check of the data fails" in done.stderr
    for word in ("fail", "buying_signals", "Lead that nobody recorded", "-gone"):
        assert word in done.stdout


def test_thresholds_come_from_a_file_or_the_setting(
    eql: Run, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = {**yaml.safe_load(DEFAULT.read_text("utf-8")), "orphans": {"warn": 1}}
    (tmp_path / "patient.yaml").write_text(yaml.safe_dump(patient))
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({**patient, "lait": 1}))
    assert eql("doctor", "data", damaged, "--thresholds", tmp_path / "patient.yaml").returncode == 0
    monkeypatch.setenv("EQL_QUALITY", str(tmp_path / "wrong.yaml"))
    done = eql("doctor", "data", damaged)
    assert (done.returncode, done.stdout) == (1, "")
    for word in ("wrong.yaml", "lait", "remove it"):
        assert word in done.stderr


def test_an_empty_store_says_the_mend(run_eql: Run, tmp_path: Path) -> None:
    done = run_eql(tmp_path / "empty", "doctor", "data")
    assert (done.returncode, done.stdout) == (1, "")
    assert "eql import" in done.stderr
    assert "Traceback" not in done.stderr
