"""Whether climbing pays: the served rung beside the others out of time, by size, and what deeper trees cost or bring.

`python -m benchmarks ladder` trains on plain worlds of several sizes as `eql train` does, and sets the log loss of the
test leads beside that of every rung fitted at its own best settings; then the LightGBM rung with trees of depth 3 to 6.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from benchmarks.rungs import bundled, climbed, of_depth, tested
from benchmarks.runs import Case, Run, grouped, run_all, spread, table, teller
from benchmarks.simulated import Counted, frozen_world
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
"""The first is the default, which the others are compared with."""
ROWS_TIMED = 200
Difference: TypeAlias = Mapping[str, float]


def run(sizes: Sequence[int], seeds: Sequence[int], counted: Counted, log: Path | None) -> list[dict[str, Any]]:
    """Measure, print a line a run and two tables, and return a row for each size and rung, and each size and depth.

    Args:
        sizes: of the worlds, in leads.
        seeds: of the worlds; training has its own default.
        counted: which leads make the size.
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
    """The served rung beside each rung, and each depth beside the default's, on the test leads of one world."""
    tell = teller(case)
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        size, counted = int(case["leads"]), cast(Counted, case["counted"])
        frozen_world(folder, str(case["world"]), int(case["seed"]), size, counted)
        trained = train(folder, CATALOGUE, tell)
        data = prepare_training(folder, CATALOGUE, lambda _words: None, horizon_days=HORIZON_DAYS)
    counts = {"training_leads": len(data.created), "test_leads": len(data.split.test)}
    served = {"served": trained.bundle.rung, "log_loss": trained.report.metrics.log_loss}
    beside = _beside(data, trained.predictions, tell)
    return {**counts, **served, "beside": beside, "depths": _by_depth(data, tell) if "lightgbm" in beside else {}}


def _beside(data: TrainingData, served: Predictions, tell: Progress) -> Mapping[str, Difference]:
    """By rung that can be fitted: its test log loss, and the served log loss less that."""
    if not np.array_equal(served.lead_id, data.snapshots.lead_id[data.split.test]):
        raise RuntimeError("the test leads of the matrix are not those of training")
    ladder = climbed(data, 0, tell)
    won, clusters = served.won, ClusterBootstrap(served.cluster, np.random.default_rng(0))
    # Where nothing can be fitted what is served is the base rate itself.
    said = {"base_rate": np.full(len(won), served.constant)}
    said |= {rung: tested(data, bundled(data, choice, 0)) for rung, choice in ladder.choices.items()}
    ours = log_losses(won, served.probability)
    return {rung: _difference(ours, log_losses(won, p), clusters) for rung, p in said.items()}


def _difference(ours: Reals, theirs: Reals, clusters: ClusterBootstrap) -> Difference:
    low, high = clusters.mean_interval(ours - theirs)
    return {"log_loss": float(theirs.mean()), "difference": float((ours - theirs).mean()), "low": low, "high": high}


def _by_depth(data: TrainingData, tell: Progress) -> Mapping[str, Mapping[str, float]]:
    """By depth: trees, microseconds for one row's contributions, and log loss less that of the default depth."""
    test = data.split.test
    clusters = ClusterBootstrap(data.snapshots.cluster[test], np.random.default_rng(0))
    found: dict[str, Mapping[str, float]] = {}
    default: Reals | None = None
    for depth in DEPTHS:
        tell(f"trees of depth {depth}")
        choice = of_depth(data, depth, 0)
        bundle = bundled(data, choice, 0)
        own = log_losses(data.rows.won[test], tested(data, bundle))
        default = own if default is None else default
        low, high = clusters.mean_interval(own - default)
        cost = {"trees": choice.settings["trees"], "microseconds": _microseconds(bundle, data.rows.matrix[test])}
        beside = {"log_loss": float(own.mean()), "difference": float((own - default).mean()), "low": low, "high": high}
        found[str(depth)] = {**cost, **beside}
    return found


