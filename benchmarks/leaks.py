"""The leak detector: its recall on planted leaks, and its false alarms on honest columns.

`python -m benchmarks.leaks --seeds 5` simulates worlds of about 3,000 leads, gives their leads honest attributes, and
plants one leak at a time. A leak is a column as a CRM exports it, long after the lead was created. The output is the
recall by kind and strength of leak, and the false alarms.
"""

import argparse
import datetime as dt
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.engines.duckdb import POSITION, DuckDBEngine
from features.outcomes import first_closes_sql
from features.partner_history import HORIZON_DAYS
from features.value_types import DAY, Scalar, microseconds
from models.encoding import EncodedFeature, Encoding
from models.probability import logit
from training.data.rows import MAX_LEVELS, MIN_LEVEL_ROWS, Rows
from training.data.snapshots import Snapshots, label_snapshots
from training.data.splits import Split, split
from training.leaks import LeadHistory, LeakSearch, search_for_leaks
from training.world.simulation import TRUTH, simulate

ACCOUNTS = 3_700
"""These accounts have about 3,000 leads."""
UNTIL = dt.date(2026, 11, 21)
LEAK = "planted"
Values: TypeAlias = Sequence[Scalar]


@dataclass(frozen=True, kw_only=True)
class World:
    """A simulated world as training reads it, with the outcome of each lead. The last four arrays have an item a lead.

    Attributes:
        snapshots: the labelled snapshots.
        table: the features of the snapshots.
        lead: the position of each snapshot's lead.
        created: the creation of each lead, microseconds.
        closed: the close of each lead, microseconds; 0 for an open lead.
        won: whether the lead was won by the cut.
        odds: the log-odds of the true probability at creation.
    """

    snapshots: Snapshots
    table: pa.Table
    lead: NDArray[np.int64]
    created: NDArray[np.int64]
    closed: NDArray[np.int64]
    won: NDArray[np.bool_]
    odds: NDArray[np.float64]


Planting: TypeAlias = Callable[[World, np.random.Generator], Values]


def world(folder: Path, seed: int) -> World:
    """Simulates a world, labels its snapshots and evaluates their features."""
    simulate(folder, ACCOUNTS, seed, UNTIL)
    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        snapshots = label_snapshots(engine, HORIZON_DAYS)
        table = engine.evaluate(CATALOGUE, snapshots.table())
        closes = {row["lead_id"]: row for row in engine.sql(first_closes_sql("duckdb", None, POSITION)).to_pylist()}
    rows = {key: i for i, key in enumerate(zip(table["lead_id"].to_pylist(), table["as_of"].to_pylist(), strict=True))}
    keys = list(zip(snapshots.lead_id.tolist(), snapshots.as_of.tolist(), strict=True))
    ids, first, lead = np.unique(snapshots.lead_id, return_index=True, return_inverse=True)
    lead_closes = [closes.get(name) for name in ids.tolist()]
    truth = {
        (row["lead_id"], microseconds(row["as_of"])): row["probability"]
        for row in pq.read_table(folder / TRUTH).to_pylist()
    }
    created = snapshots.created[first]
    probability = np.array([truth[key] for key in zip(ids.tolist(), created.tolist(), strict=True)])
    return World(
        snapshots=snapshots,
        table=table.take(pa.array([rows[key] for key in keys], pa.int64())),
        lead=lead,
        created=created,
        closed=np.array([row["closed_at"] if row else 0 for row in lead_closes]),
        won=np.array([bool(row and row["won"]) for row in lead_closes]),
        odds=np.asarray(logit(np.clip(probability, 1e-6, 1 - 1e-6))),
    )


def _optional(values: NDArray[np.float64], filled: NDArray[np.bool_]) -> Values:
    return [float(value) if is_filled else None for value, is_filled in zip(values, filled, strict=True)]


def _noise_copy(flipped: float) -> Planting:
    def plant(of: World, rng: np.random.Generator) -> Values:
        return ["yes" if won else "no" for won in of.won ^ (rng.random(len(of.won)) < flipped)]

    return plant


