"""Runs of a benchmark, each in its own process, one after the other. A log lets an interrupted benchmark continue."""

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
"""The parameters of a run, JSON types; they identify the run in the log."""
Run: TypeAlias = dict[str, Any]
"""A case and its results, JSON types."""
Work: TypeAlias = Callable[[Case], Mapping[str, Any]]


def run_all(cases: Iterable[Case], work: Work, log: Path | None, line: Callable[[Run], str]) -> list[Run]:
    """Runs `work` on every case, and prints the `line` of each run when it is done.

    Args:
        cases: the cases to run.
        work: a function at the top level of a module; it is called in a new process, so that its memory is measured
            alone.
        log: a JSON-lines file. A run in the file is not repeated, and a new run is appended. None for no log.
        line: formats a run as a line of text.
    """
    logged = [json.loads(each) for each in log.read_text().splitlines()] if log and log.exists() else []
    runs: list[Run] = []
    for case in cases:
        run = next((each for each in logged if case.items() <= each.items()), None) or _run_in_process(case, work, log)
        print(line(run), flush=True)
        runs.append(run)
    return runs


def _run_in_process(case: Case, work: Work, log: Path | None) -> Run:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        run = {**case, **pool.submit(work, case).result()}
    if log:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(run)}\n")
    return run


def progress_of(case: Case) -> Callable[[str], None]:
    """A function that prints the steps of a case to stderr, with the minutes since now."""
    name, started = " ".join(str(value) for value in case.values()), time.perf_counter()

    def progress(words: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:6.1f} min  {name}: {words}", file=sys.stderr, flush=True)

    return progress


def mean_min_max(runs: Sequence[Run], figure: str) -> list[float]:
    """The mean, minimum and maximum of a figure over runs."""
    values = [float(run[figure]) for run in runs]
    return [float(np.mean(values)), min(values), max(values)]


def grouped(runs: Iterable[Run], *names: str) -> Iterator[tuple[tuple[Any, ...], list[Run]]]:
    """Groups of runs with equal values of these names, in the order of their first runs."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run[name] for name in names), []).append(run)
    yield from groups.items()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
