"""Whether noise is taken for skill: features that mean nothing, and outcomes permuted among leads.

`python -m benchmarks noise` makes one set of pure noise, and permutes the outcomes of twenty plain worlds and of a
public set. Each must be served the base rate; and the test AUC of the best rung above it must have an interval that
holds .5 as often as its 95 % say.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import DATASETS, import_set
from benchmarks.rungs import bundled, climbed, tested
from benchmarks.runs import Case, Run, grouped, run_all, table, teller
from benchmarks.simulated import UNTIL, frozen_world
from features.catalogue import CATALOGUE
from features.folder import FolderWriter
from features.partner_history import HORIZON_DAYS
from features.provenance import ATTRIBUTE_PREFIX, Attribute, Provenance
from features.records import KINDS
from features.value_types import DAY, EPOCH, Scalar
from training.data.matrix import TrainingData, prepare_training
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import auc

NAME = "noise"
PURE, PLAIN, PUBLIC = "pure noise", "plain, permuted", "sparklesquad_crm, permuted"
PURE_LEADS, PLAIN_LEADS = 5_000, 4_000
SEEDS = tuple(range(1, 21))
NUMBERS, CATEGORIES = 12, 8
DAYS = 700
WON, CLOSED = 0.15, 0.9
NOMINAL = 0.95


def run(seeds: Sequence[int], log: Path | None) -> list[dict[str, Any]]:
    """Measure, print a line a set and a table, and return a row for each kind of set; an absent public set is skipped.

    Args:
        seeds: of the permutations; the plain world of each is of the same seed.
        log: see `benchmarks.runs.run_all`.
    """
    public = DATASETS / PUBLIC.partition(",")[0]
    kinds = [PLAIN, PUBLIC] if public.is_dir() else [PLAIN]
    sets = [(PURE, seeds[0]), *((kind, seed) for kind in kinds for seed in seeds)]
    cases: list[Case] = [{"benchmark": NAME, "set": kind, "seed": seed} for kind, seed in sets]
    runs = run_all(cases, measure, log, _line)
    print(f"\n{_summary(runs)}")
    return list(_rows(runs))


def measure(case: Case) -> Mapping[str, Any]:
    """The rung that would be served, and the test AUC of the best fitted rung with its interval, None without any."""
    tell, kind, seed = teller(case), str(case["set"]), int(case["seed"])
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = _records(kind, seed, Path(home))
        data = prepare_training(folder, CATALOGUE, tell, horizon_days=HORIZON_DAYS)
    if kind != PURE:
        data = permuted(data, np.random.default_rng(seed))
    ladder, test = climbed(data, 0, tell), data.split.test
    counts = {"training_leads": len(data.created), "test_leads": len(test), "features": len(data.encoding.features)}
    best = ladder.best_fitted
    if best is None:
        return {**counts, "served": ladder.served, "best": None, "auc": None, "auc_95": None}
    won, said = data.rows.won[test], tested(data, bundled(data, best, 0))
    clusters = ClusterBootstrap(data.snapshots.cluster[test], np.random.default_rng(0))
    interval = clusters.interval(lambda weight: auc(won, said, weight))
    return {**counts, "served": ladder.served, "best": best.rung, "auc": auc(won, said), "auc_95": interval}


def _records(kind: str, seed: int, home: Path) -> Path:
    folder = home / "records"
    if kind == PURE:
        write_noise(folder, PURE_LEADS, np.random.default_rng(seed))
    elif kind == PLAIN:
        frozen_world(folder, "plain", seed, PLAIN_LEADS, "all")
    else:
        import_set(PUBLIC.partition(",")[0], folder, home / "rejects.csv")
    return folder


def permuted(data: TrainingData, rng: np.random.Generator) -> TrainingData:
    """The matrix with the outcomes, at creation, permuted among whole leads: all snapshots of a lead get the same.

    Nothing in it then tells a lead that is won, not even how many snapshots it has.
    """
    _, lead = np.unique(data.snapshots.lead_id, return_inverse=True)
    created = data.rows.at_creation
    outcome = np.zeros(lead.max() + 1)
    outcome[lead[created]] = data.rows.won[created]
    won = rng.permutation(outcome)[lead]
    return replace(data, rows=replace(data.rows, won=won), snapshots=replace(data.snapshots, won=won > 0))


def write_noise(folder: Path, leads: int, rng: np.random.Generator) -> None:
    """Dated leads with attributes drawn apart from their outcomes: numbers, skewed and with blanks, and categories."""
    cut = (UNTIL - EPOCH.date()).days * DAY
    columns = _noise(leads, rng)
    declared = [Attribute(name, "number" if name.startswith("n") else "category", "at_creation") for name in columns]
    created = np.sort(cut - rng.integers(DAY, DAYS * DAY, leads))
    closed = created + rng.integers(DAY, HORIZON_DAYS * DAY, leads)
    ended = (rng.random(leads) < CLOSED) & (closed <= cut)
    won = rng.random(leads) < WON
    with FolderWriter(folder, Provenance(cut, True, tuple(declared))) as writer:
        writer.write(KINDS["leads"], (_lead(n, int(created[n]), columns) for n in range(leads)))
        events = (_close(n, int(closed[n]), bool(won[n])) for n in np.flatnonzero(ended).tolist())
        writer.write(KINDS["lead_events"], events)


def _noise(leads: int, rng: np.random.Generator) -> Mapping[str, Sequence[Scalar]]:
    found: dict[str, Sequence[Scalar]] = {}
    for place in range(NUMBERS):
        values = rng.normal(size=leads) if place % 2 else np.exp(2 * rng.normal(size=leads))
        blank = rng.random(leads) < place / (2 * NUMBERS)
        found[f"number_{place}"] = [
            None if gone else x for gone, x in zip(blank.tolist(), values.tolist(), strict=True)
        ]
    for place in range(CATEGORIES):
        found[f"category_{place}"] = [f"level {code}" for code in rng.integers(2 ** (place + 1), size=leads).tolist()]
    return found


def _lead(n: int, created: int, columns: Mapping[str, Sequence[Scalar]]) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {"lead_id": f"L{n}", "created_at": created, "deleted": False}
    row |= {"occurred_at": created, "recorded_at": created}
    return row | {f"{ATTRIBUTE_PREFIX}{name}": values[n] for name, values in columns.items()}


def _close(n: int, closed: int, won: bool) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n}", "deleted": False}
    return row | {"occurred_at": closed, "recorded_at": closed, "event": "won" if won else "lost"}


def holds_half(run: Run) -> bool:
    """Whether the interval of the AUC contains .5; so it does where nothing can be fitted."""
    return run["auc_95"] is None or run["auc_95"][0] <= 0.5 <= run["auc_95"][1]


def _line(run: Run) -> str:
    words = f"{run['set']}, seed {run['seed']}: {run['served']} served on {run['training_leads']:,} training leads"
    if run["best"] is None:
        return f"{words}; none could be fitted"
    low, high = run["auc_95"]
    found = f"best fitted {run['best']}, AUC {run['auc']:.3f} ({low:.3f} to {high:.3f})"
    return f"{words}; {found} on {run['test_leads']:,}{'' if holds_half(run) else ', without .5'}"


def _summary(runs: Sequence[Run]) -> str:
    head = ["set", "sets", "base rate served", "AUC intervals that hold .5", "expected", "AUC, least to most"]
    groups = [*grouped(runs, "set"), (("all",), list(runs))]
    return table(head, (_cells(name, of) for (name,), of in groups))


def _cells(name: str, runs: Sequence[Run]) -> list[str]:
    served = sum(run["served"] == "base_rate" for run in runs)
    held = sum(map(holds_half, runs))
    found = [run["auc"] for run in runs if run["auc"] is not None]
    ends = f"{min(found):.3f} to {max(found):.3f}" if found else "none"
    return [name, str(len(runs)), str(served), str(held), f"{NOMINAL * len(runs):.1f}", ends]


def _rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (name,), of in grouped(runs, "set"):
        held = sum(map(holds_half, of)) / len(of)
        yield {
            "benchmark": f"noise-{name.replace(', ', '-').replace(' ', '-')}",
            "ours": held,
            "peer": "the nominal share of intervals",
            "theirs": NOMINAL,
            "ratio": held / NOMINAL,
            "unit": "of sets",
            "sets": len(of),
            "base_rate_served": sum(run["served"] == "base_rate" for run in of),
            "auc": [run["auc"] for run in of],
        }
