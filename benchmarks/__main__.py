"""Runs benchmarks and writes `benchmarks/results.json`.

`python -m benchmarks` runs all benchmarks; `python -m benchmarks features --rows 100000000` runs one, at another size.
The file keeps the results of the benchmarks that were not run.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import features

TARGET = Path(__file__).parent / "results.json"
Benchmark = Callable[[argparse.Namespace], list[dict[str, Any]]]


def _explain(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.explain import explain_single

    return [explain_single()]


def _requests(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.requests import requests

    return requests()


def _matching(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.matching import run

    return run()


def _models(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.models import run

    return run(options.markdown, options.sets)


def _worlds(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.worlds import LEADS, SEEDS, run

    return run(options.worlds, options.leads or LEADS, options.seeds or SEEDS, options.counted, options.log)


def _ladder(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.ladder import SEEDS, SIZES, run

    return run(options.sizes or SIZES, options.seeds or SEEDS, options.counted, options.log)


def _noise(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.noise import SEEDS, run

    return run(options.seeds or SEEDS, options.log)


def _serving(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.serving import serving

    return serving()


def _sweeps(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.sweeps import SEEDS, run

    return run(options.seeds or SEEDS, options.log)


BENCHMARKS: Mapping[str, Benchmark] = {
    "explain": _explain,
    "features": lambda options: [row for rows in options.rows for row in features.features(rows)],
    "ladder": _ladder,
    "matching": _matching,
    "models": _models,
    "noise": _noise,
    "requests": _requests,
    "serving": _serving,
    "sweeps": _sweeps,
    "worlds": _worlds,
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=features.ROWS, help="features: rows of usage, such as 1000000"
    )
    parser.add_argument("--sets", nargs="+", default=[], metavar="SET", help="models: public data sets; by default all")
    parser.add_argument(
        "--worlds", nargs="+", default=[], metavar="WORLD", help="worlds: names of worlds; by default all"
    )
    parser.add_argument("--leads", type=int, nargs="+", help="worlds: sizes in leads")
    parser.add_argument("--sizes", type=int, nargs="+", help="ladder: sizes in leads")
    parser.add_argument(
        "--counted",
        choices=("training", "all"),
        default="training",
        help="ladder, worlds: the leads that count for a size",
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="ladder, noise, sweeps, worlds: random seeds")
    parser.add_argument(
        "--log", type=Path, help="ladder, noise, sweeps, worlds: a JSON-lines log; a run in the log is not repeated"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="models: print the tables as Markdown, and nothing else"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    results = [row for name in options.names or BENCHMARKS for row in BENCHMARKS[name](options)]
    for row in [] if options.markdown else results:
        print("{benchmark}: {ours:.3g} {unit}, {peer} {theirs:.3g} {unit}, {ratio:.2f} times".format(**row))
    _write(results)


def _write(results: Sequence[dict[str, Any]]) -> None:
    new = {(row["benchmark"], row["peer"]) for row in results}
    old = json.loads(TARGET.read_text()) if TARGET.exists() else []
    kept = [row for row in old if (row["benchmark"], row["peer"]) not in new]
    TARGET.write_text(f"{json.dumps([*kept, *results], indent=1)}\n")


main()
