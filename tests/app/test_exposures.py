"""`eql exposures` and the settings behind it: what was logged comes out, and a share that is none is refused."""

import csv
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app import settings
from app.settings import InvalidSetting
from app.wiring import Wiring
from features.value_types import parse_date
from operations.exploration import Exploration, Exposure
from serving.decisions import stored_decisions
from serving.decisions.stored_decisions import StoredDecision
from serving.work_list import exposures
from tests.app.conftest import with_store

Run = Callable[..., subprocess.CompletedProcess[str]]

FIRST = Exposure(
    lead_id="L-1",
    day=parse_date("2026-06-01"),
    decision_id="D-1",
    score=0.25,
    share=0.05,
    seed="spring",
    randomised=True,
    view="passed",
    listed=40,
    position=7,
    position_by_score=31,
)
SECOND = replace(FIRST, lead_id="L-2", score=None, randomised=False, position=8, position_by_score=7)


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    for name, value in {"HOME": str(tmp_path), "EXPLORATION_SHARE": "0.05", "EXPLORATION_SEED": "spring"}.items():
        monkeypatch.setenv(f"EQL_{name}", value)
    return Wiring(settings.read())


def test_the_settings_reach_the_service_and_are_off_by_default(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wiring.service.exploration == Exploration(0.05, "spring")
    monkeypatch.delenv("EQL_EXPLORATION_SHARE")
    assert settings.read().exploration.share == 0


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan", "much", ""])
def test_a_share_that_is_none_is_refused_by_name(share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQL_EXPLORATION_SHARE", share)
    with pytest.raises(InvalidSetting, match=rf"^EQL_EXPLORATION_SHARE: .*, not '{share}'"):
        settings.read()


def test_what_was_logged_comes_out_as_it_went_in(wiring: Wiring, run_eql: Run, tmp_path: Path) -> None:
    with wiring.engine.begin() as connection:
        stored_decisions.add(
            connection,
            [
                StoredDecision(
                    decision_id="D-1", lead_id="L-1", stored=True, as_of=1, created_at=1, content="{}", salt="s"
                )
            ],
        )
        exposures.add(connection, [SECOND, FIRST])
        exposures.add(connection, [replace(FIRST, position=1)])
    done = run_eql(tmp_path, "exposures", "--out", tmp_path / "out.parquet")
    assert done.stdout.endswith("2 leads shown, 1 of them at random places\n"), done.stderr
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows == [{**one.row(), "day": "2026-06-01"} for one in (FIRST, SECOND)]


def test_an_empty_log_is_a_table_without_rows(run_eql: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run_eql(with_store(tmp_path / "home"), "exposures", "--out", out).returncode == 0
    assert next(csv.reader(out.read_text().splitlines()))[:2] == ["day", "lead_id"]
