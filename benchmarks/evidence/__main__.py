"""Gathers evidence: `python -m benchmarks.evidence crashes --count 1000 --database sqlite`.

Prints one line of figures for each database, and ends with 1 where a promise was broken.
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

Figures = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What is tried: on a database, so many times; and the figures that must be zero."""

    run: Callable[[str, int], Figures]
    count: int
    zero: tuple[str, ...]


def _contract(kind: str, count: int) -> Figures:
    with new_store(kind) as url, open_store(url) as store:
        found, counted = findings(store, count)
    return {**counted, "findings": len(found), "examples": [str(finding)[:1000] for finding in found[:5]]}


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
    """Try, print, and end with 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRIALS)}; all without any")
    parser.add_argument("--count", type=int, help="how many; the issue's figure without it")
    parser.add_argument("--database", choices=DATABASES, action="append", help="both without it")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(TRIALS):
        parser.error(f"no evidence {', '.join(sorted(unknown))}; choose of {', '.join(TRIALS)}")
    broken = False
    for name in asked.names or TRIALS:
        for kind in asked.database or DATABASES:
            figures = TRIALS[name].run(kind, asked.count or TRIALS[name].count)
            print(json.dumps({"evidence": name, "database": kind, **figures}), flush=True)
            broken = broken or any(figures[zero] for zero in TRIALS[name].zero)
    raise SystemExit(broken)


main()
