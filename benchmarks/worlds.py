"""The trainer against the true probabilities of the frozen worlds: its share of the attainable skill, its calibration.

`python -m benchmarks worlds` simulates each frozen world with several seeds and sizes, trains as `eql train` does, and
compares the served probabilities of the test leads with the true probabilities, which the world keeps apart.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.features_contestants import peak_mib
from benchmarks.runs import Case, Run, grouped, mean_min_max, progress_of, run_all, table
from benchmarks.simulated import CountedLeads, frozen_world
from features.catalogue import CATALOGUE
from models.arrays import Reals
from models.probability import sigmoid
from training.evaluation.metrics import attainable_skill
from training.evaluation.truth import true_probabilities
from training.fitting.trainer import TrainingResult, train
from training.world.frozen import WORLDS
from training.world.simulation import TRUTH

LEADS = (5_000, 50_000)
SEEDS = (1, 2, 3, 4, 5)
BINS = 10
NAME = "worlds"


def run(
    worlds: Sequence[str], leads: Sequence[int], seeds: Sequence[int], counted: CountedLeads, log: Path | None
) -> list[dict[str, Any]]:
    """Measures, prints a line a run and a table, and returns a row for each world and size.

    Args:
        worlds: names of `WORLDS`; empty for all.
        leads: the sizes of the worlds.
        seeds: the seeds of the worlds; training uses its default seed.
        counted: the leads that count for the size.
        log: see `benchmarks.runs.run_all`.

    Raises:
        ValueError: a world has no such name.
    """
    if unknown := set(worlds) - set(WORLDS):
        raise ValueError(f"there is no frozen world {', '.join(sorted(unknown))}; choose from {', '.join(WORLDS)}")
    # The smallest worlds come first, so that the first results appear early.
    cases: list[Case] = [
        {"benchmark": NAME, "world": world, "leads": size, "counted": counted, "seed": seed}
        for size in sorted(leads)
        for world in worlds or WORLDS
        for seed in seeds
    ]
    runs = run_all(cases, measure, log, _line)
    print(f"\n{_summary(runs)}")
    return list(_rows(runs))


def measure(case: Case) -> Mapping[str, Any]:
    """The figures of the training on one world, JSON types."""
    progress = progress_of(case)
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        progress("simulating")
        size, counted = int(case["leads"]), cast(CountedLeads, case["counted"])
        accounts = frozen_world(folder, str(case["world"]), int(case["seed"]), size, counted)
        started = time.perf_counter()
        trained = train(folder, CATALOGUE, progress)
        seconds, memory = time.perf_counter() - started, peak_mib()
        truth = true_probabilities(folder / TRUTH, trained.predictions)
    cost = {"accounts": accounts, "seconds": seconds, "peak_mib": memory}
    return {**cost, **_training_figures(trained), **compare_with_truth(trained, truth)}


def _training_figures(trained: TrainingResult) -> Mapping[str, Any]:
    report = trained.report.to_dict()
    kept = ("rung", "training_leads", "training_rows", "features", "log_loss", "log_loss_constant", "auc")
    immature = report["immature"]["used"]
    return {**{name: report[name] for name in kept}, "test_leads": report["rows"], "recent_used": immature}


def compare_with_truth(trained: TrainingResult, truth: Reals) -> Mapping[str, Any]:
    """Compares the served probabilities of the test leads with their true probabilities.

    The figures are the share of attainable skill, on the drawn outcomes and in expectation; `smooth_error`, the smECE
    against the true probabilities; and `bins`, the percentage points by which the mean true probability of each bin
    lies above (positive) or below (negative) its mean range.
    """
    from relplot import smECE

    served = trained.predictions.probability
    parts = trained.bundle.contributions(trained.test_matrix)
    lower, upper = trained.bundle.calibration.range(trained.bundle.margins(parts))
    if not np.allclose(served, sigmoid(parts.sum(axis=1)), rtol=0, atol=1e-9):
        raise RuntimeError("the bundle gives other probabilities of the test rows than the training did")
    outside = outside_range(served, lower, upper, truth)
    shares = attainable_skill(trained.predictions, truth)
    return {
        "log_loss_truth": shares.log_loss_truth,
        "share_drawn": shares.share_of_attainable_skill,
        "share_expected": shares.share_of_attainable_skill_expected,
        "smooth_error": float(smECE(served, truth)),
        "bins": outside,
        "covered": sum(gap == 0 for gap in outside),
        "furthest": max(map(abs, outside)),
    }


def outside_range(served: Reals, lower: Reals, upper: Reals, truth: Reals) -> list[float]:
    """By tenths of the served probability: percentage points of the mean truth above (+) or below (-) the range."""
    bins = np.array_split(np.argsort(served, kind="stable"), BINS)
    means = [[float(values[of].mean()) for values in (lower, upper, truth)] for of in bins if len(of)]
    return [100 * (max(true - high, 0.0) - max(low - true, 0.0)) for low, high, true in means]


def _line(run: Run) -> str:
    return (
        "{world} {leads:,} {counted}, seed {seed}: {rung} on {training_leads:,} leads, {training_rows:,} rows, "
        "tested on {test_leads:,}; share of skill {share_expected:.3f} expected, {share_drawn:.3f} drawn; "
        "smECE {smooth_error:.4f}; {covered} of 10 ranges cover, furthest {furthest:.2f} points; "
        "{seconds:.0f} s, {peak_mib:,.0f} MiB"
    ).format(**run)


FIGURES = {
    "share_expected": ("share of skill, expected", ".3f"),
    "share_drawn": ("by draw", ".3f"),
    "smooth_error": ("smECE to the truth", ".4f"),
    "covered": ("ranges that cover, of 10", ".1f"),
    "furthest": ("furthest outside, points", ".2f"),
    "seconds": ("seconds", ".0f"),
    "peak_mib": ("peak MiB", ",.0f"),
}


def _summary(runs: Sequence[Run]) -> str:
    """The mean, minimum and maximum of each figure by world and size, and the served rungs."""
    head = ["world, leads", "runs", "rungs", *(words for words, _ in FIGURES.values())]
    return table(head, (_cells(key, of) for key, of in grouped(runs, "world", "leads", "counted")))


def _cells(key: tuple[Any, ...], runs: Sequence[Run]) -> list[str]:
    def text(figure: str, form: str) -> str:
        mean, low, high = (format(value, form) for value in mean_min_max(runs, figure))
        return f"{mean} ({low} to {high})"

    world, leads, counted = key
    rungs = ", ".join(sorted({run["rung"] for run in runs}))
    name = f"{world}, {leads:,} {counted}"
    return [name, str(len(runs)), rungs, *(text(figure, form) for figure, (_, form) in FIGURES.items())]


def _rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (world, leads, counted), of in grouped(runs, "world", "leads", "counted"):
        ours, theirs = mean_min_max(of, "log_loss")[0], mean_min_max(of, "log_loss_truth")[0]
        yield {
            "benchmark": f"worlds-{world}-{leads}-{counted}",
            "ours": ours,
            "peer": "the true probabilities",
            "theirs": theirs,
            "ratio": theirs / ours,
            "unit": "nats",
            "seeds": [run["seed"] for run in of],
            "rungs": [run["rung"] for run in of],
            **{figure: mean_min_max(of, figure) for figure in FIGURES},
        }
