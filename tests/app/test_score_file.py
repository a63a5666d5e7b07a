"""`eql score FILE` and `POST /v1/score/batch` decide in the same way, with the partner history of the store."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from app.settings import Settings
from app.wiring import Wiring
from features.records import KINDS, PARTNER_HISTORY, TIER_HISTORY
from features.rows import stored
from features.value_types import parse_instant
from serving.access import keys
from serving.app import create_app
from serving.records import versions
from serving.records.bodies import to_dict
from serving.records.facts import facts_of_many
from serving.scoring.requests import ScoreRequest
from serving.store.database import reading

Run = Callable[..., subprocess.CompletedProcess[str]]
AS_OF = "2026-06-01T00:00:00Z"
ADDED = {"decision_id", "created_at", "partner_history"}
"""What the API adds to a decision."""
BATCH = 20


@pytest.fixture
def home(trained_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_home, tmp_path / "home"))


@pytest.fixture
def wiring(home: Path) -> Iterator[Wiring]:
    parts = Wiring(Settings(home=home))
    yield parts
    parts.close()


def bodies(wiring: Wiring) -> list[dict[str, Any]]:
    """The leads of the store with a source partner, each with the facts that were recorded by the moment."""
    moment = parse_instant(AS_OF)
    with reading(wiring.engine) as connection:
        rows = versions.versions(connection, KINDS["leads"])
        ids = sorted({row["lead_id"] for row in rows if row["source_partner_id"] and row["recorded_at"] < moment})
        return [body(facts, moment) for _, facts in facts_of_many(connection, ids, moment)]


def body(facts: dict[str, Any], moment: int) -> dict[str, Any]:
    def records(name: str) -> list[dict[str, Any]]:
        kind = KINDS[name]
        known = [row for row in facts[name] if row["recorded_at"] <= moment]
        contents = [to_dict(stored(kind, row)) for row in known]
        fields = kind.model.model_fields
        return [{n: v for n, v in content.items() if n in fields and v is not None} for content in contents]

    lists = {name: records(name) for name in ScoreRequest.model_fields if name in KINDS}
    accounts = records("accounts")
    account = {"account": accounts[-1]} if accounts else {}
    given = {name: found for name, found in lists.items() if found}
    return {"as_of": AS_OF, "lead": records("leads")[-1], **account, **given}


def lose_every_partner_lead(wiring: Wiring) -> None:
    """Makes the partner history of the store another one than the bundle's copy."""
    with wiring.engine.begin() as connection:
        kinds = (PARTNER_HISTORY, TIER_HISTORY)
        changed = {kind: [{**row, "wins": 0} for row in versions.versions(connection, kind)] for kind in kinds}
        versions.replace_derived(connection, changed)


def of_file(run_eql: Run, home: Path, source: Path, out: Path) -> list[dict[str, Any]]:
    done = run_eql(home, "score", source, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rejected"] == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def of_api(wiring: Wiring, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    app = create_app(wiring.service)
    with wiring.engine.begin() as connection:
        key = keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)

    async def post() -> list[dict[str, Any]]:
        decisions = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://eql.test") as client:
            for start in range(0, len(contents), BATCH):
                items = {"items": contents[start : start + BATCH]}
                answer = await client.post("/v1/score/batch", json=items, headers={"X-Api-Key": key})
                assert answer.status_code == 200, answer.text
                decisions += answer.json()["items"]
        return decisions

    return anyio.run(post)


def test_a_file_and_the_api_decide_alike_by_the_partner_history_of_the_store(
    run_eql: Run, wiring: Wiring, home: Path, tmp_path: Path
) -> None:
    contents, source = bodies(wiring), tmp_path / "leads.ndjson"
    source.write_text("".join(f"{json.dumps(content)}\n" for content in contents))
    before = of_file(run_eql, home, source, tmp_path / "before.ndjson")
    lose_every_partner_lead(wiring)
    decisions = of_file(run_eql, home, source, tmp_path / "after.ndjson")
    answers = of_api(wiring, contents)
    assert len(decisions) == len(answers) == len(contents) > 50
    assert [{name: value for name, value in a.items() if name not in ADDED} for a in answers] == decisions
    assert {answer["partner_history"] for answer in answers} == {"store"}
    # Another history changes what is decided, so the file did not read the bundle's copy.
    assert decisions != before


def test_the_input_is_never_written_over(home: Path, run_eql: Run, tmp_path: Path) -> None:
    source = tmp_path / "leads.ndjson"
    source.write_text("{}\n")
    assert run_eql(home, "score", source, "--out", source).returncode == 2
    assert source.read_text() == "{}\n"


def test_a_byte_order_mark_costs_no_lead_and_rejected_lines_are_counted_once(
    home: Path, run_eql: Run, tmp_path: Path
) -> None:
    source, out = tmp_path / "leads.ndjson", tmp_path / "decisions.ndjson"
    refused = '{"lead": {"lead_id": "L-2", "email": 1, "channel": 2}}'
    source.write_text(f'\ufeff{{"lead": {{"lead_id": "L-1"}}}}\n\n{refused}\n')
    done = run_eql(home, "score", source, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"scored": 1, "rejected": 1, "out": str(out)}
    assert json.loads(out.read_text())["lead_id"] == "L-1"
    rejects = (tmp_path / "decisions.ndjson.rejects.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in rejects[1:]] == [["3", "lead.email"], ["3", "lead.channel"]]

    out.unlink()
    source.write_text(f"{refused}\nno JSON\n")
    failed = run_eql(home, "score", source, "--out", out)
    assert failed.returncode == 1
    assert "no line of" in failed.stderr
    assert "all 2 are in" in failed.stderr
    assert not out.exists()
    source.write_text("\n")
    assert "holds no line; give a file" in run_eql(home, "score", source, "--out", out).stderr
