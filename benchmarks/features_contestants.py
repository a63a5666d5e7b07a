"""Contestants that compute the features of the integration_usage family from a folder of records, one a process.

`python -m benchmarks.features_contestants NAME HOME OUT` writes the features of a usage world's snapshots to the
Parquet file OUT. It prints the seconds from the files to the result as Arrow (without imports), the CPU seconds, and
the peak memory of the process and its children in MiB. Every contestant honours corrections, tombstones and recording
times.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from benchmarks.usage_world import RECORDS, SNAPSHOTS
from features.catalogue import integration_usage
from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine
from features.engines.spark import SparkEngine
from features.partner_history import HORIZON_DAYS
from features.value_types import DAY

MEMORY = "6GB"
BY_HAND = Path(__file__).parent / "features_by_hand.sql"
CATALOGUE = Catalogue(integration_usage.ENTRIES)


def ours(home: Path) -> pa.Table:
    """The catalogue on the DuckDB engine."""
    with DuckDBEngine(home / RECORDS, HORIZON_DAYS, memory_limit=MEMORY) as engine:
        return engine.evaluate(CATALOGUE, pq.read_table(home / SNAPSHOTS))


def by_hand(home: Path) -> pa.Table:
    """SQL written by hand, on the same DuckDB with the same memory limit and a folder to spill to."""
    records = home / RECORDS
    files = {"usage": records / "integration_usage.parquet", "leads": records / "leads.parquet"}
    with ExitStack() as stack:
        spill = stack.enter_context(tempfile.TemporaryDirectory())
        connection = stack.enter_context(duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}))
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        connection.execute(BY_HAND.read_text().format(**files, snapshots=home / SNAPSHOTS))
        return connection.sql("FROM result").to_arrow_table()


def pandas(home: Path) -> pa.Table:
    """Pandas as in a notebook: merge the snapshots with all usage, keep the visible rows, group."""
    usage = pd.read_parquet(home / RECORDS / "integration_usage.parquet")
    leads = pd.read_parquet(home / RECORDS / "leads.parquet", columns=["lead_id", "account_id", "source_partner_id"])
    snapshots = _read_snapshots(home)
    visible = snapshots.merge(leads, on="lead_id").merge(usage, on="account_id", suffixes=("", "_used"))
    visible = visible[visible["recorded_at"] <= visible["moment"]].sort_values("recorded_at", kind="stable")
    visible = visible.drop_duplicates(["snapshot", "usage_id"], keep="last")
    visible = visible[(visible["occurred_at"] <= visible["moment"]) & ~visible["deleted"]]
    return pa.Table.from_pandas(_aggregate(snapshots, visible), preserve_index=False)


def _read_snapshots(home: Path) -> Any:
    snapshots = pd.read_parquet(home / SNAPSHOTS)
    snapshots["moment"] = pd.to_datetime(snapshots["as_of"], unit="us", utc=True)
    snapshots = snapshots.sort_values(["lead_id", "as_of"], ignore_index=True)
    snapshots["snapshot"] = snapshots.index
    return snapshots


def prepared_pandas(home: Path) -> pa.Table:
    """Pandas by an expert: only the needed columns, and superseded rows are marked before the merge."""
    used = ["usage_id", "account_id", "occurred_at", "recorded_at", "deleted", "integration", "partner_id", "day"]
    usage = pd.read_parquet(home / RECORDS / "integration_usage.parquet", columns=[*used, "calls", "active_users"])
    corrected = usage[usage["usage_id"].duplicated(keep=False)].sort_values("recorded_at", kind="stable")
    usage["superseded_at"] = corrected.groupby("usage_id")["recorded_at"].shift(-1)
    usage = usage.drop(columns="usage_id")
    leads = pd.read_parquet(home / RECORDS / "leads.parquet", columns=["lead_id", "account_id", "source_partner_id"])
    snapshots = _read_snapshots(home)
    visible = snapshots.merge(leads, on="lead_id").merge(usage, on="account_id")
    visible = visible[
        (visible["occurred_at"] <= visible["moment"])
        & (visible["recorded_at"] <= visible["moment"])
        & ~visible["deleted"]
    ]
    visible = visible[visible["superseded_at"].isna() | (visible["superseded_at"] > visible["moment"])]
    return pa.Table.from_pandas(_aggregate(snapshots, visible), preserve_index=False)


def _aggregate(snapshots: Any, visible: Any) -> Any:
    age = visible["moment"] - visible["occurred_at"]
    days = {name: pd.Timedelta(days=number) for name, number in (("7d", 7), ("30d", 30), ("90d", 90))}
    recent = {name: visible[age < window] for name, window in days.items()}
    before = visible[(age >= days["30d"]) & (age < 2 * days["30d"])]
    recent_source = recent["30d"][recent["30d"]["partner_id"] == recent["30d"]["source_partner_id"]]
    features = snapshots[["lead_id", "as_of"]].copy()
    for name, rows in recent.items():
        features[f"integration_active_days_{name}"] = rows.groupby("snapshot")["day"].nunique()
        features[f"integration_calls_{name}"] = rows.groupby("snapshot")["calls"].sum()
    features["integrations_used_90d"] = recent["90d"].groupby("snapshot")["integration"].nunique()
    features["integration_users_max_30d"] = recent["30d"].groupby("snapshot")["active_users"].max()
    features["source_partner_active_days_30d"] = recent_source.groupby("snapshot")["day"].nunique()
    last, first = visible.groupby("snapshot")["occurred_at"].max(), visible.groupby("snapshot")["occurred_at"].min()
    days_before, calls_before = before.groupby("snapshot")["day"].nunique(), before.groupby("snapshot")["calls"].sum()
    features = features.fillna(0)
    features["integration_active_days_trend"] = features["integration_active_days_30d"].sub(days_before, fill_value=0)
    features["integration_calls_trend"] = features["integration_calls_30d"].sub(calls_before, fill_value=0)
    counts = {name: "int64" for name in CATALOGUE.names if name in features}
    features["integration_recency_days"] = (snapshots["moment"] - last) / pd.Timedelta(microseconds=DAY)
    features["integration_first_use_days"] = (snapshots["moment"] - first) / pd.Timedelta(microseconds=DAY)
    return features.astype(counts)


def spark(home: Path) -> pa.Table:
    """The catalogue on the Spark engine of this machine, with the start of Spark."""
    settings = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "16", "spark.ui.enabled": "false"}
    settings["spark.ui.showConsoleProgress"] = "false"
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    with SparkEngine(home / RECORDS, HORIZON_DAYS, session) as engine:
        return engine.evaluate(CATALOGUE, pq.read_table(home / SNAPSHOTS))


CONTESTANTS: Mapping[str, Callable[[Path], pa.Table]] = {
    "ours": ours,
    "by hand": by_hand,
    "pandas": pandas,
    "prepared pandas": prepared_pandas,
    "spark": spark,
}


def peak_mib() -> float:
    """Peak memory of this process and its living children, MiB (Linux)."""
    current = psutil.Process()
    processes = (current, *current.children(recursive=True))
    statuses = (Path(f"/proc/{process.pid}/status").read_text() for process in processes)
    peaks = [status.partition("VmHWM:")[2].split() for status in statuses]
    return sum(int(words[0]) for words in peaks if words) / 1024


def main(name: str, home: str, out: str) -> None:
    """Run one contestant; print seconds and peak MiB as JSON."""
    start = time.perf_counter()
    features = CONTESTANTS[name](Path(home))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "cpu_seconds": time.process_time(), "peak_mib": peak_mib()}))
    pq.write_table(features.select(["lead_id", "as_of", *CATALOGUE.names]), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
