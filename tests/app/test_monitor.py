"""`eql monitor`: over the store and a folder, for people and for machines; it trains when due and never promotes."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from features.folder import PROVENANCE, FolderWriter, read_provenance
from features.provenance import Attribute, Provenance
from features.records import KINDS, Row
from features.value_types import DAY, parse_instant
from tests.app.conftest import with_store

Run = Callable[..., subprocess.CompletedProcess[str]]


LATER = parse_instant("2026-08-15T00:00:00Z")


def cut_later(folder: Path) -> None:
    """Let a folder of records end later, with nothing new in it."""
    (folder / PROVENANCE).write_text(replace(read_provenance(folder), cut=LATER).to_json(), encoding="utf-8")


def deals(folder: Path) -> None:
    """Records in which the stage, said to be known at creation, tells what became of a lead."""
    leads: list[Row] = []
    events: list[Row] = []
    for number in range(300):
        created, won = LATER - (400 - number) * DAY, number % 7 in (0, 3)
        lead: Row = {"lead_id": f"L-{number}", "created_at": created, "occurred_at": created, "recorded_at": created}
        leads.append({**lead, "deleted": False, "attributes.stage": "signed" if won else "dropped"})
        closed = {"occurred_at": created + DAY, "recorded_at": created + DAY, "event": "won" if won else "lost"}
        events.append({"lead_event_id": f"E-{number}", "lead_id": f"L-{number}", "deleted": False, **closed})
    stage = Attribute("stage", "category", "at_creation")
    with FolderWriter(folder, Provenance(LATER - 60 * DAY, attributes=(stage,))) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)


@pytest.fixture
def copied(trained_home: Path, tmp_path: Path) -> Path:
    """A home of the test's own."""
    home = tmp_path / "home"
    shutil.copytree(trained_home, home)
    return home


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


def test_a_look_is_kept_with_the_version_it_looked_at(run_eql: Run, copied: Path) -> None:
    report = json.loads(run_eql(copied, "monitor", "--days", "200", "--json").stdout)
    shown = json.loads(run_eql(copied, "models", "show", report["recorded_with"], "--json").stdout)
    assert shown["tags"]["monitoring.verdict"] == report["verdict"]
    assert shown["tags"]["monitoring.as_of"] == report["as_of"]


def test_a_look_back_is_not_kept(eql: Run) -> None:
    done = eql("monitor", "--as-of", "2026-06-01", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recorded_with"] is None


def test_without_new_data_nothing_is_trained(run_eql: Run, copied: Path) -> None:
    report = json.loads(run_eql(copied, "monitor", "--retrain", "--retrain-after", "1", "--json").stdout)
    assert report["verdict"] != "retrain"
    assert report["retrained"] is None


def test_a_schedule_that_is_due_trains_a_challenger_and_never_promotes(
    run_eql: Run, copied: Path, trained_home: Path, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    shutil.copytree(trained_home.parent / "world", world)
    cut_later(world)
    done = run_eql(copied, "monitor", world, "--retrain-after", "30", "--json")
    assert done.returncode == 0, done.stderr
    trained = json.loads(done.stdout)["retrained"]
    assert trained["reason"].startswith("schedule: ")
    found = json.loads(run_eql(copied, "models", "--json").stdout)
    assert [v["aliases"] for v in found["versions"] if v["version"] == trained["version"]] == [["challenger"]]
    assert [v["version"] for v in found["versions"] if "champion" in v["aliases"]] != [trained["version"]]
    assert found["history"][-1]["reason"] == trained["reason"]


def test_a_leak_that_was_allowed_once_is_allowed_when_training_anew(run_eql: Run, copied: Path, tmp_path: Path) -> None:
    records = tmp_path / "records"
    deals(records)
    for arguments in (
        ("train", "--records", records, "--allow-leak", "stage", "--horizon-days", 30),
        ("promote", "--force", "--reason", "to be served"),
    ):
        done = run_eql(copied, *arguments)
        assert done.returncode == 0, done.stderr
    cut_later(records)
    done = run_eql(copied, "monitor", records, "--retrain-after", 30, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["retrained"]["reason"].startswith("schedule: ")


def test_training_in_the_past_is_refused(eql: Run) -> None:
    done = eql("monitor", "--retrain", "--as-of", "2026-01-01")
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave out --as-of" in done.stderr


def test_without_a_champion_the_mend_is_said(run_eql: Run, tmp_path: Path) -> None:
    done = run_eql(with_store(tmp_path / "empty"), "monitor")
    assert (done.returncode, done.stdout) == (1, "")
    assert "eql promote" in done.stderr
    assert "Traceback" not in done.stderr
