"""The false alarms of `eql monitor` in an unchanged world, and its recall on planted changes.

`python -m benchmarks.monitoring --seeds 20`. In each world, a champion is trained 180 days before the end and monitored
on the last day. Then a change is planted in the records of late leads, and the champion is monitored again.
"""

import argparse
import datetime as dt
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.engines.duckdb import DuckDBEngine
from features.folder import PROVENANCE, read_provenance
from features.provenance import Provenance
from features.value_types import DAY
from models.arrays import Booleans, Reals
from models.bundle import Bundle
from models.probability import sigmoid
from training.data.snapshots import NEVER
from training.fitting.trainer import train
from training.monitoring.leads import ObservedLeads, observe
from training.monitoring.monitor import monitor_leads
from training.monitoring.report import MonitoringReport
from training.world import PLAIN, Switches, simulate

Times = NDArray[np.int64]
UNTIL = dt.date(2026, 6, 30)
LIVE_DAYS, LATE_DAYS = 180, 90
SELECTION = 4.0
"""The strength with which partners pick good leads, see `training.world.Switches.selection`."""
SILENT_SOURCE = "integration_usage"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A world with a champion to monitor.

    Attributes:
        world: the folder of the records.
        accounts: the number of accounts.
        leads: the leads that the monitor reads.
        bundle: the champion.
        as_of: the moment of monitoring, microseconds.
    """

    world: Path
    accounts: int
    leads: ObservedLeads
    bundle: Bundle
    as_of: int

    @property
    def late_from(self) -> int:
        """The moment after which a change is planted, microseconds."""
        return self.as_of - LATE_DAYS * DAY

    def late(self, share: float, seed: int) -> Booleans:
        """A random share of the leads of the last 90 days."""
        drawn = np.random.default_rng(seed).random(len(self.leads)) < share
        return drawn & (self.leads.created > self.late_from)


Plant: TypeAlias = Callable[[Scene, int], Scene]
"""Plants a change in a scene, with a random seed."""


def stage(folder: Path, accounts: int, seed: int, switches: Switches = PLAIN) -> Scene:
    """Simulates a world and trains a champion in it, 180 days before the end."""
    simulate(folder, accounts, seed, UNTIL, switches=switches)
    provenance = read_provenance(folder)
    cut = provenance.cut or 0
    _write_provenance(folder, replace(provenance, cut=cut - LIVE_DAYS * DAY))
    bundle = train(folder, CATALOGUE, lambda _: None).bundle
    _write_provenance(folder, provenance)
    return Scene(world=folder, accounts=accounts, leads=_observe(folder, bundle, cut), bundle=bundle, as_of=cut)


def _observe(folder: Path, bundle: Bundle, as_of: int) -> ObservedLeads:
    with DuckDBEngine(folder, bundle.horizon_days or LATE_DAYS) as engine:
        return observe(engine, bundle, CATALOGUE, as_of)


def _write_provenance(folder: Path, provenance: Provenance) -> None:
    (folder / PROVENANCE).write_text(provenance.to_json(), encoding="utf-8")


def unchanged(scene: Scene, _seed: int) -> Scene:
    """The world as simulated. Integration usage spreads in it, and the history of each partner grows."""
    return scene


def shuffled(scene: Scene, seed: int) -> Scene:
    """The leads with known outcomes, with shuffled times of creation, so that nothing depends on time."""
    leads = scene.leads.take(scene.leads.created + LATE_DAYS * DAY <= scene.as_of)
    order, as_of = np.random.default_rng(seed).permutation(len(leads)), int(leads.created.max())
    shuffled_leads = leads.take(order)
    shift = leads.created - shuffled_leads.created
    won, known = (_shift(at, shift, as_of) for at in (shuffled_leads.won_at, shuffled_leads.known_won_at))
    shuffled_leads = replace(shuffled_leads, created=leads.created, won_at=won, known_won_at=known)
    return replace(scene, leads=shuffled_leads, as_of=as_of)


def _shift(at: Times, by: Times, as_of: int) -> Times:
    """Moments shifted together with their leads; a moment after `as_of` becomes NEVER."""
    shifted = np.where(at == NEVER, 0, at) + by
    return np.where((at == NEVER) | (shifted > as_of), NEVER, shifted)


def tripled(scene: Scene, seed: int) -> Scene:
    """The employees are three times too high in 70 % of the late leads."""
    return _changed(scene, "employees", scene.late(0.7, seed), lambda values: values * 3)


def missing(scene: Scene, seed: int) -> Scene:
    """The industry is missing in 40 % of the late leads."""
    return _changed(scene, "industry", scene.late(0.4, seed), lambda values: np.full(len(values), np.nan))


def fewer_wins(scene: Scene, seed: int) -> Scene:
    """60 % of the wins of leads after the champion's training are removed; nothing else changes."""
    chosen = np.random.default_rng(seed).random(len(scene.leads)) < 0.6
    chosen &= scene.leads.created > scene.as_of - (LIVE_DAYS + LATE_DAYS) * DAY
    won_at, known = (np.where(chosen, NEVER, at) for at in (scene.leads.won_at, scene.leads.known_won_at))
    return replace(scene, leads=replace(scene.leads, won_at=won_at, known_won_at=known))


