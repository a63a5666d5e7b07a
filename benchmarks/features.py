"""Features of many snapshots over 1 to 100 million rows of usage, against the peers.

Each contestant runs in its own process, so that its peak memory is measured alone. All must give the same features.
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

from benchmarks.results import ResultRow
from benchmarks.usage_world import write_world

Measurement = dict[str, Any]
"""Seconds and peak memory of one contestant."""

ROWS = (1_000_000, 10_000_000)
MAX_ROWS = {"by hand": 100_000_000, "pandas": 10_000_000, "prepared pandas": 10_000_000, "spark": 10_000_000}
"""The largest size of each peer; beyond it, the peer needs too much memory or time."""

PEERS = {
    "by hand": "SQL by hand for DuckDB",
    "pandas": "pandas merge and filter",
    "prepared pandas": "pandas, corrections prepared",
    "spark": "Spark, local",
}


class Disagreement(AssertionError):
    """Two contestants gave different features for the same snapshots."""


def features(rows: int) -> list[ResultRow]:
    """Seconds from the folder to the features as Arrow, loading included, at `rows` rows of usage."""
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name:
        home = Path(name)
        write_world(home, rows)
        mine = _run("ours", home)
        return [
            _result_row(f"features-{rows // 1_000_000}m", mine, PEERS[peer], _run(peer, home, home / "ours"))
            for peer, max_rows in MAX_ROWS.items()
            if rows <= max_rows
        ]


def _run(name: str, home: Path, reference: Path | None = None) -> Measurement:
    out = home / name
    command = [sys.executable, "-m", "benchmarks.features_contestants", name, str(home), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    if reference:
        _check_agreement(name, pq.read_table(reference), pq.read_table(out))
    measured: Measurement = json.loads(done.stdout.splitlines()[-1])
    return measured


def _check_agreement(name: str, ours: pa.Table, theirs: pa.Table) -> None:
    """Checks that integers and text are equal, and reals within 1e-9.

    Raises:
        Disagreement: a column differs.
    """
    for column in ours.column_names:
        mine, other = ours[column].combine_chunks(), theirs[column].combine_chunks().cast(ours[column].type)
        if pa.types.is_floating(mine.type):
            difference = pc.max(pc.abs(pc.subtract(mine, other))).as_py() or 0
            same = mine.is_null().equals(other.is_null()) and difference <= 1e-9
        else:
            same = mine.equals(other)
        if not same:
            raise Disagreement(f"{name} gives other values of {column}; correct the query or the contestant")


def _result_row(benchmark: str, ours: Measurement, peer: str, theirs: Measurement) -> ResultRow:
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
