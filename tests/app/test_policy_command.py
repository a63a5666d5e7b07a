"""`eql policy`: the default policy as a file, and a draft tried on the leads that were decided on lately."""

import json
from pathlib import Path

import pytest

from app.settings import Settings
from app.wiring import Wiring
from tests.app.test_seals import eql, score


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("EQL_HOME", str(tmp_path))
    return Wiring(Settings())


def test_a_draft_is_tried_on_the_last_decision_of_each_lead(wiring: Wiring, tmp_path: Path) -> None:
    score(wiring)
    score(wiring)
    draft = tmp_path / "draft.yaml"
    draft.write_text(eql("policy", "show"))
    same = json.loads(eql("policy", "dry-run", str(draft), "--json"))
    assert same == {
        "leads": 1,
        "skipped": 0,
        "standings": [{"before": "MQL", "after": "MQL", "leads": 1}],
        "changes": [],
    }
    demo = "{field: lead.channel, equals: demo_request}"
    draft.write_text(draft.read_text().replace(demo, demo.replace("demo_request", "other")))
    changed = json.loads(eql("policy", "dry-run", str(draft), "--json"))
    assert changed["changes"] == [
        {"lead_id": "L-1", "before": "MQL", "after": "UNQUALIFIED", "rules": ["first_party_engagement"]}
    ]
    assert "1 lead decided on in the last 30 days; changed: 1" in eql("policy", "dry-run", str(draft), "--days", "30")
