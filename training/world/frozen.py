"""The simulated worlds that models are judged on: named, and frozen before any model was tuned on them."""

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from features.folder import read
from features.records import DETAILS, KINDS
from features.value_types import Scalar
from training.world.simulation import TRUTH, simulate
from training.world.switches import PLAIN, Switches

_DECIMALS = 9
"""Kept of real numbers: processors differ in the last digits of an exponential."""


@dataclass(frozen=True)
class World:
    """A frozen world.

    Attributes:
        switches: its switches.
        stresses: the properties of a model that it tests.
        sha256: the `fingerprint` of its `sample`.
    """

    switches: Switches
    stresses: str
    sha256: str


WORLDS: Mapping[str, World] = {
    "plain": World(
        PLAIN,
        "whether what is on record is found and used, products and thresholds included",
        "c2b1772e04d07a9b364ed833d0a12fb20e3641198eb9e56fdf5f9f5fa6c3d2c9",
    ),
    "hard": World(
        Switches(frailty=0.5, late_days=5, missing=0.3),
        "leads that differ beyond the record, facts and outcomes that come late, sizes and industries that are missing",
        "8e0a6b9b400016ce841f2a9fa11a4422441a5d4257f1b9a21c2f733bba77539e",
    ),
    "shifting": World(
        Switches(drift=0.15, selection=2, partner_effect="small"),
        "a win rate that falls, and partners that pick good accounts but add little",
        "4b7957e0b85907f21c914ee8309f989b7ea87790d137d6e3c30c9f077ba866fe",
    ),
}
"""The frozen worlds by name. None is ever changed: a better one gets a name of its own."""


def sample(switches: Switches) -> str:
    """The fingerprint of a few dozen accounts of a world of these switches."""
    with tempfile.TemporaryDirectory() as name:
        simulate(Path(name), 40, 1, dt.date(2026, 6, 30), switches=switches)
        return fingerprint(Path(name))


def fingerprint(folder: Path) -> str:
    """SHA-256 of a simulated folder's content, whatever its files' format.

    One JSON object a line: of each kind of record, then of the truth, the rows in the order of their text. Columns that
    are null, or that only repeat another column, are left out, so that records may gain optional columns.

    Raises:
        FolderError: the folder does not hold records.
    """
    digest = hashlib.sha256()
    for kind in KINDS.values():
        digest.update(_lines(kind.name, (stored.row() for stored in read(folder, kind))))
    truth = pq.read_table(folder / TRUTH)
    truth = truth.set_column(truth.column_names.index("as_of"), "as_of", truth["as_of"].cast("int64"))
    digest.update(_lines("truth", truth.to_pylist()))
    return digest.hexdigest()


def _lines(name: str, rows: Iterable[Mapping[str, Scalar]]) -> bytes:
    lines = sorted(json.dumps(_canonical(row), sort_keys=True) for row in rows)
    return "".join(f"{line}\n" for line in (name, *lines)).encode()


def _canonical(row: Mapping[str, Scalar]) -> dict[str, Scalar]:
    kept = {name: value for name, value in row.items() if value is not None and name not in DETAILS}
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in kept.items()}
