"""Additivity and monotonicity of every rung, on random rows far from any lead.

`python -m benchmarks sweeps` fits every rung on a small plain world and evaluates 100,000 random rows: values inside
and outside the training range, missing values, and levels that training never had. The contributions must sum to the
log-odds, and a change of a feature in its direction must never lower the log-odds.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.rungs import choice_bundle, fit_ladder
from benchmarks.runs import Case, Run, progress_of, run_all, table
from benchmarks.simulated import frozen_world
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import Scalar
from models.arrays import Matrix, Reals
from models.bundle import Bundle
from models.encoding import EncodedFeature
from models.probability import TREES, BaseRate, LightGBM, Logistic, MarginModel, Rung, SegmentRates
from training.data.matrix import TrainingData, prepare_training
from training.fitting.ladder import STAGES
from training.fitting.model_selection import Choice
from training.promotion.guardrails import TOLERANCE

NAME = "sweeps"
LEADS, ROWS = 3_000, 100_000
SEEDS = (1,)
MISSING, UNSEEN = 0.15, 0.1


def run(seeds: Sequence[int], log: Path | None) -> list[dict[str, Any]]:
    """Measures, prints a line a world and a table, and returns two rows for each rung: additivity and monotonicity.

    Args:
        seeds: the seeds of the worlds and of the rows.
        log: see `benchmarks.runs.run_all`.
    """
    cases: list[Case] = [{"benchmark": NAME, "world": "plain", "leads": LEADS, "seed": seed} for seed in seeds]
    runs = run_all(cases, measure, log, _line)
    print(f"\n{_summary(runs)}")
    return [row for run in runs for row in _rows(run)]


def measure(case: Case) -> Mapping[str, Any]:
    """By rung: the largest additivity error, and how often a rise of a feature lowers the log-odds."""
    progress, seed = progress_of(case), int(case["seed"])
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        frozen_world(folder, str(case["world"]), seed, int(case["leads"]), "all")
        data = prepare_training(folder, CATALOGUE, progress, horizon_days=HORIZON_DAYS)
    rng = np.random.default_rng(seed)
    rows = random_rows(data, ROWS, rng)
    swept = {}
    for name, choice in _choices_to_sweep(fit_ladder(data, 0, progress).choices).items():
        progress(f"sweeping {name}")
        swept[name] = {"settings": choice.settings, **_swept(choice_bundle(data, choice, 0), rows, rng)}
    return {"rows": ROWS, "features": len(data.encoding.features), "swept": swept}


def _choices_to_sweep(choices: Mapping[Rung, Choice]) -> Mapping[str, Choice]:
    """Every rung at its best settings; the tree rungs also with the maximum number of trees, which split more."""
    settings = {"trees": STAGES[-1]}
    full_size = {
        f"{rung}, {STAGES[-1]} trees": replace(choices[rung], settings=settings) for rung in TREES if rung in choices
    }
    return {**{str(rung): choice for rung, choice in choices.items()}, **full_size}


def random_rows(data: TrainingData, count: int, rng: np.random.Generator) -> Matrix:
    """Encoded random rows: values inside and outside the training range, missing values, and unknown levels."""
    columns = {
        feature.name: _values(feature, data.rows.matrix[:, column], count, rng)
        for column, feature in enumerate(data.encoding.features)
    }
    return data.encoding.encode(columns, count)


def _values(feature: EncodedFeature, seen: Reals, count: int, rng: np.random.Generator) -> list[Scalar]:
    missing = rng.random(count) < MISSING
    if feature.kind == "category":
        known = np.array([*feature.levels, "a level never met"])
        share = np.append(np.full(len(feature.levels), (1 - UNSEEN) / len(feature.levels)), UNSEEN)
        drawn: Sequence[Scalar] = rng.choice(known, count, p=share).tolist()
    else:
        drawn = _numbers(seen[~np.isnan(seen)], count, rng).tolist()
    return [None if is_missing else value for is_missing, value in zip(missing.tolist(), drawn, strict=True)]


def _numbers(seen: Reals, count: int, rng: np.random.Generator) -> Reals:
    """A third of the values from training, a third near such values, a third of any size and sign."""
    values = rng.choice(seen, count)
    around = values + rng.normal(size=count) * (seen.std() + 1e-6)
    anywhere = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-6, 9, count)
    return np.choose(rng.integers(3, size=count), [values, around, anywhere])


def _swept(bundle: Bundle, rows: Matrix, rng: np.random.Generator) -> Mapping[str, Any]:
    started = time.perf_counter()
    before = log_odds_without_contributions(bundle, rows)
    worst = float(np.abs(bundle.contributions(rows).sum(axis=1) - before).max())
    catalogue = bundle.catalogue(CATALOGUE)
    directions = {column: catalogue[name].direction for column, name in enumerate(bundle.encoding.names)}
    sweeps = {
        bundle.encoding.names[column]: _raise_feature(bundle, rows, before, column, direction, rng)
        for column, direction in directions.items()
        if direction
    }
    return {
        "additivity": worst,
        "directed": len(sweeps),
        "rises": sum(sweep.rises for sweep in sweeps.values()),
        "against": {name: sweep.against for name, sweep in sweeps.items() if sweep.against},
        "furthest": max((sweep.largest_fall for sweep in sweeps.values()), default=0.0),
        "seconds": time.perf_counter() - started,
    }


@dataclass(frozen=True)
class DirectionSweep:
    """The rises of a feature with a direction.

    Attributes:
        rises: the number of rows in which the feature was raised.
        against: the number of these rows whose log-odds then moved against the direction.
        largest_fall: the largest such move, in log-odds.
    """

    rises: int
    against: int
    largest_fall: float


def _raise_feature(
    bundle: Bundle, rows: Matrix, before: Reals, column: int, direction: int, rng: np.random.Generator
) -> DirectionSweep:
    """Raises a feature in every row that has it."""
    present = ~np.isnan(rows[:, column])
    if not present.any():
        return DirectionSweep(0, 0, 0.0)
    raised = rows[present]
    scale = np.abs(raised[:, column]) * rng.random(len(raised)) + 10.0 ** rng.uniform(-3, 3, len(raised))
    raised[:, column] += scale
    fall = direction * (before[present] - log_odds_without_contributions(bundle, raised))
    return DirectionSweep(len(raised), int((fall > TOLERANCE).sum()), float(max(fall.max(), 0.0)))


def log_odds_without_contributions(bundle: Bundle, matrix: Matrix) -> Reals:
    """Calibrated log-odds, computed without contributions: by LightGBM itself, or by the formula of the rung."""
    return bundle.calibration.log_odds(_margin(bundle.model, matrix))


def _margin(model: MarginModel, matrix: Matrix) -> Reals:
    if isinstance(model, LightGBM):
        booster = lightgbm.Booster(model_str=model.text)
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)
    if isinstance(model, Logistic):
        return model.intercept + sum((c.coefficient * c.design(matrix) for c in model.columns), np.zeros(len(matrix)))
    if isinstance(model, SegmentRates):
        effect = {float(code): value for code, value in enumerate(model.effects)}
        return np.array([model.log_odds + effect.get(code, 0.0) for code in matrix[:, model.segment].tolist()])
    if isinstance(model, BaseRate):
        return np.full(len(matrix), model.log_odds)
    raise TypeError(f"there is no formula for {type(model).__name__}; add one here")


def _line(run: Run) -> str:
    words = "; ".join(_words(rung, of) for rung, of in run["swept"].items())
    return f"plain {run['leads']:,}, seed {run['seed']}, {run['rows']:,} rows: {words}"


def _words(name: str, of: Mapping[str, Any]) -> str:
    against = sum(of["against"].values())
    return (
        f"{name} additive within {of['additivity']:.1e}, {against:,} of {of['rises']:,} rises against their direction"
    )


def _summary(runs: Sequence[Run]) -> str:
    head = [
        "rung",
        "seed",
        "rows",
        "additive within",
        "features with a direction",
        "rises",
        "against direction",
        "largest fall",
    ]
    return table(head, (_cells(run, rung, of) for run in runs for rung, of in run["swept"].items()))


def _cells(run: Run, rung: str, of: Mapping[str, Any]) -> list[str]:
    against = ", ".join(f"{name} {count:,}" for name, count in of["against"].items()) or "none"
    counts = [f"{of['directed']}", f"{of['rises']:,}"]
    return [
        rung,
        str(run["seed"]),
        f"{run['rows']:,}",
        f"{of['additivity']:.1e}",
        *counts,
        against,
        f"{of['furthest']:.1e}",
    ]


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    for rung, of in run["swept"].items():
        for property_name, figure in (("additivity", of["additivity"]), ("monotonicity", of["furthest"])):
            yield {
                "benchmark": f"sweeps-{property_name}-{rung.replace(', ', '-').replace(' ', '-')}-seed-{run['seed']}",
                "ours": figure,
                "peer": "what is tolerated",
                "theirs": TOLERANCE,
                "ratio": figure / TOLERANCE,
                "unit": "log-odds",
                "rows": run["rows"],
                "against": of["against"],
            }
