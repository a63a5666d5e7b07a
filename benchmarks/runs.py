"""Runs of a benchmark: each in a process of its own, one at a time, and kept in a log so that a cut session goes on."""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Case: TypeAlias = Mapping[str, str | int]
"""What is to be run; JSON types, by which a run is found again in the log."""
Run: TypeAlias = dict[str, Any]
"""A case and what it came to; JSON types."""
Work: TypeAlias = Callable[[Case], Mapping[str, Any]]


def run_all(cases: Iterable[Case], work: Work, log: Path | None, line: Callable[[Run], str]) -> list[Run]:
    """Every case with what `work` finds of it; `line` of each is printed as soon as it is done.

    Args:
        cases: what to run.
        work: a function of a module, for it is called in a process of its own, whose memory is then its own.
        log: a JSON-lines file; its runs are not run again, and new ones are appended. None keeps none.
        line: a run in words.
    """
    known = [json.loads(each) for each in log.read_text().splitlines()] if log and log.exists() else []
    runs: list[Run] = []
    for case in cases:
        run = next((each for each in known if case.items() <= each.items()), None) or _alone(case, work, log)
        print(line(run), flush=True)
        runs.append(run)
    return runs


def _alone(case: Case, work: Work, log: Path | None) -> Run:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        run = {**case, **pool.submit(work, case).result()}
    if log:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(run)}\n")
    return run


def teller(case: Case) -> Callable[[str], None]:
    """Tells steps of a case on the standard error stream, with the minutes since the first."""
    name, started = " ".join(str(value) for value in case.values()), time.perf_counter()

    def tell(words: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:6.1f} min  {name}: {words}", file=sys.stderr, flush=True)

    return tell


def spread(runs: Sequence[Run], figure: str) -> list[float]:
    """Mean, least and most of a figure of runs."""
    values = [float(run[figure]) for run in runs]
    return [float(np.mean(values)), min(values), max(values)]


def grouped(runs: Iterable[Run], *names: str) -> Iterator[tuple[tuple[Any, ...], list[Run]]]:
    """Runs that share these parts of their cases, in the order in which they came first."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run[name] for name in names), []).append(run)
    yield from groups.items()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a head, as Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
