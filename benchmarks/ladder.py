"""The rungs of the ladder out of time, by size of the world, and the gain and cost of deeper trees.

`python -m benchmarks ladder` trains on plain worlds of several sizes as `eql train` does. It compares the log loss of
the test leads with that of every rung at its best settings, and the LightGBM rung with trees of depth 3 to 6.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from benchmarks.rungs import choice_bundle, choice_of_depth, fit_ladder, test_probabilities
from benchmarks.runs import Case, Run, grouped, mean_min_max, progress_of, run_all, table
from benchmarks.simulated import CountedLeads, frozen_world
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from models.arrays import Matrix, Reals
from models.bundle import Bundle
from models.probability import RUNGS, log_losses
from training.data.matrix import Progress, TrainingData, prepare_training
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import Predictions
from training.fitting.trainer import train

NAME = "ladder"
SIZES = (30, 300, 3_000, 30_000)
SEEDS = (1, 2, 3, 4, 5)
DEPTHS = (3, 4, 5, 6)
"""The first depth is the default; the others are compared with it."""
ROWS_TIMED = 200
Difference: TypeAlias = Mapping[str, float]


def run(sizes: Sequence[int], seeds: Sequence[int], counted: CountedLeads, log: Path | None) -> list[dict[str, Any]]:
    """Measures, prints a line a run and two tables, and returns a row for each size and rung, and each size and depth.

    Args:
        sizes: the sizes of the worlds, in leads.
        seeds: the seeds of the worlds; training uses its default seed.
        counted: the leads that count for the size.
        log: see `benchmarks.runs.run_all`.
    """
    cases: list[Case] = [
        {"benchmark": NAME, "world": "plain", "leads": size, "counted": counted, "seed": seed}
        for size in sorted(sizes)
        for seed in seeds
    ]
    runs = run_all(cases, measure, log, _line)
    print(f"\n{_rungs(runs)}\n\n{_depths(runs)}")
    return [*_rung_rows(runs), *_depth_rows(runs)]


def measure(case: Case) -> Mapping[str, Any]:
    """Compares the served rung with each rung, and each depth with the default, on the test leads of one world."""
    progress = progress_of(case)
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        size, counted = int(case["leads"]), cast(CountedLeads, case["counted"])
        frozen_world(folder, str(case["world"]), int(case["seed"]), size, counted)
        trained = train(folder, CATALOGUE, progress)
        data = prepare_training(folder, CATALOGUE, lambda _words: None, horizon_days=HORIZON_DAYS)
    counts = {"training_leads": len(data.created), "test_leads": len(data.split.test)}
    served = {"served": trained.bundle.rung, "log_loss": trained.report.metrics.log_loss}
    by_rung = _by_rung(data, trained.predictions, progress)
    return {**counts, **served, "beside": by_rung, "depths": _by_depth(data, progress) if "lightgbm" in by_rung else {}}


def _by_rung(data: TrainingData, served: Predictions, progress: Progress) -> Mapping[str, Difference]:
    """By rung that can be fitted: its log loss on the test leads, and the difference of the served log loss to it."""
    if not np.array_equal(served.lead_id, data.snapshots.lead_id[data.split.test]):
        raise RuntimeError("the test leads of the matrix differ from those of the training")
    ladder = fit_ladder(data, 0, progress)
    won, clusters = served.won, ClusterBootstrap(served.cluster, np.random.default_rng(0))
    # If no rung can be fitted, the served model is the base rate.
    probabilities = {"base_rate": np.full(len(won), served.constant)}
    probabilities |= {
        rung: test_probabilities(data, choice_bundle(data, choice, 0)) for rung, choice in ladder.choices.items()
    }
    ours = log_losses(won, served.probability)
    return {rung: _difference(ours, log_losses(won, p), clusters) for rung, p in probabilities.items()}


def _difference(ours: Reals, theirs: Reals, clusters: ClusterBootstrap) -> Difference:
    low, high = clusters.mean_interval(ours - theirs)
    return {"log_loss": float(theirs.mean()), "difference": float((ours - theirs).mean()), "low": low, "high": high}


def _by_depth(data: TrainingData, progress: Progress) -> Mapping[str, Mapping[str, float]]:
    """By depth: the trees, the microseconds to explain one row, and the difference to the log loss of the default."""
    test = data.split.test
    clusters = ClusterBootstrap(data.snapshots.cluster[test], np.random.default_rng(0))
    figures: dict[str, Mapping[str, float]] = {}
    default: Reals | None = None
    for depth in DEPTHS:
        progress(f"trees of depth {depth}")
        choice = choice_of_depth(data, depth, 0)
        bundle = choice_bundle(data, choice, 0)
        own = log_losses(data.rows.won[test], test_probabilities(data, bundle))
        default = own if default is None else default
        low, high = clusters.mean_interval(own - default)
        cost = {"trees": choice.settings["trees"], "microseconds": _microseconds(bundle, data.rows.matrix[test])}
        difference = float((own - default).mean())
        comparison = {"log_loss": float(own.mean()), "difference": difference, "low": low, "high": high}
        figures[str(depth)] = {**cost, **comparison}
    return figures


def _microseconds(bundle: Bundle, rows: Matrix) -> float:
    """Median microseconds for the contributions of one row, after a warm-up."""
    times = []
    for position in range(ROWS_TIMED):
        single_row = rows[position % len(rows)][None]
        start = time.perf_counter()
        bundle.contributions(single_row)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times[ROWS_TIMED // 10 :])


def lower(run: Run) -> list[str]:
    """The rungs below the served one that could be fitted."""
    return [rung for rung in RUNGS[: RUNGS.index(run["served"])] if rung in run["beside"]]


def _line(run: Run) -> str:
    name = f"plain {run['leads']:,} {run['counted']}, seed {run['seed']}"
    served = f"{name}: {run['served']} served, log loss {run['log_loss']:.4f}"
    rungs = [f"less {rung}'s {_interval(run['beside'][rung])}" for rung in lower(run)]
    depths = [f"depth {depth} {_interval(of)}" for depth, of in run["depths"].items() if depth != str(DEPTHS[0])]
    return "; ".join([served, *rungs, *depths])


def _interval(of: Difference) -> str:
    return f"{of['difference']:+z.4f} ({of['low']:+z.4f} to {of['high']:+z.4f})"


def _rungs(runs: Sequence[Run]) -> str:
    """By size: the served rungs, and the difference of the served log loss to that of each rung."""
    head = ["leads", "served", *(f"less {rung}'s" for rung in RUNGS), "loses to a lower rung", "significantly"]
    return table(head, (_rung_cells(leads, counted, of) for (leads, counted), of in grouped(runs, "leads", "counted")))


def _rung_cells(leads: int, counted: str, runs: Sequence[Run]) -> list[str]:
    served = ", ".join(f"{rung} {count}" for rung in RUNGS if (count := sum(run["served"] == rung for run in runs)))
    worse = sum(any(run["beside"][rung]["difference"] > 0 for rung in lower(run)) for run in runs)
    significant = sum(any(run["beside"][rung]["low"] > 0 for rung in lower(run)) for run in runs)
    differences = [_difference_cell([run["beside"][rung] for run in runs if rung in run["beside"]]) for rung in RUNGS]
    return [f"{leads:,} {counted}", served, *differences, f"{worse} of {len(runs)}", f"{significant} of {len(runs)}"]


def _difference_cell(differences: Sequence[Run]) -> str:
    if not differences:
        return "not fitted"
    mean, low, high = mean_min_max(differences, "difference")
    return f"{mean:+z.4f} ({low:+z.4f} to {high:+z.4f})"


def _depths(runs: Sequence[Run]) -> str:
    """By size and depth: the difference to the log loss of the default depth, its significance, and the cost."""
    head = ["leads", "depth", f"log loss less that of depth {DEPTHS[0]}", "better", "worse", "trees", "µs a row"]
    return table(head, (_depth_cells(*group) for group in _depth_groups(runs)))


def _depth_groups(runs: Sequence[Run]) -> Iterator[tuple[int, str, list[Run]]]:
    """Size, depth, and the figures of the runs of that size at that depth."""
    for (leads, _), of in grouped(runs, "leads", "counted"):
        for depth in map(str, DEPTHS):
            if figures := [dict(run["depths"][depth]) for run in of if depth in run["depths"]]:
                yield leads, depth, figures


def _depth_cells(leads: int, depth: str, of: Sequence[Run]) -> list[str]:
    better, worse = sum(each["high"] < 0 for each in of), sum(each["low"] > 0 for each in of)
    counts = [f"{better} of {len(of)}", f"{worse} of {len(of)}"]
    cost = [f"{mean_min_max(of, 'trees')[0]:.0f}", f"{mean_min_max(of, 'microseconds')[0]:.0f}"]
    return [f"{leads:,}", depth, _difference_cell(of), *counts, *cost]


def _rung_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (leads, counted), of in grouped(runs, "leads", "counted"):
        for rung in RUNGS:
            if with_rung := [run for run in of if rung in run["beside"]]:
                differences = [run["beside"][rung] for run in with_rung]
                row = _row(f"ladder-{leads}-{counted}", with_rung, rung, differences)
                yield row | {
                    "served": [run["served"] for run in with_rung],
                    "seeds": [run["seed"] for run in with_rung],
                }


def _depth_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    default: Sequence[Run] = ()
    for leads, depth, of in _depth_groups(runs):
        if depth == str(DEPTHS[0]):
            default = of
        else:
            row = _row(f"depth-{leads}", default, f"depth {depth}", of)
            yield row | {"microseconds": mean_min_max(of, "microseconds")[0]}


def _row(benchmark: str, mine: Sequence[Run], peer: str, others: Sequence[Run]) -> dict[str, Any]:
    ours, theirs = mean_min_max(mine, "log_loss")[0], mean_min_max(others, "log_loss")[0]
    return {
        "benchmark": benchmark,
        "ours": ours,
        "peer": peer,
        "theirs": theirs,
        "ratio": theirs / ours,
        "unit": "nats",
        "difference_95": [[each["low"], each["high"]] for each in others],
    }
