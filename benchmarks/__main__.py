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


def _models(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.models import run

    return run(asked.markdown, asked.sets)


def _worlds(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.worlds import LEADS, SEEDS, run

    return run(asked.worlds, asked.leads or LEADS, asked.seeds or SEEDS, asked.counted, asked.log)


def _ladder(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.ladder import SEEDS, SIZES, run

    return run(asked.sizes or SIZES, asked.seeds or SEEDS, asked.counted, asked.log)


def _noise(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.noise import SEEDS, run

    return run(asked.seeds or SEEDS, asked.log)


def _serving(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.serving import serving

    return serving()


def _sweeps(asked: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.sweeps import SEEDS, run

    return run(asked.seeds or SEEDS, asked.log)


BENCHMARKS: Mapping[str, Benchmark] = {
    "explain": _explain,
    "features": lambda asked: [row for rows in asked.rows for row in features.features(rows)],
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
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without any")
    parser.add_argument("--rows", type=int, nargs="+", default=features.ROWS, help="rows of usage; millions")
    parser.add_argument("--sets", nargs="+", default=[], metavar="SET", help="of models; all public sets without any")
    parser.add_argument("--worlds", nargs="+", default=[], metavar="WORLD", help="of worlds; all without any")
    parser.add_argument("--leads", type=int, nargs="+", help="of worlds: their sizes")
    parser.add_argument("--sizes", type=int, nargs="+", help="of ladder: its worlds' leads")
    parser.add_argument("--counted", choices=("training", "all"), default="training", help="which leads make a size")
    parser.add_argument("--seeds", type=int, nargs="+", help="of ladder, noise, sweeps and worlds")
    parser.add_argument("--log", type=Path, help="of these: a JSON-lines file; runs in it are not run again")
    parser.add_argument(
        "--markdown", action="store_true", help="print the tables of models as Markdown, and only these"
    )
    asked = parser.parse_args()
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(BENCHMARKS)}")
    results = [row for name in asked.names or BENCHMARKS for row in BENCHMARKS[name](asked)]
    for row in [] if asked.markdown else results:
        print("{benchmark}: {ours:.3g} {unit}, {peer} {theirs:.3g} {unit}, {ratio:.2f} times".format(**row))
    _write(results)


def _write(results: Sequence[dict[str, Any]]) -> None:
    new = {(row["benchmark"], row["peer"]) for row in results}
    old = json.loads(TARGET.read_text()) if TARGET.exists() else []
    kept = [row for row in old if (row["benchmark"], row["peer"]) not in new]
    TARGET.write_text(f"{json.dumps([*kept, *results], indent=1)}\n")


main()
