"""How often `eql monitor` cries wolf in a world that stays as it is, and whether it names drift that was planted.

`python -m benchmarks.monitoring --seeds 20`. In each world a champion is trained 180 days before the end and looked at
on the last day; then once more after something was planted in the records of late leads.
"""

import argparse
import datetime as dt
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeAlias

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
PICKING = 4.0
"""Log odds that a partner brings the lead, by log weight that it has without one."""
SILENT = "integration_usage"


@dataclass(frozen=True)
class Scene:
    """A champion, the leads it is looked at by, and the moment; with the world they are of.

    Attributes:
        world: the folder of its records.
        accounts: how many it has.
        leads, bundle, as_of: what is looked at.
    """

    world: Path
    accounts: int
    leads: ObservedLeads
    bundle: Bundle
    as_of: int

    @property
    def late_from(self) -> int:
        """The moment after which something is planted, microseconds."""
        return self.as_of - LATE_DAYS * DAY

    def late(self, share: float, seed: int) -> Booleans:
        """A share of the leads of the last 90 days, at random."""
        drawn = np.random.default_rng(seed).random(len(self.leads)) < share
        return drawn & (self.leads.created > self.late_from)


Plant: TypeAlias = Callable[[Scene, int], Scene]
"""What happened, planted in a scene with a seed."""


def stage(folder: Path, accounts: int, seed: int, switches: Switches = PLAIN) -> Scene:
    """A world, and the champion trained in its middle."""
    simulate(folder, accounts, seed, UNTIL, switches=switches)
    known = read_provenance(folder)
    cut = known.cut or 0
    _cut(folder, replace(known, cut=cut - LIVE_DAYS * DAY))
    bundle = train(folder, CATALOGUE, lambda _: None).bundle
    _cut(folder, known)
    return Scene(folder, accounts, _seen(folder, bundle, cut), bundle, cut)


def _seen(folder: Path, bundle: Bundle, as_of: int) -> ObservedLeads:
    with DuckDBEngine(folder, bundle.horizon_days or LATE_DAYS) as engine:
        return observe(engine, bundle, CATALOGUE, as_of)


def _cut(folder: Path, provenance: Provenance) -> None:
    (folder / PROVENANCE).write_text(provenance.to_json(), encoding="utf-8")


def as_it_is(scene: Scene, _seed: int) -> Scene:
    """The world as simulated; use of integrations spreads in it, and a partner's history grows."""
    return scene


def shuffled(scene: Scene, seed: int) -> Scene:
    """The leads with known outcomes, their times of creation dealt anew: nothing whatever depends on time."""
    leads = scene.leads.take(scene.leads.created + LATE_DAYS * DAY <= scene.as_of)
    order, as_of = np.random.default_rng(seed).permutation(len(leads)), int(leads.created.max())
    mixed = leads.take(order)
    won, known = (_moved(at, leads.created - mixed.created, as_of) for at in (mixed.won_at, mixed.known_won_at))
    return replace(scene, leads=replace(mixed, created=leads.created, won_at=won, known_won_at=known), as_of=as_of)


def _moved(at: Times, by: Times, as_of: int) -> Times:
    """Moments moved along with their leads; what then lies ahead is not known yet."""
    moved = np.where(at == NEVER, 0, at) + by
    return np.where((at == NEVER) | (moved > as_of), NEVER, moved)


def tripled(scene: Scene, seed: int) -> Scene:
    """Accounts report three times their employees in 70 % of late leads."""
    return _changed(scene, "employees", scene.late(0.7, seed), lambda values: values * 3)


def lost(scene: Scene, seed: int) -> Scene:
    """40 % of late leads come without the industry."""
    return _changed(scene, "industry", scene.late(0.4, seed), lambda values: np.full(len(values), np.nan))


def fewer_wins(scene: Scene, seed: int) -> Scene:
    """Of the leads since the champion was made, 60 % of the wins do not come about; nothing else is different."""
    chosen = np.random.default_rng(seed).random(len(scene.leads)) < 0.6
    chosen &= scene.leads.created > scene.as_of - (LIVE_DAYS + LATE_DAYS) * DAY
    won_at, known = (np.where(chosen, NEVER, at) for at in (scene.leads.won_at, scene.leads.known_won_at))
    return replace(scene, leads=replace(scene.leads, won_at=won_at, known_won_at=known))


def partners_pick(scene: Scene, seed: int) -> Scene:
    """From then on partners bring the leads that would have been good without them."""
    folder = scene.world.parent / "picked"
    simulate(folder, scene.accounts, seed, UNTIL, switches=Switches(selection=PICKING))
    picked = _seen(folder, scene.bundle, scene.as_of)
    before, after = scene.leads.created <= scene.late_from, picked.created > scene.late_from
    kept = (scene.leads.take(before), picked.take(after))
    columns = {
        field.name: np.concatenate([getattr(leads, field.name) for leads in kept]) for field in fields(ObservedLeads)
    }
    return replace(scene, leads=ObservedLeads(**columns))


def no_usage(scene: Scene, _seed: int) -> Scene:
    """From then on no use of integrations is recorded: the source fell silent."""
    folder = scene.world.parent / "silent"
    shutil.copytree(scene.world, folder)
    path = folder / f"{SILENT}.parquet"
    late = pa.scalar(scene.late_from, pa.timestamp("us", "UTC"))
    pq.write_table(pq.read_table(path, filters=pc.field("recorded_at") <= late), path)
    return replace(scene, leads=_seen(folder, scene.bundle, scene.as_of))


def drifting(rate: float) -> Plant:
    """Another world, in which the weight of winning falls all along, so much a year on the logarithm."""

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
    "nothing": (as_it_is, ""),
    "a feature tripled": (tripled, "employees"),
    "a feature lost": (lost, "industry is missing"),
    "a source silent": (no_usage, "integration"),
    "partners pick": (partners_pick, "partner"),
    "60 % fewer wins": (fewer_wins, "won"),
    "drift .3 a year": (drifting(0.3), "won"),
    "drift .6 a year": (drifting(0.6), "won"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--only", choices=PLANTED, action="append", help="Plant this alone; may be repeated.")
    asked = parser.parse_args()
    chosen = asked.only or list(PLANTED)
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in chosen}
    named: Counter[str] = Counter()
    for seed in range(1, asked.seeds + 1):
        with tempfile.TemporaryDirectory(prefix="eql-bench-") as folder:
            scene = stage(Path(folder) / "world", asked.accounts, seed)
            for name in chosen:
                report = _look(scene, name, seed)
                verdicts[name][report.verdict] += 1
                named[name] += _names(report, PLANTED[name][1])
    for name, counts in verdicts.items():
        print(f"{name}: {dict(counts)}" + (f", named in {named[name]} of {asked.seeds}" if PLANTED[name][1] else ""))


def _look(scene: Scene, name: str, seed: int) -> MonitoringReport:
    planted = PLANTED[name][0](scene, seed)
    report = monitor_leads(planted.leads, planted.bundle, planted.as_of, seed=seed)
    _tell(seed, name, report)
    return report


def _names(report: MonitoringReport, sign: str) -> bool:
    return report.verdict != "fine" and any(sign in reason for reason in report.reasons)


def _tell(seed: int, name: str, report: MonitoringReport) -> None:
    reasons = "" if report.verdict == "fine" else f": {'; '.join(report.reasons)}"
    print(f"seed {seed}, {name}: {report.verdict}{reasons}", flush=True)


if __name__ == "__main__":
    main()