def _days_in_bands(days: int) -> Planting:
    """The age of the lead at its close, or at the cut if it is open, rounded down to bands."""

    def plant(of: World, _: np.random.Generator) -> Values:
        end = np.where(of.closed > 0, of.closed, of.snapshots.cut)
        return [float(length) for length in (end - of.created) // DAY // days * days]

    return plant


def _status(updated: float) -> Planting:
    """A status code. After the close, a share of the leads gets a status for won or lost leads."""

    def plant(of: World, rng: np.random.Generator) -> Values:
        code = rng.choice([10, 11, 12, 20, 21, 30], size=len(of.won))
        after = np.where(of.won, rng.choice([40, 41], size=len(of.won)), rng.choice([50, 51, 52], size=len(of.won)))
        set_after = (of.closed > 0) & (rng.random(len(of.won)) < updated)
        return [f"S{value}" for value in np.where(set_after, after, code)]

    return plant


def _counter(more: float) -> Planting:
    """A count of messages: a few for every lead, and more after a win (onboarding)."""

    def plant(of: World, rng: np.random.Generator) -> Values:
        counted = rng.poisson(4, size=len(of.won)) + np.where(of.won, rng.poisson(more, size=len(of.won)), 0)
        return [float(count) for count in counted]

    return plant


def _note(mentioning: float) -> Planting:
    """Free notes; a share of the notes on closed leads mentions the outcome."""

    def plant(of: World, rng: np.random.Generator) -> Values:
        mentions = (of.closed > 0) & (rng.random(len(of.won)) < mentioning)
        plain = rng.choice(["call back", "sent brochure", "asked for prices", "met at fair", "no answer"], len(of.won))
        ended = np.where(of.won, "contract signed, hand over", "went elsewhere, archive")
        number = rng.integers(400, size=len(of.won))
        return [f"{text} ({n})" for text, n in zip(np.where(mentions, ended, plain), number, strict=True)]

    return plant


def _filled_after(won: float, lost: float) -> Planting:
    """A survey after the close, filled in by a share of the won and a share of the lost leads."""

    def plant(of: World, rng: np.random.Generator) -> Values:
        share = np.where(of.closed > 0, np.where(of.won, won, lost), 0.0)
        return _optional(rng.integers(1, 11, size=len(share)).astype(float), rng.random(len(share)) < share)

    return plant


def _id_at_close(blank_if_open: bool) -> Planting:
    """Numbers in the order of closing; open leads have none, or are ordered by their creation."""

    def plant(of: World, _: np.random.Generator) -> Values:
        moment = np.where(of.closed > 0, of.closed, of.created)
        number = 100_000 + np.argsort(np.argsort(moment, kind="stable")).astype(float)
        return _optional(number, (of.closed > 0) | (not blank_if_open))

    return plant


LEAKS: Mapping[str, Mapping[str, Planting]] = {
    "noisy copy of the outcome": {f"{flip:.0%} flipped": _noise_copy(flip) for flip in (0.0, 0.05, 0.1, 0.2, 0.3)},
    "days to close in bands": {f"{days} days": _days_in_bands(days) for days in (7, 30, 60)},
    "status set after the close": {f"for {share:.0%}": _status(share) for share in (1.0, 0.5, 0.2)},
    "counter raised by a win": {f"by {more:g} of 4": _counter(more) for more in (6, 3, 1)},
    "note that mentions the end": {f"in {share:.0%}": _note(share) for share in (0.6, 0.3, 0.1)},
    "filled in after the close": {
        f"{won:.0%} won, {lost:.0%} lost": _filled_after(won, lost)
        for won, lost in ((0.8, 0.0), (0.3, 0.0), (0.1, 0.0), (0.7, 0.2))
    },
    "number given at the close": {"open blank": _id_at_close(True), "open by creation": _id_at_close(False)},
}


def honest(of: World, rng: np.random.Generator) -> dict[str, Values]:
    """Attributes known at creation. Some predict the outcome, but no better than the true probability does."""
    count, strength = len(of.won), (of.odds - of.odds.mean()) / of.odds.std()
    budget = strength + rng.normal(size=count)
    return {
        "honest_region": [f"region {n}" for n in rng.integers(8, size=count)],
        "honest_campaign": [f"campaign {n}" for n in rng.integers(400, size=count)],
        "honest_budget": np.exp(budget + 8).round(-2).tolist(),
        "honest_budget_band": [f"band {n}" for n in np.digitize(budget, [-1.5, -0.5, 0.5, 1.5])],
        "honest_interest": (strength + rng.normal(size=count) / 4).tolist(),
        "honest_phone": _optional(rng.integers(1000, size=count).astype(float), rng.random(count) < 0.6),
        "honest_website": _optional(rng.normal(size=count), rng.random(count) < 1 / (1 + np.exp(-strength))),
        "honest_visits": rng.poisson(np.exp(strength / 3)).astype(float).tolist(),
        "honest_number": (100_000 + np.argsort(np.argsort(of.created, kind="stable"))).astype(float).tolist(),
        "honest_message": [f"please {w} us ({n})" for w, n in zip(rng.choice(["call", "write", "visit"], count),
                                                                  rng.integers(500, size=count), strict=True)],
    }  # fmt: skip


def search(of: World, attributes: Mapping[str, Values], division: Split, history: LeadHistory) -> LeakSearch:
    """Examines the features of the catalogue and attributes of leads for leaks."""
    columns = {name: pa.array(values).take(pa.array(of.lead)) for name, values in attributes.items()}
    table = pa.table({**{name: of.table[name] for name in CATALOGUE.names}, **columns})
    encoding = Encoding(tuple(_encoded(table.take(pa.array(division.train)))))
    matrix = encoding.encode({name: table[name].to_pylist() for name in encoding.names}, len(of.lead))
    snapshots = of.snapshots
    won = snapshots.won.astype(np.float64)
    rows = Rows(matrix=matrix, won=won, weight=snapshots.weight, at_creation=snapshots.at_creation)
    return search_for_leaks(rows, encoding, division, [*attributes], table, history)


def _encoded(train: pa.Table) -> Iterator[EncodedFeature]:
    """The features that vary, with their most frequent levels."""
    for name in train.column_names:
        counts = [row for row in train[name].value_counts().to_pylist() if row["values"] is not None]
        text = pa.types.is_string(train[name].type)
        common = sorted((row for row in counts if row["counts"] >= MIN_LEVEL_ROWS), key=lambda row: -row["counts"])
        if len(counts) + (train[name].null_count > 0) > 1 and (common or not text):
            levels = tuple(row["values"] for row in common[:MAX_LEVELS]) if text else ()
            yield EncodedFeature(name, "category" if text else "number", levels)


def main() -> None:
    """Runs the detector on the worlds and prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="number of worlds")
    started, tally = time.perf_counter(), Tally()
    for seed in range(parser.parse_args().seeds):
        with tempfile.TemporaryDirectory() as folder:
            _measure(world(Path(folder, "world"), seed), seed, tally)
    print(tally.text())
    print(f"{time.perf_counter() - started:.0f} s")


def _measure(of: World, seed: int, tally: "Tally") -> None:
    division, history = split(of.snapshots), LeadHistory.of(of.snapshots)
    with_late_wins = replace(history, ever_won=of.won[of.lead])
    attributes = honest(of, np.random.default_rng([seed, 0]))
    tally.add_honest(search(of, attributes, division, history), len(attributes), int(of.snapshots.at_creation.sum()))
    for number, (kind, variants) in enumerate(LEAKS.items(), 1):
        for step, (variant, plant) in enumerate(variants.items()):
            values = plant(of, np.random.default_rng([seed, number, step]))
            with_leak = {**attributes, LEAK: values}
            for knowledge, leads_history in (("labels", history), ("wins known", with_late_wins)):
                tally.add_leak((kind, variant, knowledge), search(of, with_leak, division, leads_history))


class Tally:
    """Counts of found leaks and false alarms, over all worlds."""

    def __init__(self) -> None:
        self._found: Counter[tuple[str, str, str, str]] = Counter()
        self._honest: Counter[str] = Counter()
        self._blocked_in_error: Counter[str] = Counter()

    def add_honest(self, examination: LeakSearch, columns: int, leads: int) -> None:
        """Counts the suspects where no leak is planted."""
        self._honest.update(worlds=1, leads=leads, attributes=columns, features=len(CATALOGUE.names))
        for suspect in examination.suspects:
            print(f"false alarm: {suspect.name} {suspect.evidence}")
            group = "attributes" if suspect.name.startswith("honest_") else "features"
            self._honest.update({f"suspected {group}": 1, "blocked": int(suspect.decisive)})

    def add_leak(self, planted: tuple[str, str, str], examination: LeakSearch) -> None:
        """Counts whether a planted leak is found."""
        names = [suspect.name for suspect in examination.suspects]
        blocking = {suspect.name for suspect in examination.suspects if suspect.decisive}
        self._found[*planted, "worlds"] += 1
        self._found[*planted, "blocked"] += LEAK in blocking
        self._found[*planted, "first three"] += LEAK in names[:3]
        self._found[*planted, "named"] += LEAK in names
        self._blocked_in_error.update(blocking - {LEAK})

    def text(self) -> str:
        """The figures as a table."""
        lines = ["kind | strength | blocked | first three | named | all three with late wins known"]
        for kind, variants in LEAKS.items():
            for variant in variants:
                cells = [self._cells(kind, variant, knowledge) for knowledge in ("labels", "wins known")]
                lines.append(" | ".join((kind, variant, *cells[0], "/".join(cells[1]))))
        for kind in LEAKS:
            blocked, three = self._recall(kind, "blocked"), self._recall(kind, "first three")
            lines.append(f"{kind}: {blocked} blocked, {three} in the first three")
        lines.append(f"without a leak: {dict(self._honest)}")
        return "\n".join([*lines, f"honest columns blocked together with a leak: {dict(self._blocked_in_error)}"])

    def _cells(self, kind: str, variant: str, knowledge: str) -> list[str]:
        return [str(self._found[kind, variant, knowledge, result]) for result in ("blocked", "first three", "named")]

    def _recall(self, kind: str, result: str) -> str:
        counts = [
            (self._found[kind, v, "labels", result], self._found[kind, v, "labels", "worlds"]) for v in LEAKS[kind]
        ]
        return f"{sum(found for found, _ in counts)} of {sum(worlds for _, worlds in counts)}"


if __name__ == "__main__":
    main()
