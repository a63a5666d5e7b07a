"""Frozen worlds of a given size."""

import datetime as dt
import math
import shutil
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from features.engines.duckdb import DuckDBEngine
from features.partner_history import HORIZON_DAYS
from training.data.snapshots import NothingToLearn, label_snapshots
from training.data.splits import split
from training.world.frozen import WORLDS
from training.world.simulation import simulate

CountedLeads: TypeAlias = Literal["training", "all"]
"""The leads that count for the size of a world: the training leads, with complete labels before the test; or all."""

UNTIL = dt.date(2026, 6, 30)
"""The last day of the worlds, as in the sample by which they are frozen."""
_PER_ACCOUNT = {"training": 0.366, "all": 0.74}
"""Leads an account, measured. If the leads of a world are too few, it is simulated again with more accounts."""
_MAX_GROWTH = 2.0


def frozen_world(folder: Path, name: str, seed: int, leads: int, counted: CountedLeads) -> int:
    """Simulates a frozen world with at least a number of leads; returns the number of accounts this takes.

    Args:
        folder: a folder that does not exist yet.
        name: a name in `training.world.frozen.WORLDS`.
        seed: the random seed.
        leads: the minimum number of leads, at least 1.
        counted: the leads that count.
    """
    accounts = math.ceil(leads / _PER_ACCOUNT[counted])
    while True:
        simulate(folder, accounts, seed, UNTIL, switches=WORLDS[name].switches)
        count = _count(folder, counted)
        if count >= leads:
            return accounts
        shutil.rmtree(folder)
        accounts = math.ceil(accounts * min(1.005 * leads / max(count, 1), _MAX_GROWTH))


def _count(folder: Path, counted: CountedLeads) -> int:
    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        if counted == "all":
            return int(engine.sql("SELECT count(DISTINCT lead_id) AS leads FROM leads").to_pydict()["leads"][0])
        try:
            snapshots = label_snapshots(engine, HORIZON_DAYS)
            return len(np.unique(snapshots.lead_id[split(snapshots).train]))
        except NothingToLearn:
            return 0
