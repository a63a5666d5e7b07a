"""Monitoring: whether the champion still fits the data, and the training of a challenger if it does not."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import console
from app.commands import models
from app.commands.options import Json, RecordsFolder, UsageError, parse_moment, wiring
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import parse_instant, rfc3339
from models.bundle import Bundle, read

if TYPE_CHECKING:
    from training.hazard import Hazard
    from training.monitoring import MonitoringReport

app = typer.Typer()
_MAX_SHOWN = 10


@app.command(epilog="Example: eql monitor --retrain --retrain-after 90")
def monitor(
    folder: RecordsFolder = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="T", help="Use what was known at this moment: an RFC 3339 time, or a day."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="Leads created in the last DAYS days are recent.")] = 90,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train a challenger if the verdict is retrain.")] = False,
    retrain_after: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="Train a challenger if the newest training data are this old."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the champion for drift, early wins and calibration; the verdict is fine, watch or retrain."""
    may_train = retrain or retrain_after is not None
    if may_train and as_of is not None:
        raise UsageError(
            "training uses what is known now; leave out --as-of, or leave out --retrain and --retrain-after"
        )
    moment = None if as_of is None else parse_moment(as_of)
    champion = _champion()
    report = _report(folder, champion, moment, days)
    version = _log_to_mlflow(champion, report) if moment is None else None
    trained = _retrain_if_due(folder, champion, report, retrain, retrain_after) if may_train else None
    result = {**report.to_dict(), "recorded_with": version}
    console.emit(result | ({"retrained": trained} if may_train else {}), _text(report, trained, may_train), as_json)


def _champion() -> Bundle:
    """The bundle of the champion that the store serves.

    Raises:
        ValueError: there is no champion.
        UntrustedBundle: the files of the bundle were changed after its publication.
    """
    from serving.champion import bundles
    from serving.store import database

    with database.reading(wiring().engine) as connection:
        current = bundles.current(connection)
        if current is None:
            raise ValueError("there is no champion to monitor; run `eql train` and `eql promote` first")
        return read(bundles.files(connection, current.sha256))


def _report(folder: Path | None, bundle: Bundle, as_of: int | None, days: int) -> "MonitoringReport":
    from training.monitoring import monitor as run

    hazard = _hazard(bundle)
    with nullcontext(folder) if folder else wiring().records() as records:
        return run(records, bundle, CATALOGUE, as_of, days=days, hazard=hazard)


def _hazard(bundle: Bundle) -> "Hazard | None":
    """The hazard model of the version with this bundle; None if the registry has none."""
    from training.promotion.registry import NoSuchVersion

    registry = wiring().registry
    try:
        return next((registry.hazard(v) for v in registry.versions() if v.tags.get("sha256") == bundle.sha256), None)
    except NoSuchVersion:
        return None


def _log_to_mlflow(champion: Bundle, report: "MonitoringReport") -> str | None:
    """Logs the report with the champion's version and returns that version; None if MLflow did not take it.

    An error of MLflow is printed; the report is still shown.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from training.monitoring.mlflow_log import log_report

    uri = wiring().settings.tracking_uri
    try:
        version = models.version_of_bundle(champion.sha256)
        if version is None:
            console.progress("the champion is not in this registry; the report is not logged")
            return None
        log_report(MlflowClient(uri, uri), version.version, version.run_id, report, datetime.now(UTC))
    except MlflowException as error:
        console.progress(f"MLflow did not log the report: {error}")
        return None
    return version.version


def _retrain_if_due(
    folder: Path | None, champion: Bundle, report: "MonitoringReport", by_verdict: bool, after_days: int | None
) -> Mapping[str, Any] | None:
    """Trains a challenger if one is due; returns its version, rung, skill and reason, else None."""
    from training.data.segments import Segment
    from training.monitoring import retraining_reason
    from training.promotion.challenger import TrainingOptions

    registry = wiring().registry
    newest = next(iter(registry.versions()), None)
    cut = registry.report(newest).cut if newest else None
    newest_cut = report.cut if cut is None else parse_instant(cut)
    reason = retraining_reason(report, newest_cut, by_verdict=by_verdict, after_days=after_days)
    if reason is None:
        return None
    summary = champion.training_summary
    options = TrainingOptions(
        horizon_days=champion.horizon_days or HORIZON_DAYS,
        allowed_leaks=summary.get("allowed_leaks", ()),
        excluded=[Segment.parse(excluded["segment"]) for excluded in summary.get("excluded", ())],
    )
    trained = models.train_challenger(folder, options, reason)
    rung, skill = trained.report.rung, trained.report.metrics.skill
    return {"version": trained.version, "rung": rung, "skill": skill, "reason": reason}


def _text(report: "MonitoringReport", trained: Mapping[str, Any] | None, may_train: bool) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in report.leads.items())
    reasons, loss = report.reasons, report.expected.sentence if report.expected else None
    lines = [
        f"verdict: {report.verdict}",
        *(f"- {reason}" for reason in reasons),
        *([f"note: {loss}"] if loss and loss not in reasons else []),
        *(f"note: {note}" for note in report.notes),
        f"as of {rfc3339(report.as_of)}; champion of {rfc3339(report.cut)}; leads: {counts}",
    ]
    if may_train:
        version = f"version {trained['version']} ({trained['rung']}) is the challenger" if trained else "not due"
        lines.append(f"retraining: {version}")
    return "\n".join([*lines, *_tables(report)])


def _tables(report: "MonitoringReport") -> list[str]:
    drifts = [[s.name, s.psi, s.null_mean, s.limit, *s.missing] for s in report.drifts[:_MAX_SHOWN]]
    gaps = [*report.early, *([report.matured] if report.matured else []), *report.segments, *report.months]
    rows = [[gap.of, gap.rows, gap.observed, *gap.interval, gap.predicted] for gap in gaps]
    drift_columns = ["feature", "PSI", "PSI by chance", "alarm from", "missing before", "missing recently"]
    gap_columns = ["leads", "rows", "won", "from", "to", "predicted"]
    return [
        *([console.table("Largest changes of features", drift_columns, drifts)] if drifts else []),
        *([console.table("Wins, observed and predicted", gap_columns, rows)] if rows else []),
    ]
