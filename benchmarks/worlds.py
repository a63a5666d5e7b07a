"""The trainer against the truth of the frozen worlds: how much of the attainable skill it finds, and how calibrated.

`python -m benchmarks worlds` simulates each frozen world by several seeds and sizes, trains as `eql train` does, and
compares what is served of the test leads with the true probabilities that the world keeps apart.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.features_contestants import peak_mib
from benchmarks.runs import Case, Run, grouped, run_all, spread, table, teller
from benchmarks.simulated import Counted, frozen_world, true_probabilities
from features.catalogue import CATALOGUE
from models.arrays import Reals
from models.probability import sigmoid
from training.evaluation.metrics import attainable_skill
from training.fitting.trainer import TrainingResult, train
from training.world.frozen import WORLDS

LEADS = (5_000, 50_000)
SEEDS = (1, 2, 3, 4, 5)
BINS = 10
NAME = "worlds"


def run(
    worlds: Sequence[str], leads: Sequence[int], seeds: Sequence[int], counted: Counted, log: Path | None
) -> list[dict[str, Any]]:
    """Measure, print a line a run and a table, and return a row for each world and size.

    Args:
        worlds: names of `WORLDS`; all without any.
        leads: sizes.
        seeds: of the worlds; training has its own default.
        counted: which leads make the size.
        log: see `benchmarks.runs.run_all`.

    Raises:
        ValueError: there is no world of such a name.
    """
    if unknown := set(worlds) - set(WORLDS):
        raise ValueError(f"no frozen world {', '.join(sorted(unknown))}; choose of {', '.join(WORLDS)}")
    # The smallest first, so that there is something to read while the large ones run.
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
    """What training comes to in one world: figures as JSON types."""
    tell = teller(case)
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        tell("simulating")
        size, counted = int(case["leads"]), cast(Counted, case["counted"])
        accounts = frozen_world(folder, str(case["world"]), int(case["seed"]), size, counted)
        started = time.perf_counter()
        trained = train(folder, CATALOGUE, tell)
        seconds, held = time.perf_counter() - started, peak_mib()
        truth = true_probabilities(folder, trained.predictions)
    cost = {"accounts": accounts, "seconds": seconds, "peak_mib": held}
    return {**cost, **_trained(trained), **beside_truth(trained, truth)}


def _trained(trained: TrainingResult) -> Mapping[str, Any]:
    report = trained.report.to_dict()
    kept = ("rung", "training_leads", "training_rows", "features", "log_loss", "log_loss_constant", "auc")
    immature = report["immature"]["used"]
    return {**{name: report[name] for name in kept}, "test_leads": report["rows"], "recent_used": immature}


def beside_truth(trained: TrainingResult, truth: Reals) -> Mapping[str, Any]:
    """What was served of the test leads beside their true probabilities.

    Besides the share of attainable skill, by the outcomes drawn and by their expectation: `smooth_error`, smECE against
    the true probabilities instead of outcomes; and for each bin of `bins` the percentage points by which its mean true
    probability lies above (below: negative) its mean range.
    """
    from relplot import smECE

    served = trained.predictions.probability
    parts = trained.bundle.contributions(trained.test_matrix)
    lower, upper = trained.bundle.calibration.range(trained.bundle.margins(parts))
    if not np.allclose(served, sigmoid(parts.sum(axis=1)), rtol=0, atol=1e-9):
        raise RuntimeError("the bundle does not say of the test rows what training did")
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
    """By tenths of the served probability: points by which the mean truth is above the mean range, or below (minus)."""
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
    """Mean, least and most of each figure by world and size, and the rungs served."""
    head = ["world, leads", "runs", "rungs", *(words for words, _ in FIGURES.values())]
    return table(head, (_cells(key, of) for key, of in grouped(runs, "world", "leads", "counted")))


def _cells(key: tuple[Any, ...], runs: Sequence[Run]) -> list[str]:
    def text(figure: str, form: str) -> str:
        mean, least, most = (format(value, form) for value in spread(runs, figure))
        return f"{mean} ({least} to {most})"

    world, leads, counted = key
    rungs = ", ".join(sorted({run["rung"] for run in runs}))
    name = f"{world}, {leads:,} {counted}"
    return [name, str(len(runs)), rungs, *(text(figure, form) for figure, (_, form) in FIGURES.items())]


def _rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (world, leads, counted), of in grouped(runs, "world", "leads", "counted"):
        ours, theirs = spread(of, "log_loss")[0], spread(of, "log_loss_truth")[0]
        yield {
            "benchmark": f"worlds-{world}-{leads}-{counted}",
            "ours": ours,
            "peer": "the true probabilities",
            "theirs": theirs,
            "ratio": theirs / ours,
            "unit": "nats",
            "seeds": [run["seed"] for run in of],
            "rungs": [run["rung"] for run in of],
            **{figure: spread(of, figure) for figure in FIGURES},
        }