def partners_pick(scene: Scene, seed: int) -> Scene:
    """Partners pick the late leads that would also be good without them."""
    folder = scene.world.parent / "picked"
    simulate(folder, scene.accounts, seed, UNTIL, switches=Switches(selection=SELECTION))
    picked = _observe(folder, scene.bundle, scene.as_of)
    before, after = scene.leads.created <= scene.late_from, picked.created > scene.late_from
    early_leads, late_leads = scene.leads.take(before), picked.take(after)
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(early_leads, field.name), getattr(late_leads, field.name)])
        for field in fields(ObservedLeads)
    }
    return replace(scene, leads=ObservedLeads(**columns))


def no_usage(scene: Scene, _seed: int) -> Scene:
    """The source of integration usage is silent: no usage is recorded for late leads."""
    folder = scene.world.parent / "silent"
    shutil.copytree(scene.world, folder)
    path = folder / f"{SILENT_SOURCE}.parquet"
    late = pa.scalar(scene.late_from, pa.timestamp("us", "UTC"))
    pq.write_table(pq.read_table(path, filters=pc.field("recorded_at") <= late), path)
    return replace(scene, leads=_observe(folder, scene.bundle, scene.as_of))


def drifting(rate: float) -> Plant:
    """Another world, in which the log odds of winning fall by `rate` a year."""

    def drifted(scene: Scene, seed: int) -> Scene:
        return stage(scene.world.parent / f"drift-{rate}", scene.accounts, seed, Switches(drift=rate))

    return drifted


def _changed(scene: Scene, name: str, rows: Booleans, change: Callable[[Reals], Reals]) -> Scene:
    matrix, column = scene.leads.matrix.copy(), scene.bundle.encoding.names.index(name)
    matrix[rows, column] = change(matrix[rows, column])
    parts = scene.bundle.contributions(matrix)
    margin, probability = scene.bundle.margins(parts), sigmoid(parts.sum(axis=1))
    return replace(scene, leads=replace(scene.leads, matrix=matrix, margin=margin, probability=probability))


PLANTED: Mapping[str, tuple[Plant, str]] = {
    "nothing, times shuffled": (shuffled, ""),
    "nothing": (unchanged, ""),
    "a feature tripled": (tripled, "employees"),
    "a feature lost": (missing, "industry is missing"),
    "a source silent": (no_usage, "integration"),
    "partners pick": (partners_pick, "partner"),
    "60 % fewer wins": (fewer_wins, "won"),
    "drift .3 a year": (drifting(0.3), "won"),
    "drift .6 a year": (drifting(0.6), "won"),
}


def main() -> None:
    """Monitors every scene and prints the verdicts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--only", choices=PLANTED, action="append", help="plant this change only; may be repeated")
    options = parser.parse_args()
    changes = options.only or list(PLANTED)
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in changes}
    recalls: Counter[str] = Counter()
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory(prefix="eql-bench-") as folder:
            scene = stage(Path(folder) / "world", options.accounts, seed)
            for name in changes:
                report = _monitor(scene, name, seed)
                verdicts[name][report.verdict] += 1
                recalls[name] += _names_sign(report, PLANTED[name][1])
    for name, counts in verdicts.items():
        print(
            f"{name}: {dict(counts)}" + (f", named in {recalls[name]} of {options.seeds}" if PLANTED[name][1] else "")
        )


def _monitor(scene: Scene, name: str, seed: int) -> MonitoringReport:
    planted = PLANTED[name][0](scene, seed)
    report = monitor_leads(planted.leads, planted.bundle, planted.as_of, seed=seed)
    _print_report(seed, name, report)
    return report


def _names_sign(report: MonitoringReport, sign: str) -> bool:
    return report.verdict != "fine" and any(sign in reason for reason in report.reasons)


def _print_report(seed: int, name: str, report: MonitoringReport) -> None:
    reasons = "" if report.verdict == "fine" else f": {'; '.join(report.reasons)}"
    print(f"seed {seed}, {name}: {report.verdict}{reasons}", flush=True)


if __name__ == "__main__":
    main()
