"""A flat export, which never recorded most kinds of facts: nothing is said of them, and leads reach what they can."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.wiring import Wiring, now
from features.catalogue import CATALOGUE
from features.engines.duckdb import DuckDBEngine
from features.partner_history import HORIZON_DAYS
from features.records import KINDS, Stored, parse
from features.value_types import DAY, iso_date
from serving.champion.scorer_cache import ScorerCache
from serving.decisions import current_scores, stored_decisions
from serving.records import delivery, versions
from serving.replay.replay import replay
from serving.scoring.stored_leads import rescore
from serving.store.database import reading
from tests.app.conftest import Eql

LEADS = """id,account,created,channel,partner,tier,referred,result,closed
L-1,A-1,{recent},demo_request,,,,,
L-2,A-1,{recent},partner_referral,P-1,gold,{recent},,
L-3,A-2,{recent},demo_request,,,,,
L-4,A-1,2026-01-01,demo_request,,,,won,2026-02-01
L-5,A-2,2026-01-01,demo_request,,,,lost,2026-02-01
"""
ACCOUNTS = "id,size,industry,country\nA-1,400,software,DE\nA-2,3,software,DE\n"
MAPPING = """
records:
  accounts:
    {file: accounts.csv, id: id, fields: {employees: size, industry: industry, country: country}}
  leads:
    file: leads.csv
    id: id
    occurred_at: created
    fields:
      {account_id: account, channel: channel, source_partner_id: partner, programme_tier: tier,
       referral_date: referred}
    outcome: {column: result, won: [won], lost: [lost], closed_at: closed}
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "leads.csv").write_text(LEADS.format(recent=iso_date(now() - 10 * DAY)))
    (folder / "accounts.csv").write_text(ACCOUNTS)
    (folder / "mapping.yaml").write_text(MAPPING)
    return folder


def imported(run_eql: Eql, home: Path, export: Path) -> dict[str, Any]:
    done = run_eql(home, "import", export, "--mapping", export / "mapping.yaml", "--json")
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def decisions(home: Path) -> dict[str, Any]:
    """The open leads' current decisions, decided anew."""
    parts = Wiring(Settings(home=home))
    list(rescore(parts.service.scoring, ["L-1", "L-2", "L-3"]))
    with reading(parts.engine) as connection:
        scores = current_scores.of_leads(connection, ["L-1", "L-2", "L-3"])
        kept = {score.lead_id: stored_decisions.get(connection, score.decision_id) for score in scores}
        scorers = ScorerCache(CATALOGUE)
        for each in kept.values():
            assert each is not None
            assert replay(connection, scorers, each, "facts").equal
            assert replay(connection, scorers, each, "features").equal
    parts.close()
    return {lead: json.loads(each.content) for lead, each in kept.items() if each}


def rule(decision: Any, name: str) -> Any:
    [found] = [each for each in decision["rules"] if each["rule"] == name]
    return found


def test_what_was_never_recorded_is_unknown_and_holds_no_lead_back(run_eql: Eql, tmp_path: Path, export: Path) -> None:
    home = tmp_path / "home"
    notes = " ".join(imported(run_eql, home, export)["reach"])
    assert (
        "not recorded: integration usage, referrals, confirmations, shared customers, touchpoints, buying sign" in notes
    )
    assert "can reach under the default policy: SQL, MQL; an EQL also needs confirmations, buying signals" in notes
    found = decisions(home)
    signal = rule(found["L-1"], "buying_signal")
    assert signal["outcome"] == "unknown"
    assert signal["reason"].startswith("not recorded: ")
    assert "buying_signals" in found["L-1"]["not_recorded"]
    # Nobody judged the probability here, so a first-party lead reaches what needs none.
    assert [found[lead]["qualification"] for lead in ("L-1", "L-3")] == ["MQL", "MQL"]
    assert not found["L-1"]["pending"]
    assert found["L-2"]["pending"]
    assert "Ask the partner to confirm fit and intent" in found["L-2"]["missing"]
    # An account that does not fit is a fact, and it still counts.
    assert rule(found["L-3"], "icp_fit")["outcome"] == "fail"


def test_training_and_serving_miss_the_same_features(run_eql: Eql, tmp_path: Path, export: Path) -> None:
    home = tmp_path / "home"
    imported(run_eql, home, export)
    parts = Wiring(Settings(home=home))
    with parts.records() as folder, DuckDBEngine(folder, HORIZON_DAYS) as engine:
        moment = now()
        catalogue = parts.service.champion.scorer().catalogue
        rows = engine.evaluate(catalogue, engine.open_leads(moment)).to_pylist()
    row = next(each for each in rows if each["lead_id"] == "L-1")
    parts.close()
    decisions(home)
    with reading(parts.engine) as connection:
        score = current_scores.get(connection, "L-1")
        kept = stored_decisions.get(connection, score.decision_id) if score else None
    served = json.loads(kept.features)["features"] if kept else {}
    assert row["buying_signals"] is None
    names = [name for name, value in row.items() if value is None and name in served]
    assert names
    assert {name for name in served if served[name] is None} == {*names}


def test_a_kind_counts_from_its_first_record_on_and_a_declared_kind_always(
    run_eql: Eql, tmp_path: Path, export: Path
) -> None:
    home = tmp_path / "home"
    imported(run_eql, home, export)
    parts = Wiring(Settings(home=home))
    with reading(parts.engine) as connection:
        assert "buying_signals" in delivery.absent(connection, now())
    kind, at = KINDS["buying_signals"], now() - 10
    record = parse(kind, {"kind": "demo_request", "occurred_at": at - 5, "recorded_at": at})
    with parts.engine.begin() as connection:
        versions.add(connection, [Stored(kind, "S-1", record, "L-3")])
    with reading(parts.engine) as connection:
        assert "buying_signals" not in delivery.absent(connection, at)
        assert "buying_signals" in delivery.absent(connection, at - 1)
    parts.close()
    found = decisions(home)
    assert rule(found["L-1"], "buying_signal")["outcome"] == "fail"

    mapping = export / "mapping.yaml"
    mapping.write_text("delivers: [confirmations]" + MAPPING)
    imported(run_eql, tmp_path / "other", export)
    parts = Wiring(Settings(home=tmp_path / "other"))
    with reading(parts.engine) as connection:
        assert "confirmations" not in delivery.absent(connection, 0)
    parts.close()


def test_a_store_that_callers_alone_fill_says_none(run_eql: Eql, tmp_path: Path) -> None:
    parts = Wiring(Settings(home=tmp_path))
    with reading(parts.engine) as connection:
        assert delivery.absent(connection, now()) == ()
    parts.close()
