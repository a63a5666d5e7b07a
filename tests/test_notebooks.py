"""The notebooks run from top to bottom, as scripts do."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

from features.engines.duckdb import DuckDBEngine
from models.probability import RUNGS
from training.snapshots import label
from training.trainer import HORIZON_DAYS
from training.world.simulation import simulate

ROOT = Path(__file__).parent.parent
# In a process of its own, because libraries that only notebooks use may warn there.
RUN = """
import json, runpy, sys
notebook = sys.argv.pop(1)
_, found = runpy.run_path(notebook)["app"].run()
leads, report, plots = found["leads"], found["trained"].report, [*found["pictures"]]
print(json.dumps({"leads": len(leads), "won": int(leads.won.sum()), "rung": report["rung"], "plots": plots}))
"""


def test_explore_shows_the_records_it_is_given(tmp_path: Path) -> None:
    records = tmp_path / "records"
    simulate(records, 150, 3, dt.date(2026, 6, 30))
    command = [sys.executable, "-c", RUN, str(ROOT / "notebooks" / "explore.py"), "--records", str(records)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    with DuckDBEngine(records, HORIZON_DAYS) as engine:
        labelled = label(engine, HORIZON_DAYS)
    assert shown["leads"] == labelled.at_creation.sum()
    assert shown["won"] == labelled.won[labelled.at_creation].sum()
    assert shown["rung"] in RUNGS
    assert "reliability.png" in shown["plots"]
