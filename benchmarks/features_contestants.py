"""Ways to get the features of the integration_usage family from a folder of records, one a process.

`python -m benchmarks.features_contestants NAME HOME OUT` writes the features of a usage world's snapshots to the
Parquet file OUT. It prints seconds from the files to the result as Arrow (imports aside), seconds of the processors in
all, and the peak memory of the process and its children in MiB. Every way honours corrections, tombstones and what was
recorded by as_of.
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
    """The catalogue through the DuckDB engine."""
    with DuckDBEngine(home / RECORDS, HORIZON_DAYS, memory_limit=MEMORY) as engine:
        return engine.evaluate(CATALOGUE, pq.read_table(home / SNAPSHOTS))


def by_hand(home: Path) -> pa.Table:
    """The SQL written by hand, in the same DuckDB with the same memory and as free to spill."""
    records = home / RECORDS
    files = {"usage": records / "integration_usage.parquet", "leads": records / "leads.parquet"}
    with ExitStack() as stack:
        spill = stack.enter_context(tempfile.TemporaryDirectory())
        connection = stack.enter_context(duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill}))
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        connection.execute(BY_HAND.read_text().format(**files, snapshots=home / SNAPSHOTS))
        return connection.sql("FROM result").to_arrow_table()


def pandas(home: Path) -> pa.Table:
    """Merge the snapshots with all usage, keep what was visible, group: as a notebook would."""
    usage = pd.read_parquet(home / RECORDS / "integration_usage.parquet")
    leads = pd.read_parquet(home / RECORDS / "leads.parquet", columns=["lead_id", "account_id", "source_partner_id"])
    asked = _asked(home)
    seen = asked.merge(leads, on="lead_id").merge(usage, on="account_id", suffixes=("", "_used"))
    seen = seen[seen["recorded_at"] <= seen["moment"]].sort_values("recorded_at", kind="stable")
    seen = seen.drop_duplicates(["snapshot", "usage_id"], keep="last")
    seen = seen[(seen["occurred_at"] <= seen["moment"]) & ~seen["deleted"]]
    return pa.Table.from_pandas(_grouped(asked, seen), preserve_index=False)


def _asked(home: Path) -> Any:
    asked = pd.read_parquet(home / SNAPSHOTS)
    asked["moment"] = pd.to_datetime(asked["as_of"], unit="us", utc=True)
    asked = asked.sort_values(["lead_id", "as_of"], ignore_index=True)
    asked["snapshot"] = asked.index
    return asked


def prepared_pandas(home: Path) -> pa.Table:
    """The same by an expert: only the columns used, and what a correction supersedes worked out before the merge."""
    used = ["usage_id", "account_id", "occurred_at", "recorded_at", "deleted", "integration", "partner_id", "day"]
    usage = pd.read_parquet(home / RECORDS / "integration_usage.parquet", columns=[*used, "calls", "active_users"])
    again = usage[usage["usage_id"].duplicated(keep=False)].sort_values("recorded_at", kind="stable")
    usage["superseded_at"] = again.groupby("usage_id")["recorded_at"].shift(-1)
    usage = usage.drop(columns="usage_id")
    leads = pd.read_parquet(home / RECORDS / "leads.parquet", columns=["lead_id", "account_id", "source_partner_id"])
    asked = _asked(home)
    seen = asked.merge(leads, on="lead_id").merge(usage, on="account_id")
    seen = seen[(seen["occurred_at"] <= seen["moment"]) & (seen["recorded_at"] <= seen["moment"]) & ~seen["deleted"]]
    seen = seen[seen["superseded_at"].isna() | (seen["superseded_at"] > seen["moment"])]
    return pa.Table.from_pandas(_grouped(asked, seen), preserve_index=False)


def _grouped(asked: Any, seen: Any) -> Any:
    age = seen["moment"] - seen["occurred_at"]
    days = {name: pd.Timedelta(days=number) for name, number in (("7d", 7), ("30d", 30), ("90d", 90))}
    recent = {name: seen[age < window] for name, window in days.items()}
    before = seen[(age >= days["30d"]) & (age < 2 * days["30d"])]
    recent_source = recent["30d"][recent["30d"]["partner_id"] == recent["30d"]["source_partner_id"]]
    found = asked[["lead_id", "as_of"]].copy()
    for name, rows in recent.items():
        found[f"integration_active_days_{name}"] = rows.groupby("snapshot")["day"].nunique()
        found[f"integration_calls_{name}"] = rows.groupby("snapshot")["calls"].sum()
    found["integrations_used_90d"] = recent["90d"].groupby("snapshot")["integration"].nunique()
    found["integration_users_max_30d"] = recent["30d"].groupby("snapshot")["active_users"].max()
    found["source_partner_active_days_30d"] = recent_source.groupby("snapshot")["day"].nunique()
    last, first = seen.groupby("snapshot")["occurred_at"].max(), seen.groupby("snapshot")["occurred_at"].min()
    days_before, calls_before = before.groupby("snapshot")["day"].nunique(), before.groupby("snapshot")["calls"].sum()
    found = found.fillna(0)
    found["integration_active_days_trend"] = found["integration_active_days_30d"].sub(days_before, fill_value=0)
    found["integration_calls_trend"] = found["integration_calls_30d"].sub(calls_before, fill_value=0)
    counts = {name: "int64" for name in CATALOGUE.names if name in found}
    found["integration_recency_days"] = (asked["moment"] - last) / pd.Timedelta(microseconds=DAY)
    found["integration_first_use_days"] = (asked["moment"] - first) / pd.Timedelta(microseconds=DAY)
    return found.astype(counts)


def spark(home: Path) -> pa.Table:
    """The catalogue through the Spark engine on this machine, its start included."""
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
    """The most memory this process and its living children ever held, in MiB (Linux)."""
    me = psutil.Process()
    statuses = (Path(f"/proc/{process.pid}/status").read_text() for process in (me, *me.children(recursive=True)))
    held = [status.partition("VmHWM:")[2].split() for status in statuses]
    return sum(int(words[0]) for words in held if words) / 1024


def main(name: str, home: str, out: str) -> None:
    """Run one contestant; print seconds and peak MiB as JSON."""
    start = time.perf_counter()
    found = CONTESTANTS[name](Path(home))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "cpu_seconds": time.process_time(), "peak_mib": peak_mib()}))
    pq.write_table(found.select(["lead_id", "as_of", *CATALOGUE.names]), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
