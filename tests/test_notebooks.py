"""The notebooks run from top to bottom, as scripts do, on records that teach little and on records that teach much."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.engines.duckdb import DuckDBEngine
from features.folder import FolderWriter
from features.partner_history import HORIZON_DAYS
from features.provenance import Attribute, Provenance
from features.records import KINDS
from features.value_types import DAY, Scalar
from models.probability import RUNGS, sigmoid
from training.data.snapshots import label_snapshots
from training.world.simulation import simulate

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
# In a process of its own, because libraries that only notebooks use may warn there; one for all, which import much.
RUN = """
import json, runpy, sys
from pathlib import Path

TOLD = {
    "explore": lambda f: {
        "leads": len(f["leads"]),
        "won": int(f["leads"].won.sum()),
        "rung": f["trained"].report.rung,
        "plots": [*f["pictures"]],
    },
    "add_a_feature": lambda f: {
        "duckdb": f["engines"]["DuckDB"].tolist(),
        "direct": f["engines"]["direct engine"].tolist(),
        "gain": f["gain"].to_dict("records"),
    },
    "train_and_compare": lambda f: {
        "promote": f["decision"].promote,
        "words": f["decision"].words,
        "cuts": [f[name].report.cut for name in ("before", "trained")],
        "rungs": [row["rung"] for row in f["rungs"]],
    },
    "read_a_model": lambda f: {
        "card": f["card_text"],
        "rung": f["bundle"].rung,
        "log_odds": f["contributions"]["log_odds"].tolist(),
        "points": f["contributions"]["points"].tolist(),
        "baseline": f["explanation"].baseline,
        "probability": f["probability"],
        "strongest": [*f["found"].features][0],
    },
    "diagnose_drift": lambda f: f["report"],
    "audit": lambda f: {"worst": f["worst"], "audit": f["audit"].to_dict("records")},
}
for place, path, *arguments in json.loads(sys.argv.pop()):
    sys.argv = [path, *arguments]
    _, found = runpy.run_path(path)["app"].run()
    print(json.dumps([place, Path(path).stem, TOLD[Path(path).stem](found)]))
"""
Told = Mapping[str, Any]


EVERY = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
READING = ("train_and_compare", "read_a_model", "diagnose_drift", "audit")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of all kinds, too few leads to learn from."""
    folder = tmp_path_factory.mktemp("world") / "records"
    simulate(folder, 150, 3, dt.date(2026, 6, 30))
    return folder


def telling_records(folder: Path) -> Path:
    """Two leads a day, of which one attribute tells much of the outcome."""
    rng, count, cut = np.random.default_rng(7), 1000, 20_000 * DAY
    size = rng.normal(size=count)
    won = rng.random(count) < sigmoid(1.4 * size - 0.5)
    leads: list[dict[str, Scalar]] = []
    events: list[dict[str, Scalar]] = []
    for n in range(count):
        created = cut - (count - n) * DAY // 2
        closed = created + (1 + n % 29) * DAY
        times: dict[str, Scalar] = {"occurred_at": created, "recorded_at": created, "deleted": False}
        lead: dict[str, Scalar] = {"lead_id": f"L{n:04}", "created_at": created, "region": ("emea", "apac")[n % 2]}
        leads.append(times | lead | {"attributes.size": float(size[n])})
        if closed <= cut:
            event: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n:04}", "deleted": False}
            event |= {"occurred_at": closed, "recorded_at": closed}
            events.append(event | {"event": "won" if won[n] else "lost"})
    with FolderWriter(folder, Provenance(cut, True, (Attribute("size", "number", "at_creation"),))) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
    return folder


@pytest.fixture(scope="module")
def found(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Told]:
    """What the notebooks find, by the records and the notebook."""
    folder = tmp_path_factory.mktemp("run")
    telling = telling_records(folder / "records")
    runs = [["world", str(NOTEBOOKS / f"{name}.py"), "--records", str(world)] for name in EVERY]
    more = ["--records", str(telling), "--days", "120"]
    runs += [["telling", str(NOTEBOOKS / f"{name}.py"), *more] for name in READING]
    command = [sys.executable, "-c", RUN, json.dumps(runs)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = {"world": {}, "telling": {}}
    for line in done.stdout.splitlines():
        place, name, said = json.loads(line)
        found[place][name] = said
    return found


@pytest.fixture
def told(found: Mapping[str, Told]) -> Told:
    """What every notebook finds in the small world."""
    return found["world"]


@pytest.fixture
def telling(found: Mapping[str, Told]) -> Told:
    """What those that read a model find where there is something to learn."""
    return found["telling"]


def test_every_notebook_runs(told: Told) -> None:
    assert [*told] == EVERY


def test_explore_shows_the_records_it_is_given(told: Told, world: Path) -> None:
    shown = told["explore"]
    with DuckDBEngine(world, HORIZON_DAYS) as engine:
        labelled = label_snapshots(engine, HORIZON_DAYS)
    assert shown["leads"] == labelled.at_creation.sum()
    assert shown["won"] == labelled.won[labelled.at_creation].sum()
    assert shown["rung"] in RUNGS
    assert "reliability.png" in shown["plots"]


def test_a_new_feature_has_the_same_values_by_both_engines(told: Told) -> None:
    tried = told["add_a_feature"]
    assert tried["duckdb"] == tried["direct"]
    assert any(tried["duckdb"])


def test_the_challenger_knows_more_than_the_champion_it_is_compared_with(told: Told, telling: Told) -> None:
    for compared in (told["train_and_compare"], telling["train_and_compare"]):
        before, now = compared["cuts"]
        assert before < now
        assert compared["words"]
    assert {*telling["train_and_compare"]["rungs"]} <= {*RUNGS}
    assert "log loss less the champion's" in telling["train_and_compare"]["words"]


def test_a_model_is_read_whether_it_has_learned_or_not(told: Told, telling: Told) -> None:
    assert told["read_a_model"]["rung"] == "base_rate"
    assert "No feature changes its probabilities" in told["read_a_model"]["card"]
    learned = telling["read_a_model"]
    assert learned["rung"] != "base_rate"
    assert learned["strongest"] == "size"
    assert "size" in learned["card"]
    for read in (told["read_a_model"], learned):
        assert sum(read["points"]) == pytest.approx(100 * (read["probability"] - read["baseline"]), abs=1e-9)


def test_drift_is_diagnosed_or_what_is_missing_for_it_said(told: Told, telling: Told) -> None:
    assert any("drift of what goes in was not looked for" in note for note in told["diagnose_drift"]["notes"])
    assert {feature["name"] for feature in telling["diagnose_drift"]["features"]} >= {"size", "region"}
    assert telling["diagnose_drift"]["verdict"] in ("fine", "watch", "retrain")


def test_the_audit_weighs_every_segment_that_is_large_enough(told: Told, telling: Told) -> None:
    audit = {(row["by"], row["segment"]): row for row in telling["audit"]["audit"]}
    assert {("region", "emea"), ("region", "apac"), ("size", "unknown")} <= {*audit}
    sides = [audit["region", "emea"], audit["region", "apac"]]
    every = audit["size", "unknown"]
    assert sum(side["leads"] for side in sides) == every["leads"]
    assert sum(side["gap"] * side["leads"] for side in sides) / every["leads"] == pytest.approx(every["gap"])
    assert all(row["gap_low"] <= row["gap"] <= row["gap_high"] for row in audit.values())
    assert "widest gap" in telling["audit"]["worst"]
    assert told["audit"]["worst"]
