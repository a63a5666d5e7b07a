"""Runs benchmarks and writes `benchmarks/results.json`.

`python -m benchmarks` runs all; `python -m benchmarks features --rows 100000000` one, at a size of its own. Results of
what was not run stay in the file.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import features

TARGET = Path(__file__).parent / "results.json"
Benchmark = Callable[[Sequence[int]], list[dict[str, Any]]]


def _explain(_: Sequence[int]) -> list[dict[str, Any]]:
    from benchmarks.explain import explain_single

    return [explain_single()]


def _requests(_: Sequence[int]) -> list[dict[str, Any]]:
    from benchmarks.requests import requests

    return requests()


def _matching(_: Sequence[int]) -> list[dict[str, Any]]:
    from benchmarks.matching import run

    return run()


BENCHMARKS: Mapping[str, Benchmark] = {
    "explain": _explain,
    "features": lambda sizes: [row for rows in sizes for row in features.features(rows)],
    "matching": _matching,
    "requests": _requests,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without any")
    parser.add_argument("--rows", type=int, nargs="+", default=features.ROWS, help="rows of usage; millions")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(BENCHMARKS)}")
    results = [row for name in asked.names or BENCHMARKS for row in BENCHMARKS[name](asked.rows)]
    for row in results:
        print("{benchmark}: {ours:.3g} {unit}, {peer} {theirs:.3g} {unit}, {ratio:.2f} times".format(**row))
    _write(results)


def _write(results: Sequence[dict[str, Any]]) -> None:
    new = {(row["benchmark"], row["peer"]) for row in results}
    old = json.loads(TARGET.read_text()) if TARGET.exists() else []
    kept = [row for row in old if (row["benchmark"], row["peer"]) not in new]
    TARGET.write_text(f"{json.dumps([*kept, *results], indent=1)}\n")


main()