def _microseconds(bundle: Bundle, rows: Matrix) -> float:
    """Median of one row's contributions, as a request asks for them, once warm."""
    times = []
    for place in range(ROWS_TIMED):
        one = rows[place % len(rows)][None]
        start = time.perf_counter()
        bundle.contributions(one)
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times[ROWS_TIMED // 10 :])


def lower(run: Run) -> list[str]:
    """The rungs below the served one that could be fitted."""
    return [rung for rung in RUNGS[: RUNGS.index(run["served"])] if rung in run["beside"]]


def _line(run: Run) -> str:
    name = f"plain {run['leads']:,} {run['counted']}, seed {run['seed']}"
    begun = f"{name}: {run['served']} served, log loss {run['log_loss']:.4f}"
    rungs = [f"less {rung}'s {_interval(run['beside'][rung])}" for rung in lower(run)]
    depths = [f"depth {depth} {_interval(of)}" for depth, of in run["depths"].items() if depth != str(DEPTHS[0])]
    return "; ".join([begun, *rungs, *depths])


def _interval(of: Difference) -> str:
    return f"{of['difference']:+z.4f} ({of['low']:+z.4f} to {of['high']:+z.4f})"


def _rungs(runs: Sequence[Run]) -> str:
    """By size: what was served, and how the served log loss lies beside that of each rung, which need not be lower."""
    head = ["leads", "served", *(f"less {rung}'s" for rung in RUNGS), "loses to a lower rung", "significantly"]
    return table(head, (_rung_cells(leads, counted, of) for (leads, counted), of in grouped(runs, "leads", "counted")))


def _rung_cells(leads: int, counted: str, runs: Sequence[Run]) -> list[str]:
    served = ", ".join(f"{rung} {count}" for rung in RUNGS if (count := sum(run["served"] == rung for run in runs)))
    worse = sum(any(run["beside"][rung]["difference"] > 0 for rung in lower(run)) for run in runs)
    clearly = sum(any(run["beside"][rung]["low"] > 0 for rung in lower(run)) for run in runs)
    beside = [_spread([run["beside"][rung] for run in runs if rung in run["beside"]]) for rung in RUNGS]
    return [f"{leads:,} {counted}", served, *beside, f"{worse} of {len(runs)}", f"{clearly} of {len(runs)}"]


def _spread(differences: Sequence[Run]) -> str:
    if not differences:
        return "not fitted"
    mean, least, most = spread(differences, "difference")
    return f"{mean:+z.4f} ({least:+z.4f} to {most:+z.4f})"


def _depths(runs: Sequence[Run]) -> str:
    """By size and depth: log loss less that of the default depth, how often that is significant, and the price."""
    head = ["leads", "depth", f"log loss less that of depth {DEPTHS[0]}", "better", "worse", "trees", "µs a row"]
    return table(head, (_depth_cells(*found) for found in _of_depth(runs)))


def _of_depth(runs: Sequence[Run]) -> Iterator[tuple[int, str, list[Run]]]:
    """Size, depth and what the runs of that size say of it."""
    for (leads, _), of in grouped(runs, "leads", "counted"):
        for depth in map(str, DEPTHS):
            if found := [dict(run["depths"][depth]) for run in of if depth in run["depths"]]:
                yield leads, depth, found


def _depth_cells(leads: int, depth: str, of: Sequence[Run]) -> list[str]:
    better, worse = sum(each["high"] < 0 for each in of), sum(each["low"] > 0 for each in of)
    counts = [f"{better} of {len(of)}", f"{worse} of {len(of)}"]
    price = [f"{spread(of, 'trees')[0]:.0f}", f"{spread(of, 'microseconds')[0]:.0f}"]
    return [f"{leads:,}", depth, _spread(of), *counts, *price]


def _rung_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    for (leads, counted), of in grouped(runs, "leads", "counted"):
        for rung in RUNGS:
            if found := [run for run in of if rung in run["beside"]]:
                beside = [run["beside"][rung] for run in found]
                row = _row(f"ladder-{leads}-{counted}", found, rung, beside)
                yield row | {"served": [run["served"] for run in found], "seeds": [run["seed"] for run in found]}


def _depth_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    default: Sequence[Run] = ()
    for leads, depth, of in _of_depth(runs):
        if depth == str(DEPTHS[0]):
            default = of
        else:
            row = _row(f"depth-{leads}", default, f"depth {depth}", of)
            yield row | {"microseconds": spread(of, "microseconds")[0]}


def _row(benchmark: str, mine: Sequence[Run], peer: str, others: Sequence[Run]) -> dict[str, Any]:
    ours, theirs = spread(mine, "log_loss")[0], spread(others, "log_loss")[0]
    return {
        "benchmark": benchmark,
        "ours": ours,
        "peer": peer,
        "theirs": theirs,
        "ratio": theirs / ours,
        "unit": "nats",
        "difference_95": [[each["low"], each["high"]] for each in others],
    }
