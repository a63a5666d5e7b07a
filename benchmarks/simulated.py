"""A frozen world of so many leads, and the truth about those it is judged by."""

import datetime as dt
import math
import shutil
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.engines.duckdb import DuckDBEngine
from features.partner_history import HORIZON_DAYS
from models.arrays import Reals
from training.data.snapshots import NothingToLearn, label_snapshots
from training.data.splits import split
from training.evaluation.metrics import Predictions
from training.world.frozen import WORLDS
from training.world.simulation import TRUTH, simulate

Counted: TypeAlias = Literal["training", "all"]
"""Which leads of a world are counted: those trained on, whose label was complete before testing starts; or all."""

UNTIL = dt.date(2026, 6, 30)
"""The last day of the sample by which the worlds are frozen."""
_PER_ACCOUNT = {"training": 0.366, "all": 0.74}
"""Leads of each count that an account has on average, measured; where they fall short more accounts are taken."""
_MOST_GROWTH = 2.0


def frozen_world(folder: Path, name: str, seed: int, leads: int, counted: Counted) -> int:
    """Simulates the frozen world `name` into `folder` with as few accounts as bring so many leads, and returns them.

    Args:
        folder: where to write; absent.
        name: of `training.world.frozen.WORLDS`.
        seed: of the random numbers.
        leads: how many at least, from 1.
        counted: which leads they are.
    """
    accounts = math.ceil(leads / _PER_ACCOUNT[counted])
    while True:
        simulate(folder, accounts, seed, UNTIL, switches=WORLDS[name].switches)
        found = _count(folder, counted)
        if found >= leads:
            return accounts
        shutil.rmtree(folder)
        accounts = math.ceil(accounts * min(1.005 * leads / max(found, 1), _MOST_GROWTH))


def _count(folder: Path, counted: Counted) -> int:
    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        if counted == "all":
            return int(engine.sql("SELECT count(DISTINCT lead_id) AS leads FROM leads").to_pydict()["leads"][0])
        try:
            snapshots = label_snapshots(engine, HORIZON_DAYS)
            return len(np.unique(snapshots.lead_id[split(snapshots).train]))
        except NothingToLearn:
            return 0


def true_probabilities(folder: Path, predictions: Predictions) -> Reals:
    """The true probability of each predicted row of the world in `folder`.

    Raises:
        ValueError: the truth lacks a row.
    """
    wanted = pa.table({"lead_id": predictions.lead_id.tolist(), "as_of": predictions.as_of})
    stored = pq.read_table(folder / TRUTH, columns=["lead_id", "as_of", "probability"])
    stored = stored.set_column(1, "as_of", stored["as_of"].cast(pa.int64()))
    placed = wanted.append_column("place", pa.array(np.arange(len(wanted))))
    found = placed.join(stored, ["lead_id", "as_of"], join_type="inner").sort_by("place")
    if len(found) != len(wanted):
        raise ValueError(f"the truth holds {len(found)} of the {len(wanted)} predicted rows")
    return np.asarray(found["probability"].to_numpy())
