"""Additivity and monotonicity of every rung, on random rows far from any lead.

`python -m benchmarks sweeps` fits every rung on a small plain world and asks each about 100,000 rows with values inside
and beyond those seen, missing ones, and levels that training never met. Contributions must sum to the log-odds, and
raising a feature in its direction must never lower them.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.rungs import bundled, climbed
from benchmarks.runs import Case, Run, run_all, table, teller
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
    """Measure, print a line a world and a table, and return a row for each rung, additivity and monotonicity.

    Args:
        seeds: of the worlds and of the rows.
        log: see `benchmarks.runs.run_all`.
    """
    cases: list[Case] = [{"benchmark": NAME, "world": "plain", "leads": LEADS, "seed": seed} for seed in seeds]
    runs = run_all(cases, measure, log, _line)
    print(f"\n{_summary(runs)}")
    return [row for run in runs for row in _rows(run)]


def measure(case: Case) -> Mapping[str, Any]:
    """By rung: how far contributions are from their sum at most, and how often a rise lowers the log-odds."""
    tell, seed = teller(case), int(case["seed"])
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as home:
        folder = Path(home, "world")
        frozen_world(folder, str(case["world"]), seed, int(case["leads"]), "all")
        data = prepare_training(folder, CATALOGUE, tell, horizon_days=HORIZON_DAYS)
    rng = np.random.default_rng(seed)
    rows = random_rows(data, ROWS, rng)
    swept = {}
    for name, choice in _asked(climbed(data, 0, tell).choices).items():
        tell(f"sweeping {name}")
        swept[name] = {"settings": choice.settings, **_swept(bundled(data, choice, 0), rows, rng)}
    return {"rows": ROWS, "features": len(data.encoding.features), "swept": swept}


def _asked(choices: Mapping[Rung, Choice]) -> Mapping[str, Choice]:
    """Every rung as it was fitted best; those of trees with the most trees there may be too, which split on more."""
    most = {"trees": STAGES[-1]}
    grown = {f"{rung}, {STAGES[-1]} trees": replace(choices[rung], settings=most) for rung in TREES if rung in choices}
    return {**{str(rung): choice for rung, choice in choices.items()}, **grown}


def random_rows(data: TrainingData, count: int, rng: np.random.Generator) -> Matrix:
    """So many rows as a bundle encodes them: values seen, values beyond, missing ones, and levels never met."""
    columns = {
        feature.name: _values(feature, data.rows.matrix[:, place], count, rng)
        for place, feature in enumerate(data.encoding.features)
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
    return [None if gone else value for gone, value in zip(missing.tolist(), drawn, strict=True)]


def _numbers(seen: Reals, count: int, rng: np.random.Generator) -> Reals:
    """A third as seen, a third around it, a third of any size and sign."""
    values = rng.choice(seen, count)
    around = values + rng.normal(size=count) * (seen.std() + 1e-6)
    anywhere = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-6, 9, count)
    return np.choose(rng.integers(3, size=count), [values, around, anywhere])


def _swept(bundle: Bundle, rows: Matrix, rng: np.random.Generator) -> Mapping[str, Any]:
    started = time.perf_counter()
    before = log_odds_apart(bundle, rows)
    worst = float(np.abs(bundle.contributions(rows).sum(axis=1) - before).max())
    catalogue = bundle.catalogue(CATALOGUE)
    directed = {place: catalogue[name].direction for place, name in enumerate(bundle.encoding.names)}
    falls = {
        bundle.encoding.names[place]: _falls(bundle, rows, before, place, direction, rng)
        for place, direction in directed.items()
        if direction
    }
    return {
        "additivity": worst,
        "directed": len(falls),
        "rises": sum(rises for rises, _, _ in falls.values()),
        "against": {name: against for name, (_, against, _) in falls.items() if against},
        "furthest": max((fall for _, _, fall in falls.values()), default=0.0),
        "seconds": time.perf_counter() - started,
    }


def _falls(
    bundle: Bundle, rows: Matrix, before: Reals, place: int, direction: int, rng: np.random.Generator
) -> tuple[int, int, float]:
    """How many rows have the feature and rise by it, how many go against its direction, and how far at most."""
    present = ~np.isnan(rows[:, place])
    if not present.any():
        return 0, 0, 0.0
    raised = rows[present]
    scale = np.abs(raised[:, place]) * rng.random(len(raised)) + 10.0 ** rng.uniform(-3, 3, len(raised))
    raised[:, place] += scale
    fall = direction * (before[present] - log_odds_apart(bundle, raised))
    return len(raised), int((fall > TOLERANCE).sum()), float(max(fall.max(), 0.0))


def log_odds_apart(bundle: Bundle, matrix: Matrix) -> Reals:
    """Calibrated log-odds reckoned without contributions: as LightGBM predicts them, or by the rung's own formula."""
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
    raise TypeError(f"no formula for {type(model).__name__}")


def _line(run: Run) -> str:
    words = "; ".join(_words(rung, of) for rung, of in run["swept"].items())
    return f"plain {run['leads']:,}, seed {run['seed']}, {run['rows']:,} rows: {words}"


def _words(name: str, of: Mapping[str, Any]) -> str:
    against = sum(of["against"].values())
    return (
        f"{name} additive within {of['additivity']:.1e}, {against:,} of {of['rises']:,} rises against their direction"
    )


def _summary(runs: Sequence[Run]) -> str:
    head = ["rung", "seed", "rows", "additive within", "features with a direction", "rises", "against it", "furthest"]
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
        for what, figure in (("additivity", of["additivity"]), ("monotonicity", of["furthest"])):
            yield {
                "benchmark": f"sweeps-{what}-{rung.replace(', ', '-').replace(' ', '-')}-seed-{run['seed']}",
                "ours": figure,
                "peer": "what is tolerated",
                "theirs": TOLERANCE,
                "ratio": figure / TOLERANCE,
                "unit": "log-odds",
                "rows": run["rows"],
                "against": of["against"],
            }
