"""`eql seals` and `eql decisions`: a head to keep, a chain that verifies, and what they say when it does not."""

import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings
from app.wiring import Wiring, now
from serving.decisions import stored_decisions
from serving.decisions.tables import decision_payloads
from serving.http.bodies import read
from serving.scoring.inputs import SentLead
from serving.scoring.requests import ScoreRequest
from tests.app.conftest import with_store

BODY = json.dumps({"lead": {"lead_id": "L-1", "channel": "demo_request"}}).encode()


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("EQL_HOME", str(tmp_path))
    return Wiring(Settings())


def eql(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def score(wiring: Wiring) -> str:
    request, sent = read(ScoreRequest, BODY)
    scoring, scorer = wiring.service.scoring, wiring.service.champion.scorer()
    [decision] = scoring.decide(scorer, [SentLead(request, sent, 1)])
    scoring.keep_policy(scorer, now())
    with wiring.engine.begin() as connection:
        stored_decisions.add(connection, [decision.stored])
    return decision.stored.decision_id


def test_a_head_is_kept_and_what_was_altered_since_is_named(wiring: Wiring, tmp_path: Path) -> None:
    with_store(tmp_path)
    with pytest.raises(ValueError, match="score a lead first"):
        eql("seals", "head")
    altered, head = [score(wiring), score(wiring)][0], tmp_path / "head.json"
    head.write_text(eql("seals", "head"))
    assert eql("seals", "head") == head.read_text()
    score(wiring)
    verdict = json.loads(eql("seals", "verify", "--head", str(head), "--json"))
    assert verdict == {
        "seals": 1,
        "decisions": 2,
        "erased": 0,
        "unsealed": 1,
        "head": json.loads(head.read_text())["head"],
        "fault": None,
    }
    assert "3 decisions are equal" in eql("decisions", "replay", "--from", "facts")
    with wiring.engine.begin() as connection:
        chosen = decision_payloads.c.decision_id == altered
        content = decision_payloads.c.content + " "
        connection.execute(update(decision_payloads).where(chosen).values(content=content))
    with pytest.raises(ValueError, match=altered):
        eql("seals", "verify")
    with pytest.raises(ValueError, match=altered):
        eql("decisions", "replay")


def test_a_file_that_holds_no_head_is_refused(wiring: Wiring, tmp_path: Path) -> None:
    (tmp_path / "head.json").write_text("[]")
    with pytest.raises(ValueError, match="eql seals head"):
        eql("seals", "verify", "--head", str(tmp_path / "head.json"))
