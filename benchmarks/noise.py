"""The trainer on noise: features without meaning, and outcomes permuted among leads.

`python -m benchmarks noise` makes one set of pure noise, and permutes the outcomes of twenty plain worlds and of a
public set. The trainer must serve the base rate on each set. The 95 % interval of the test AUC of the best fitted rung
must contain .5 in 95 % of the sets.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import DATASETS, import_set
from benchmarks.rungs import choice_bundle, fit_ladder, test_probabilities
from benchmarks.runs import Case, Run, grouped, progress_of, run_all, table
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
    """Measures, prints a line a set and a table, and returns a row for each kind of set; skips an absent public set.

    Args:
        seeds: the seeds of the permutations and of their plain worlds.
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
    """The rung that the trainer would choose, and the test AUC of the best fitted rung with its interval, or None."""
    progress, kind, seed = progress_of(case), str(case["set"]), int(case["seed"])
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = _records(kind, seed, Path(home))
        data = prepare_training(folder, CATALOGUE, progress, horizon_days=HORIZON_DAYS)
    if kind != PURE:
        data = permuted(data, np.random.default_rng(seed))
    ladder, test = fit_ladder(data, 0, progress), data.split.test
    counts = {"training_leads": len(data.created), "test_leads": len(test), "features": len(data.encoding.features)}
    best = ladder.best_fitted
    if best is None:
        return {**counts, "served": ladder.served, "best": None, "auc": None, "auc_95": None}
    won, probability = data.rows.won[test], test_probabilities(data, choice_bundle(data, best, 0))
    clusters = ClusterBootstrap(data.snapshots.cluster[test], np.random.default_rng(0))
    interval = clusters.interval(lambda weight: auc(won, probability, weight))
    return {**counts, "served": ladder.served, "best": best.rung, "auc": auc(won, probability), "auc_95": interval}


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
    """The matrix with the outcomes at creation permuted among leads; all snapshots of a lead get the same outcome.

    The features then carry no information on the outcome, and neither does the number of snapshots of a lead.
    """
    _, lead = np.unique(data.snapshots.lead_id, return_inverse=True)
    created = data.rows.at_creation
    outcome = np.zeros(lead.max() + 1)
    outcome[lead[created]] = data.rows.won[created]
    won = rng.permutation(outcome)[lead]
    return replace(data, rows=replace(data.rows, won=won), snapshots=replace(data.snapshots, won=won > 0))


def write_noise(folder: Path, leads: int, rng: np.random.Generator) -> None:
    """Writes dated leads with attributes that are independent of the outcomes: numbers, some skewed, and categories."""
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
    columns: dict[str, Sequence[Scalar]] = {}
    for number in range(NUMBERS):
        values = rng.normal(size=leads) if number % 2 else np.exp(2 * rng.normal(size=leads))
        blank = rng.random(leads) < number / (2 * NUMBERS)
        columns[f"number_{number}"] = [
            None if is_blank else x for is_blank, x in zip(blank.tolist(), values.tolist(), strict=True)
        ]
    for number in range(CATEGORIES):
        columns[f"category_{number}"] = [
            f"level {code}" for code in rng.integers(2 ** (number + 1), size=leads).tolist()
        ]
    return columns


def _lead(n: int, created: int, columns: Mapping[str, Sequence[Scalar]]) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {"lead_id": f"L{n}", "created_at": created, "deleted": False}
    row |= {"occurred_at": created, "recorded_at": created}
    return row | {f"{ATTRIBUTE_PREFIX}{name}": values[n] for name, values in columns.items()}


def _close(n: int, closed: int, won: bool) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n}", "deleted": False}
    return row | {"occurred_at": closed, "recorded_at": closed, "event": "won" if won else "lost"}


def contains_half(run: Run) -> bool:
    """Whether the interval of the AUC contains .5; True if no rung can be fitted."""
    return run["auc_95"] is None or run["auc_95"][0] <= 0.5 <= run["auc_95"][1]


def _line(run: Run) -> str:
    words = f"{run['set']}, seed {run['seed']}: {run['served']} served on {run['training_leads']:,} training leads"
    if run["best"] is None:
        return f"{words}; no rung could be fitted"
    low, high = run["auc_95"]
    best = f"best fitted {run['best']}, AUC {run['auc']:.3f} ({low:.3f} to {high:.3f})"
    return f"{words}; {best} on {run['test_leads']:,}{'' if contains_half(run) else ', without .5'}"


def _summary(runs: Sequence[Run]) -> str:
    head = ["set", "sets", "base rate served", "AUC intervals that contain .5", "expected", "AUC, minimum to maximum"]
    groups = [*grouped(runs, "set"), (("all",), list(runs))]
    return table(head, (_cells(name, of) for (name,), of in groups))


def _cells(name: str, runs: Sequence[Run]) -> list[str]:
    served = sum(run["served"] == "base_rate" for run in runs)
    containing = sum(map(contains_half, runs))
    aucs = [run["auc"] for run in runs if run["auc"] is not None]
    ends = f"{min(aucs):.3f} to {max(aucs):.3f}" if aucs else "none"
    return [name, str(len(runs)), str(served), str(containing), f"{NOMINAL * len(runs):.1f}", ends]


def _rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (name,), of in grouped(runs, "set"):
        share = sum(map(contains_half, of)) / len(of)
        yield {
            "benchmark": f"noise-{name.replace(', ', '-').replace(' ', '-')}",
            "ours": share,
            "peer": "the nominal share of intervals",
            "theirs": NOMINAL,
            "ratio": share / NOMINAL,
            "unit": "of sets",
            "sets": len(of),
            "base_rate_served": sum(run["served"] == "base_rate" for run in of),
            "auc": [run["auc"] for run in of],
        }
