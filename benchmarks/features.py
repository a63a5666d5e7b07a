"""Features of many snapshots from 1 to 100 million rows of usage, beside the peers.

Each contestant runs in a process of its own, so that its peak of memory is its own; all must give the same features.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.usage_world import write_world

Result = dict[str, Any]

ROWS = (1_000_000, 10_000_000)
MOST_ROWS = {"by hand": 100_000_000, "pandas": 10_000_000, "prepared pandas": 10_000_000, "spark": 10_000_000}
"""Beyond, a peer needs more memory or patience than a benchmark may take."""

PEERS = {
    "by hand": "SQL by hand for DuckDB",
    "pandas": "pandas merge and filter",
    "prepared pandas": "pandas, corrections prepared",
    "spark": "Spark, local",
}


class Disagreement(AssertionError):
    """Two contestants gave different features for the same snapshots."""


def features(rows: int) -> list[Result]:
    """Seconds from the folder to the features as Arrow, load included, at `rows` rows of usage."""
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name:
        home = Path(name)
        write_world(home, rows)
        mine = _run("ours", home)
        return [
            _result(f"features-{rows // 1_000_000}m", mine, PEERS[peer], _run(peer, home, home / "ours"))
            for peer, most in MOST_ROWS.items()
            if rows <= most
        ]


def _run(name: str, home: Path, reference: Path | None = None) -> Result:
    out = home / name
    command = [sys.executable, "-m", "benchmarks.features_contestants", name, str(home), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{name} failed: {ended.stderr[-2000:]}")
    if reference:
        _agree(name, pq.read_table(reference), pq.read_table(out))
    measured: Result = json.loads(ended.stdout.splitlines()[-1])
    return measured


def _agree(name: str, ours: pa.Table, theirs: pa.Table) -> None:
    """Integers and text must be equal, reals within 1e-9."""
    for column in ours.column_names:
        mine, other = ours[column].combine_chunks(), theirs[column].combine_chunks().cast(ours[column].type)
        if pa.types.is_floating(mine.type):
            apart = pc.max(pc.abs(pc.subtract(mine, other))).as_py() or 0
            same = mine.is_null().equals(other.is_null()) and apart <= 1e-9
        else:
            same = mine.equals(other)
        if not same:
            raise Disagreement(f"{name} gives other values of {column}; mend the query or the contestant")


def _result(benchmark: str, ours: Result, peer: str, theirs: Result) -> Result:
    return {
        "benchmark": benchmark,
        "ours": ours["seconds"],
        "peer": peer,
        "theirs": theirs["seconds"],
        "ratio": theirs["seconds"] / ours["seconds"],
        "unit": "s",
        "peak_mib": ours["peak_mib"],
        "peer_peak_mib": theirs["peak_mib"],
    }
