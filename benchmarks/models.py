"""The ladder against peers on public CRM data: columns without leaks, splits by time, the same rows and features.

`python -m benchmarks models` imports every public set by its mapping in `examples/`, trains as `eql train` does, fits
the peers on the same training rows, and compares all on the same purged test window.
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
from benchmarks.models_peers import LOST, MAX_THREADS, PEERS, SURVIVAL, WON, LeadFollowUp, Task
from features.catalogue import CATALOGUE
from features.engines.duckdb import POSITION, DuckDBEngine
from features.folder import FolderWriter
from features.outcomes import first_closes_sql
from features.partner_history import HORIZON_DAYS
from features.records import KINDS, Stored
from features.value_types import DAY
from models.arrays import Reals
from training.data.snapshots import Snapshots, label_snapshots
from training.data.splits import Split, split
from training.fitting.trainer import TrainingResult, train
from training.importing import importer, mapping

ROOT = Path(__file__).parent.parent
DATASETS = Path(os.environ.get("EQL_DATASETS", ROOT / ".." / "shared" / "datasets"))
SETS = ("olist_funnel", "sparklesquad_crm", "xeducation_leads", "bank_marketing", "ibm_sales_win_loss")
"""The public sets with a mapping in `examples/`."""
SEED = 0
Progress = Callable[[str], None]


@dataclass(frozen=True)
class SetResult:
    """The result of a public set: our trained model, the figures of each contestant, and the verdict."""

    name: str
    trained: TrainingResult
    figures: Mapping[str, Figures]
    verdict: Verdict


def run(markdown: bool, only: Collection[str] = ()) -> list[dict[str, Any]]:
    """Measures, prints the tables, and returns a row for each set and peer; prints and skips an absent set.

    Args:
        markdown: whether to print the tables as Markdown, otherwise as aligned text.
        only: names of sets; empty for all.

    Raises:
        ValueError: a set has no such name.
    """
    if unknown := set(only) - set(SETS):
        raise ValueError(f"there is no public set {', '.join(sorted(unknown))}; choose from {', '.join(SETS)}")
    started = time.perf_counter()

    def progress(words: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:6.1f} min  {words}", file=sys.stderr, flush=True)

    chosen = [name for name in SETS if not only or name in only]
    present = [name for name in chosen if (DATASETS / name).is_dir()]
    for name in set(chosen) - set(present):
        progress(f"{name}: skipped, because the public data (EQL_DATASETS) have no such folder")
    with threadpool_limits(MAX_THREADS):
        results = [_result(name, progress) for name in present]
    progress("done")
    if results:
        format_table = _markdown if markdown else _aligned
        print("\n\n".join([*map(format_table, (_verdicts(results), *map(_table, results))), _summary(results)]))
    return [row for result in results for row in _rows(result)]


def _result(name: str, report_progress: Progress) -> SetResult:
    def progress(words: str) -> None:
        report_progress(f"{name}: {words}")

    with tempfile.TemporaryDirectory() as home:
        trained, task = _prepare(name, Path(home), progress)
    own = trained.predictions
    probabilities = {OURS: own.probability, CONSTANT: np.full(len(own.won), own.constant)}
    for peer, predict in {**PEERS, **(SURVIVAL if task.follow_up else {})}.items():
        progress(f"fitting {peer}")
        probabilities[peer] = predict(task)
    progress("intervals")
    figures = {peer: measure(own.won, p, own.probability, own.cluster, SEED) for peer, p in probabilities.items()}
    drifting = [each.name for each in trained.report.drifting]
    return SetResult(name, trained, figures, judge(figures, own.won, own.cluster, own.constant, drifting, SEED))


def _prepare(name: str, home: Path, progress: Progress) -> tuple[TrainingResult, Task]:
    """Our trained model, and the task of the peers on the same rows."""
    progress("importing")
    records = home / "records"
    import_set(name, records, home / "rejects.csv")
    trained = train(records, CATALOGUE, progress, seed=SEED)
    with DuckDBEngine(records, HORIZON_DAYS) as engine:
        snapshots = label_snapshots(engine, HORIZON_DAYS)
        closes = {row["lead_id"]: row for row in engine.sql(first_closes_sql("duckdb", None, POSITION)).to_pylist()}
    division, encoding = split(snapshots), trained.bundle.encoding
    matrix = encoding.encode({each: trained.table[each].to_pylist() for each in encoding.names}, len(snapshots))
    if snapshots.at_creation.all() and np.array_equal(matrix[division.test], trained.test_matrix, equal_nan=True):
        return trained, _task(trained, snapshots, division, matrix, closes)
    raise RuntimeError(f"the rows of {name} for the peers differ from those of the training, one a lead at creation")


def import_set(name: str, folder: Path, rejects: Path) -> None:
    """Imports a public set by its mapping in `examples/` into a folder of records."""
    records: list[Stored] = []
    report = importer.run(DATASETS / name, mapping.load(ROOT / "examples" / f"{name}.yaml"), records.extend, rejects)
    with FolderWriter(folder, report.provenance) as writer:
        for kind in KINDS.values():
            writer.write(kind, [record.row() for record in records if record.kind is kind])


def _task(
    trained: TrainingResult,
    snapshots: Snapshots,
    division: Split,
    matrix: Reals,
    closes: Mapping[str, Mapping[str, Any]],
) -> Task:
    rows = division.train
    folds = [(np.searchsorted(rows, fold.fit), np.searchsorted(rows, fold.judge)) for fold in division.folds]
    return Task(
        features=trained.bundle.encoding.features,
        train=matrix[rows],
        won=snapshots.won[rows].astype(np.float64),
        test=matrix[division.test],
        folds=folds,
        follow_up=_follow_up(snapshots, division, closes),
        seed=SEED,
    )


def _follow_up(snapshots: Snapshots, division: Split, closes: Mapping[str, Mapping[str, Any]]) -> LeadFollowUp | None:
    """The closes of the training leads before the first moment of the test window; None without a horizon."""
    if snapshots.horizon_days is None:
        return None
    end = int(snapshots.as_of[division.test].min())
    lead_closes = [closes.get(lead) for lead in snapshots.lead_id[division.train].tolist()]
    before = [row if row and row["closed_at"] <= end else None for row in lead_closes]
    event = np.array([(WON if row["won"] else LOST) if row else 0 for row in before])
    until = np.array([row["closed_at"] if row else end for row in before])
    return LeadFollowUp(event, (until - snapshots.as_of[division.train]) / DAY, snapshots.horizon_days)


Table = Sequence[Sequence[str]]


def _table(result: SetResult) -> Table:
    """The contestants of a set, the best log loss first."""
    title = f"{result.name}: {len(result.trained.bundle.encoding.features)} features"
    head = [title, "log loss", "less ours", "Brier", "AUC", "slope", "smECE"]
    ranked = sorted(result.figures.items(), key=lambda item: item[1].log_loss.value)
    labels = {OURS: f"{OURS} ({result.trained.bundle.rung})"}
    return [head, *([labels.get(name, name), *_cells(name, figures)] for name, figures in ranked)]


def _cells(name: str, figures: Figures) -> list[str]:
    return [
        figures.log_loss.text(4),
        "" if name == OURS else figures.difference.text(4),
        figures.brier.text(4),
        figures.auc.text(3),
        figures.slope.text(2) if figures.slope else "none",
        figures.smooth_error.text(3),
    ]


def _verdicts(results: Sequence[SetResult]) -> Table:
    head = ["set", "train, test leads", "rung", "not above constant", "better than ours", "best, gap", "slope", "drift"]
    return [head, *(_verdict(result) for result in results)]


def _verdict(result: SetResult) -> list[str]:
    verdict, trained = result.verdict, result.trained
    slope = verdict.slope.text(2) if verdict.slope else "none"
    return [
        result.name,
        f"{trained.report.training_leads:,}, {len(trained.predictions.won):,}",
        trained.bundle.rung,
        "no" if verdict.above_constant else "yes",
        ", ".join(verdict.better) or "none",
        f"{verdict.best}, {verdict.gap:.4f}",
        f"{slope}{'' if verdict.calibrated else ' outside'}",
        _drift(verdict),
    ]


def _drift(verdict: Verdict) -> str:
    """The change of the share of wins, and the features that separate test leads from training leads."""
    share = f"won {verdict.trained:.1%} to {verdict.tested.value:.1%}" if verdict.drifted else "share won as before"
    return f"{share}; {', '.join(verdict.drifting) or 'no feature'}"


def _summary(results: Sequence[SetResult]) -> str:
    gap = float(np.mean([result.verdict.gap for result in results]))
    failing = [result.name for result in results if not result.verdict.holds]
    outcome = f"fails on {', '.join(failing)}" if failing else "holds on every set"
    return f"Mean gap to the best {gap:.4f} (under {MAX_GAP}: {'yes' if gap < MAX_GAP else 'no'}); {outcome}."


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def _markdown(table: Table) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, f"|{'---|' * len(table[0])}", *rows])


def _rows(result: SetResult) -> Iterator[dict[str, Any]]:
    ours = result.figures[OURS].log_loss.value
    for name, figures in result.figures.items():
        if name != OURS:
            yield {
                "benchmark": f"models-{result.name}",
                "ours": ours,
                "peer": name,
                "theirs": figures.log_loss.value,
                "ratio": figures.log_loss.value / ours,
                "unit": "nats",
                "difference_95": [figures.difference.low, figures.difference.high],
            }
