"""A second import into a home: the same export adds nothing, a later one only what it says anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.wiring import Wiring
from features.records import KINDS
from features.value_types import parse_instant
from serving.records import provenance, versions
from serving.store.database import reading

MAPPING = """
cut: {cut}
records:
  leads:
    file: leads.csv
    id: {id}
    occurred_at: created
    fields: {{region: region}}
  touchpoints:
    file: touches.csv
    lead: lead
    occurred_at: at
    fields: {{channel: {{value: webinar}}}}
"""
FIRST = {
    "leads.csv": "id,created,region\nL-1,2026-01-05,EMEA\nL-2,2026-01-06,APAC\n",
    "touches.csv": "lead,at\nL-1,2026-01-07\nL-1,2026-01-07\nL-2,2026-01-08\n",
}
LATER = {
    "leads.csv": "id,created,region\nL-1,2026-01-05,AMER\nL-2,2026-01-06,APAC\nL-3,2026-02-01,EMEA\n",
    "touches.csv": "lead,at\nL-3,2026-02-02\nL-1,2026-01-07\nL-2,2026-01-08\nL-1,2026-01-07\n",
}
Import = Callable[..., Any]


@pytest.fixture
def imported(run_eql: Any, tmp_path: Path) -> Import:
    def run(files: dict[str, str], cut: str, identity: str = "id", code: int = 0) -> Any:
        (tmp_path / "export").mkdir(exist_ok=True)
        for name, content in files.items():
            (tmp_path / "export" / name).write_text(content)
        (tmp_path / "crm.yaml").write_text(MAPPING.format(cut=cut, id=identity))
        done = run_eql(tmp_path / "home", "import", tmp_path / "export", "--mapping", tmp_path / "crm.yaml", "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)["added"] if code == 0 else done.stderr

    return run


def rows(home: Path, kind: str) -> list[Any]:
    parts = Wiring(Settings(home=home))
    try:
        with reading(parts.engine) as connection:
            return list(versions.versions(connection, KINDS[kind]))
    finally:
        parts.close()


def test_the_same_export_twice_adds_nothing_and_two_equal_touches_stay_two(imported: Import, tmp_path: Path) -> None:
    assert imported(FIRST, "2026-01-31") == {"new": 5, "changed": 0, "equal": 0, "reopened": []}
    assert imported(FIRST, "2026-01-31") == {"new": 0, "changed": 0, "equal": 5, "reopened": []}
    assert len(rows(tmp_path / "home", "touchpoints")) == 3


def test_a_later_export_changes_nothing_that_was_known_before(imported: Import, tmp_path: Path) -> None:
    imported(FIRST, "2026-01-31")
    assert imported(LATER, "2026-02-28") == {"new": 2, "changed": 1, "equal": 4, "reopened": []}
    first, changed = [row for row in rows(tmp_path / "home", "leads") if row["lead_id"] == "L-1"]
    assert (first["region"], first["recorded_at"]) == ("EMEA", parse_instant("2026-01-05T00:00:00Z"))
    assert (changed["region"], changed["recorded_at"]) == ("AMER", parse_instant("2026-03-01T00:00:00Z"))


CLOSES = """
records:
  leads: {file: leads.csv, id: id, occurred_at: created, outcome: {column: region, won: ["Won"], lost: ["Lost"]}}
"""


def test_the_first_import_must_close_a_lead_and_a_later_one_need_not(run_eql: Any, tmp_path: Path) -> None:
    mapping, export = tmp_path / "crm.yaml", tmp_path / "export"
    export.mkdir()
    mapping.write_text(CLOSES)

    def run(rows: str) -> Any:
        (export / "leads.csv").write_text(f"id,created,region\n{rows}")
        return run_eql(tmp_path / "home", "import", export, "--mapping", mapping)

    refused = run("L-1,2026-01-05,EMEA\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no row has a text of won or lost ('Won', 'Lost'), so nothing was imported" in refused.stderr
    assert "region holds 'EMEA' (1)" in refused.stderr
    assert run("L-1,2026-01-05,WON \n").returncode == 0
    later = run("L-2,2026-01-06,EMEA\n")
    assert later.returncode == 0
    assert "won: Won (0)" in later.stdout


OUTCOMES = """
timezone: UTC
records:
  leads:
    file: leads.csv
    id: id
    occurred_at: created
    outcome: {column: status, won: ["Won"], lost: ["Lost"], closed_at: closed}
    attributes: {reason: {kind: category, known: KNOWN}}
cut: "CUT"
"""


def test_a_lead_that_a_later_export_has_as_open_is_open_from_its_cut_on(run_eql: Any, tmp_path: Path) -> None:
    home, export, mapping = tmp_path / "home", tmp_path / "export", tmp_path / "crm.yaml"
    export.mkdir()

    def run(status: str, closed: str, cut: str, known: str = "at_creation") -> Any:
        mapping.write_text(OUTCOMES.replace("CUT", cut).replace("KNOWN", known))
        rows = f"L-1,2026-01-05,{status},{closed},no\nL-2,2026-01-06,Lost,2026-01-20,late\n"
        (export / "leads.csv").write_text(f"id,created,status,closed,reason\n{rows}")
        done = run_eql(home, "import", export, "--mapping", mapping)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outcomes() -> list[tuple[str, bool]]:
        return [(row["event"], row["deleted"]) for row in rows(home, "lead_events") if row["lead_id"] == "L-1"]

    won, negotiating = ("Won", "2026-01-25", "2026-02-01"), ("Negotiation", "", "2026-03-01")
    run(*won)
    assert outcomes() == [("won", False)]
    assert "1 leads that the store had as closed are open in this export: L-1" in run(*negotiating)
    assert outcomes() == [("won", False), ("won", True)]
    assert "are open in this export" not in run(*negotiating), "it is withdrawn once"
    # The first export again knows nothing newer.
    assert "0 new records, 0 changed ones" in run(*won)
    assert outcomes() == [("won", False), ("won", True)]
    run("Won", "2026-03-15", "2026-04-01")
    assert outcomes()[-1] == ("won", False)
    # What turns out to be filled in at the close leaves training.
    run("Won", "2026-03-15", "2026-04-01", known="later")
    parts = Wiring(Settings(home=home))
    with reading(parts.engine) as connection:
        known = provenance.read(connection).attributes
    parts.close()
    assert [(each.name, each.known) for each in known] == [("reason", "later")]


def test_leads_numbered_by_row_are_imported_once(imported: Import) -> None:
    leads = {**FIRST, "touches.csv": "lead,at\n1,2026-01-07\n"}
    imported(leads, "2026-01-31", "row")
    assert "numbers leads by row" in imported(leads, "2026-01-31", "row", code=1)


def test_a_folder_of_records_twice_adds_nothing(run_eql: Any, imported: Import, tmp_path: Path) -> None:
    imported(FIRST, "2026-01-31")
    imported(LATER, "2026-02-28")
    assert run_eql(tmp_path / "home", "export", tmp_path / "records").returncode == 0
    counts = [
        json.loads(run_eql(tmp_path / "other", "import", tmp_path / "records", "--json").stdout)["added"]
        for _ in range(2)
    ]
    assert counts == [
        {"new": 8, "changed": 0, "equal": 0, "reopened": []},
        {"new": 0, "changed": 0, "equal": 8, "reopened": []},
    ]
