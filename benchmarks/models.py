"""The ladder beside others on public CRM data: honest columns, honest splits, the same rows and features for all.

`python -m benchmarks models` imports every public set by its mapping in `examples/`, trains as `eql train` does, fits
the peers on the same training rows, and judges all on the same purged test window.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.models_figures import CONSTANT, MAX_GAP, OURS, Figures, Verdict, judge, measure
from benchmarks.models_peers import LOST, PEERS, SURVIVAL, THREADS, WON, Followed, Task
from features.catalogue import CATALOGUE
from features.engines.duckdb import POSITION, DuckDBEngine
from features.folder import FolderWriter
from features.outcomes import first_closes_sql
from features.partner_history import HORIZON_DAYS
from features.records import KINDS, Stored
from features.value_types import DAY
from models.arrays import Reals
from training.data.snapshots import Snapshots, label
from training.data.splits import Split, split
from training.fitting.trainer import Trained, train
from training.importing import importer, mapping

ROOT = Path(__file__).parent.parent
DATASETS = Path(os.environ.get("EQL_DATASETS", ROOT / ".." / "shared" / "datasets"))
SETS = ("olist_funnel", "sparklesquad_crm", "xeducation_leads", "bank_marketing", "ibm_sales_win_loss")
"""Those with a mapping in `examples/`."""
SEED = 0
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What a set came to: figures by contestant, the verdict, and ours as it was trained."""

    name: str
    trained: Trained
    figures: Mapping[str, Figures]
    verdict: Verdict


def run(markdown: bool, only: Collection[str] = ()) -> list[dict[str, Any]]:
    """Measure, print the tables, and return a row for each set and peer; a set that is absent is skipped, saying so.

    Args:
        markdown: how the tables are printed; else aligned.
        only: names of sets; all without any.

    Raises:
        ValueError: there is no set of such a name.
    """
    if unknown := set(only) - set(SETS):
        raise ValueError(f"no public set {', '.join(sorted(unknown))}; choose of {', '.join(SETS)}")
    started = time.perf_counter()

    def progress(words: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:6.1f} min  {words}", file=sys.stderr, flush=True)

    asked = [name for name in SETS if not only or name in only]
    present = [name for name in asked if (DATASETS / name).is_dir()]
    for name in set(asked) - set(present):
        progress(f"{name}: skipped, there is no such folder in the public data (EQL_DATASETS)")
    with threadpool_limits(THREADS):
        results = [_result(name, progress) for name in present]
    progress("done")
    if results:
        write = _piped if markdown else _aligned
        print("\n\n".join([*map(write, (_verdicts(results), *map(_table, results))), _summary(results)]))
    return [row for result in results for row in _rows(result)]


def _result(name: str, tell: Progress) -> Result:
    def progress(words: str) -> None:
        tell(f"{name}: {words}")

    with tempfile.TemporaryDirectory() as home:
        trained, task = _prepare(name, Path(home), progress)
    found = trained.predictions
    said = {OURS: found.probability, CONSTANT: np.full(len(found.won), found.constant)}
    for peer, answer in {**PEERS, **(SURVIVAL if task.followed else {})}.items():
        progress(f"fitting {peer}")
        said[peer] = answer(task)
    progress("intervals")
    ours = found.probability
    figures = {peer: measure(found.won, p, ours, found.cluster, SEED) for peer, p in said.items()}
    drifting = [each.name for each in trained.report.drifting]
    return Result(name, trained, figures, judge(figures, found.won, found.cluster, found.constant, drifting, SEED))


def _prepare(name: str, home: Path, progress: Progress) -> tuple[Trained, Task]:
    """Ours, trained, and the same rows for the peers."""
    progress("importing")
    records = home / "records"
    import_set(name, records, home / "rejects.csv")
    trained = train(records, CATALOGUE, progress, seed=SEED)
    with DuckDBEngine(records, HORIZON_DAYS) as engine:
        snapshots = label(engine, HORIZON_DAYS)
        closes = {row["lead_id"]: row for row in engine.sql(first_closes_sql("duckdb", None, POSITION)).to_pylist()}
    division, encoding = split(snapshots), trained.bundle.encoding
    matrix = encoding.encode({each: trained.table[each].to_pylist() for each in encoding.names}, len(snapshots))
    if snapshots.at_creation.all() and np.array_equal(matrix[division.test], trained.test_matrix, equal_nan=True):
        return trained, _task(trained, snapshots, division, matrix, closes)
    raise RuntimeError(f"the rows of {name} for the peers are not those of training, one a lead at creation")


