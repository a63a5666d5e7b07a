"""`eql privacy`: an export only its owner may read, an erasure that can be tried first, and retention by settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings
from app.wiring import Wiring
from features.records import KINDS, Lead, Stored
from features.value_types import parse_instant
from serving.records import versions
from serving.store.database import reading

EMAIL = "ada@company.example"
LONG_AGO = parse_instant("2020-01-01T00:00:00Z")


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("EQL_HOME", str(tmp_path))
    made = Wiring(Settings())
    lead = Lead(lead_id="L-1", email=EMAIL, created_at=LONG_AGO)
    with made.engine.begin() as connection:
        versions.add(connection, [Stored(KINDS["leads"], "L-1", lead)])
    return made


def eql(*words: str) -> Any:
    done = CliRunner().invoke(app, ["privacy", *words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def leads(wiring: Wiring) -> int:
    with reading(wiring.engine) as connection:
        return versions.count(connection)["leads"]


def test_somebody_is_exported_tried_and_erased(wiring: Wiring, tmp_path: Path) -> None:
    out = tmp_path / "ada.ndjson"
    assert eql("export", "--email", EMAIL, "--out", str(out)) == {"file": str(out), "rows": 2}
    assert out.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["table"] for line in out.read_text("utf-8").splitlines()] == ["leads", "lead_emails"]
    with pytest.raises(ValueError, match="exists already"):
        eql("export", "--email", EMAIL, "--out", str(out))
    erase = ("erase", "--domain", "company.example", "--reason", "request 17")
    found = {"leads": 1, "rows": {"lead_emails": 1, "leads": 1}}
    assert eql(*erase, "--dry-run") == {**found, "dry_run": True}
    assert leads(wiring) == 1
    assert eql(*erase) == {"id": 1, **found, "remains": False}
    assert leads(wiring) == 0


def test_who_is_meant_must_be_said(wiring: Wiring) -> None:
    done = CliRunner().invoke(app, ["privacy", "erase", "--reason", "r"])
    assert done.exit_code == 2
    with pytest.raises(ValueError, match="must not name"):
        eql("erase", "--email", EMAIL, "--reason", f"{EMAIL} asked")


def test_retention_is_by_settings(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    assert eql("retention", "--dry-run")["deleted"]["events with their deliveries"] == 0
    monkeypatch.setenv("EQL_RETENTION_IDLE", "30")
    assert eql("retention", "--dry-run")["deleted"]["open leads without activity"] == 1
    assert leads(wiring) == 1
    assert eql("retention")["deleted"]["open leads without activity"] == 1
    assert leads(wiring) == 0
