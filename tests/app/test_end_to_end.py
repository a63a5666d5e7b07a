"""A simulated ecosystem from end to end through the command."""

import csv
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from app.settings import Settings
from app.wiring import Wiring
from serving.decisions.tables import decision_payloads
from serving.store import database

Run = Callable[..., subprocess.CompletedProcess[str]]

LEAD = {"lead_id": "L-1", "channel": "partner_referral", "created_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def eql(run_eql: Run, trained_home: Path) -> Run:
    return lambda *arguments: run_eql(trained_home, *arguments)


def test_evaluation_is_pure_json_with_the_promised_figures(eql: Run) -> None:
    report = json.loads(eql("evaluate", "--json").stdout)
    promised = {"rows", "base_rate", "rung", "skill", "log_loss", "log_loss_constant", "auc", "brier"}
    assert promised | {"calibration_slope", "leaks"} <= report.keys()
    assert report["rows"] > 0
    assert 0 < report["base_rate"] < 1


def test_the_base_rate_rung_is_the_constant(eql: Run) -> None:
    report = json.loads(eql("evaluate", "--json").stdout)
    if report["rung"] == "base_rate":
        assert report["auc"] == 0.5
        assert report["skill"] is False
        assert abs(report["log_loss"] - report["log_loss_constant"]) < 1e-12


def test_the_share_of_attainable_skill_is_told(eql: Run, trained_home: Path) -> None:
    truth = trained_home.parent / "world" / "truth" / "probabilities.parquet"
    report = json.loads(eql("evaluate", "--truth", truth, "--json").stdout)
    assert report["attainable"]["share_of_attainable_skill_expected"] <= 1


def test_features_have_a_row_for_each_open_lead(eql: Run, tmp_path: Path) -> None:
    out = tmp_path / "features.csv"
    done = eql("features", "--as-of", "2026-03-01T00:00:00Z", "--engine", "duckdb", "--out", out)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert rows
    assert {row["as_of"] for row in rows} == {"2026-03-01T00:00:00Z"}
    assert len({row["lead_id"] for row in rows}) == len(rows)


def test_a_body_and_a_folder_are_scored_alike_in_form(eql: Run, trained_home: Path, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.ndjson"
    bodies.write_text(f"{json.dumps({'lead': LEAD, 'as_of': '2026-02-01T00:00:00Z'})}\n" + '{"lead": {}}\nrubbish\n')
    done = eql("score", bodies, "--out", tmp_path / "one.ndjson", "--json")
    assert json.loads(done.stdout) == {"scored": 1, "rejected": 2, "out": str(tmp_path / "one.ndjson")}
    one = json.loads((tmp_path / "one.ndjson").read_text())
    assert eql("score", trained_home.parent / "world", "--out", tmp_path / "many.parquet").returncode == 0
    many = pq.read_table(tmp_path / "many.parquet").to_pylist()
    assert json.loads(many[0]["decision"]).keys() == one.keys()
    rejects = list(csv.DictReader((tmp_path / "one.ndjson.rejects.csv").read_text().splitlines()))
    assert [row["line"] for row in rejects] == ["2", "3"]


def test_the_forecast_says_when_open_leads_are_won_the_likeliest_first(eql: Run, trained_home: Path) -> None:
    done = eql("forecast", "--as-of", "2026-06-01", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["as_of"] == "2026-06-01T00:00:00Z"
    assert len({row["lead_id"] for row in found["leads"]}) == len(found["leads"]) > 0
    for row in found["leads"]:
        _lead, *won, days = row.values()
        assert 0 <= won[0] <= won[-1] <= 1
        assert won == sorted(won)
        assert days > 0
    likely = [row["won_180_days"] for row in found["leads"]]
    assert likely == sorted(likely, reverse=True)
    shown = eql("forecast", trained_home.parent / "world", "--as-of", "2026-06-01", "--version", "1").stdout
    assert found["leads"][0]["lead_id"] in shown


def decided(home: Path) -> Counter[str]:
    """How often each lead was."""
    parts = Wiring(Settings(home=home))
    with database.reading(parts.engine) as connection:
        found = Counter(connection.execute(select(decision_payloads.c.lead_id)).scalars())
    parts.close()
    return found


def test_promotion_and_rollback_keep_their_history(eql: Run) -> None:
    assert eql("train", "--seed", 1).returncode == 0
    refused = eql("promote", "2", "--reason", "newer")
    assert refused.returncode == 1
    assert "not significantly better" in refused.stderr
    assert eql("promote", "2", "--force", "--reason", "newer", "--actor", "tests").returncode == 0
    rolled = eql("rollback", "--reason", "worse", "--actor", "tests", "--json")
    assert json.loads(rolled.stdout)["version"] == "1"
    history = json.loads(eql("models", "--json").stdout)["history"]
    champions = [
        (change["previous"], change["version"], change["reason"]) for change in history if change["alias"] == "champion"
    ]
    assert champions == [(None, "1", "first"), ("1", "2", "newer"), ("2", "1", "worse")]


def test_the_open_leads_are_scored_once_by_a_promotion_or_a_worker(eql: Run, trained_home: Path) -> None:
    before = decided(trained_home)
    scored = json.loads(eql("promote", "1", "--force", "--reason", "once", "--json").stdout)
    assert (scored["left"], scored["scored"]) == (0, len(before))
    assert eql("worker", "--once").returncode == 0
    assert decided(trained_home) - before == Counter(dict.fromkeys(before, 1))


def test_doctor_finds_nothing_wrong(eql: Run) -> None:
    done = eql("doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert all(check["ok"] for check in json.loads(done.stdout))
