"""`eql monitor`: over the store and a folder, for people and for machines; it trains when due and never promotes."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def eql(run_eql: Run, trained_home: Path) -> Run:
    return lambda *arguments: run_eql(trained_home, *arguments)


def test_the_store_is_looked_at_as_pure_json(eql: Run) -> None:
    done = eql("monitor", "--days", 200, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] in ("fine", "watch", "retrain")
    assert report["reasons"]
    assert report["features"]
    assert "retrained" not in report


def test_a_folder_is_looked_at_in_words(eql: Run, trained_home: Path) -> None:
    done = eql("monitor", trained_home.parent / "world", "--as-of", "2026-06-01", "--days", 200)
    assert done.returncode == 0, done.stderr
    for word in ("verdict: ", "as of 2026-06-01", "PSI"):
        assert word in done.stdout


def test_where_nothing_is_due_nothing_is_trained(eql: Run) -> None:
    report = json.loads(eql("monitor", "--retrain", "--every-days", "30", "--json").stdout)
    assert report["verdict"] != "retrain"
    assert report["retrained"] is None


def test_a_schedule_that_is_due_trains_a_challenger_and_never_promotes(
    run_eql: Run, trained_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained_home, home)
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as registry, registry:
        registry.execute("UPDATE model_versions SET creation_time = 0")
    done = run_eql(home, "monitor", "--retrain", "--every-days", "30", "--json")
    assert done.returncode == 0, done.stderr
    trained = json.loads(done.stdout)["retrained"]["version"]
    versions = json.loads(run_eql(home, "models", "--json").stdout)["versions"]
    assert [v["aliases"] for v in versions if v["version"] == trained] == [["challenger"]]
    assert [v["version"] for v in versions if "champion" in v["aliases"]] != [trained]


@pytest.mark.parametrize(
    ("arguments", "mend"), [(["--every-days", "3"], "give both"), (["--retrain", "--as-of", "2026-01-01"], "leave out")]
)
def test_wrong_usage_ends_with_2(eql: Run, arguments: list[str], mend: str) -> None:
    done = eql("monitor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert mend in done.stderr


def test_without_a_champion_the_mend_is_said(run_eql: Run, tmp_path: Path) -> None:
    done = run_eql(tmp_path / "empty", "monitor")
    assert (done.returncode, done.stdout) == (1, "")
    assert "eql promote" in done.stderr
    assert "Traceback" not in done.stderr