def import_set(name: str, folder: Path, rejects: Path) -> None:
    """Imports a public set by its mapping in `examples/` into a folder of records."""
    records: list[Stored] = []
    report = importer.run(DATASETS / name, mapping.load(ROOT / "examples" / f"{name}.yaml"), records.extend, rejects)
    with FolderWriter(folder, report.provenance) as writer:
        for kind in KINDS.values():
            writer.write(kind, [one.row() for one in records if one.kind is kind])


def _task(
    trained: Trained, snapshots: Snapshots, division: Split, matrix: Reals, closes: Mapping[str, Mapping[str, Any]]
) -> Task:
    known = division.train
    folds = [(np.searchsorted(known, fold.fit), np.searchsorted(known, fold.judge)) for fold in division.folds]
    return Task(
        trained.bundle.encoding.features,
        matrix[known],
        snapshots.won[known].astype(np.float64),
        matrix[division.test],
        folds,
        _followed(snapshots, division, closes),
        SEED,
    )


def _followed(snapshots: Snapshots, division: Split, closes: Mapping[str, Mapping[str, Any]]) -> Followed | None:
    """The closes of training leads before the first moment of the test window; later ones are not yet known."""
    if snapshots.horizon_days is None:
        return None
    end = int(snapshots.as_of[division.test].min())
    seen = [closes.get(lead) for lead in snapshots.lead_id[division.train].tolist()]
    before = [row if row and row["closed_at"] <= end else None for row in seen]
    event = np.array([(WON if row["won"] else LOST) if row else 0 for row in before])
    until = np.array([row["closed_at"] if row else end for row in before])
    return Followed(event, (until - snapshots.as_of[division.train]) / DAY, snapshots.horizon_days)


Table = Sequence[Sequence[str]]


def _table(result: Result) -> Table:
    """The contestants of a set, best log loss first."""
    title = f"{result.name}: {len(result.trained.bundle.encoding.features)} features"
    head = [title, "log loss", "less ours", "Brier", "AUC", "slope", "smECE"]
    ranked = sorted(result.figures.items(), key=lambda item: item[1].log_loss.value)
    shown = {OURS: f"{OURS} ({result.trained.bundle.rung})"}
    return [head, *([shown.get(name, name), *_cells(name, found)] for name, found in ranked)]


def _cells(name: str, found: Figures) -> list[str]:
    return [
        found.log_loss.text(4),
        "" if name == OURS else found.beside_ours.text(4),
        found.brier.text(4),
        found.auc.text(3),
        found.slope.text(2) if found.slope else "none",
        found.smooth_error.text(3),
    ]


def _verdicts(results: Sequence[Result]) -> Table:
    head = ["set", "train, test leads", "rung", "not above constant", "better than ours", "best, gap", "slope", "drift"]
    return [head, *(_verdict(result) for result in results)]


def _verdict(result: Result) -> list[str]:
    found, trained = result.verdict, result.trained
    slope = found.slope.text(2) if found.slope else "none"
    return [
        result.name,
        f"{trained.report.training_leads:,}, {len(trained.predictions.won):,}",
        trained.bundle.rung,
        "no" if found.above_constant else "yes",
        ", ".join(found.better) or "none",
        f"{found.best}, {found.gap:.4f}",
        f"{slope}{'' if found.calibrated else ' outside'}",
        _drift(found),
    ]


def _drift(found: Verdict) -> str:
    """Whether the share won changed, and which features tell test leads from those before."""
    share = f"won {found.trained:.1%} to {found.tested.value:.1%}" if found.drifted else "share won as before"
    return f"{share}; {', '.join(found.drifting) or 'no feature'}"


def _summary(results: Sequence[Result]) -> str:
    gap = float(np.mean([result.verdict.gap for result in results]))
    failing = [result.name for result in results if not result.verdict.holds]
    held = f"fails on {', '.join(failing)}" if failing else "holds on every set"
    return f"Mean gap to the best {gap:.4f} (under {MAX_GAP}: {'yes' if gap < MAX_GAP else 'no'}); {held}."


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def _piped(table: Table) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, f"|{'---|' * len(table[0])}", *rows])


def _rows(result: Result) -> Iterator[dict[str, Any]]:
    ours = result.figures[OURS].log_loss.value
    for name, found in result.figures.items():
        if name != OURS:
            yield {
                "benchmark": f"models-{result.name}",
                "ours": ours,
                "peer": name,
                "theirs": found.log_loss.value,
                "ratio": found.log_loss.value / ours,
                "unit": "nats",
                "difference_95": [found.beside_ours.low, found.beside_ours.high],
            }
