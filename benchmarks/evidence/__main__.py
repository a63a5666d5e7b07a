"""Gathers evidence: `python -m benchmarks.evidence crashes --count 1000 --database sqlite`.

It prints one line of figures for each trial and database. The exit code is 1 if a figure that must be zero is not.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.evidence.contract import findings
from benchmarks.evidence.crashes import crashes
from benchmarks.evidence.deliveries import deliveries
from benchmarks.evidence.replays import replays
from benchmarks.evidence.retries import retries
from benchmarks.evidence.stores import DATABASES, new_store, open_store
from benchmarks.evidence.syncs import syncs

TrialFigures = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        run: runs the trial on a kind of database, a number of times.
        count: the default number of times.
        zero: the figures that must be zero.
    """

    run: Callable[[str, int], TrialFigures]
    count: int
    zero: tuple[str, ...]


def _contract(kind: str, count: int) -> TrialFigures:
    with new_store(kind) as url, open_store(url) as store:
        failures, counts = findings(store, count)
    return {**counts, "findings": len(failures), "examples": [str(failure)[:1000] for failure in failures[:5]]}


TRIALS: Mapping[str, Trial] = {
    "contract": Trial(_contract, 100, ("findings",)),
    "crashes": Trial(crashes, 1000, ("lost", "doubled", "unknown", "refused")),
    "deliveries": Trial(deliveries, 100_000, ("missing", "of_rolled_back", "unknown", "other_bodies")),
    "replays": Trial(
        replays,
        10_000,
        ("missing", "differ_from_features", "differ_from_facts", "faults_before", "alterations_unseen"),
    ),
    "retries": Trial(retries, 10_000, ("answers_that_differ", "leads_too_many_or_few")),
    "syncs": Trial(syncs, 1000, ("without_a_sync",)),
}


def main() -> None:
    """Runs the trials, prints the figures, and exits with 1 if a trial fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(TRIALS)}; by default all")
    parser.add_argument("--count", type=int, help="how many times; each trial has its default")
    parser.add_argument("--database", choices=DATABASES, action="append", help="by default both")
    options = parser.parse_args()
    if unknown := set(options.names) - set(TRIALS):
        parser.error(f"there is no trial {', '.join(sorted(unknown))}; choose from {', '.join(TRIALS)}")
    failed = False
    for name in options.names or TRIALS:
        for kind in options.database or DATABASES:
            figures = TRIALS[name].run(kind, options.count or TRIALS[name].count)
            print(json.dumps({"evidence": name, "database": kind, **figures}), flush=True)
            failed = failed or any(figures[figure] for figure in TRIALS[name].zero)
    raise SystemExit(failed)


main()
