"""Monitoring: is the champion still what it was when it was made, and if not, train anew."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import console
from app.commands import models
from app.commands.data import instant
from app.commands.options import Json, UsageError, wiring
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import parse_instant, rfc3339
from models.bundle import Bundle, read

if TYPE_CHECKING:
    from training.hazard import Hazard
    from training.monitoring import MonitoringReport

app = typer.Typer()


@app.command(epilog="Example: eql monitor --retrain --retrain-after 90")
def monitor(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of records; without one the store's.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="What was known then, RFC 3339 or a day.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="Leads created in the last so many days are recent.")] = 90,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train a challenger where the verdict says so.")] = False,
    retrain_after: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Train one where the champion's data are so old.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Drift, early wins and calibration of the champion, and the verdict: fine, watch or retrain."""
    asked = retrain or retrain_after is not None
    if asked and as_of is not None:
        raise UsageError("a challenger is trained on what is known now; leave out --as-of, or do not train")
    moment = None if as_of is None else instant(as_of)
    champion = _champion()
    report = _report(folder, champion, moment, days)
    kept = _recorded(champion, report) if moment is None else None
    trained = _retrained(folder, champion, report, retrain, retrain_after) if asked else None
    result = {**report.to_dict(), "recorded_with": kept}
    console.emit(result | ({"retrained": trained} if asked else {}), _text(report, trained, asked), as_json)


def _champion() -> Bundle:
    """The champion in service.

    Raises:
        ValueError: there is none.
        UntrustedBundle: its files are not what they were when it was published.
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
    """The hazard model of the registered version with this bundle; None where the registry has none."""
    from training.promotion.registry import NoSuchVersion

    registry = wiring().registry
    try:
        return next((registry.hazard(v) for v in registry.versions() if v.tags.get("sha256") == bundle.sha256), None)
    except NoSuchVersion:
        return None


def _recorded(champion: Bundle, report: "MonitoringReport") -> str | None:
    """The version with which the look is kept in MLflow; a registry that fails is told of, and hides no finding."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from training.monitoring.mlflow_log import log_report

    uri = wiring().settings.tracking_uri
    try:
        version = models.registered(champion.sha256)
        if version is None:
            console.progress("the champion is not in this registry: what was found is not recorded")
            return None
        log_report(MlflowClient(uri, uri), version.version, version.run_id, report, datetime.now(UTC))
    except MlflowException as error:
        console.progress(f"what was found is not recorded: {error}")
        return None
    return version.version


def _retrained(
    folder: Path | None, champion: Bundle, report: "MonitoringReport", by_verdict: bool, after_days: int | None
) -> Mapping[str, Any] | None:
    """The version that was trained as challenger, with its rung and why; None where no training is due."""
    from training.monitoring import retraining_reason

    registry = wiring().registry
    newest = next(iter(registry.versions()), None)
    cut = registry.report(newest).cut if newest else None
    learned = report.cut if cut is None else parse_instant(cut)
    why = retraining_reason(report, learned, by_verdict=by_verdict, after_days=after_days)
    if why is None:
        return None
    found = models.trained(
        folder,
        horizon_days=champion.horizon_days or HORIZON_DAYS,
        allowed_leaks=champion.training_summary.get("allowed_leaks", ()),
        excluded=[left["segment"] for left in champion.training_summary.get("excluded", ())],
        reason=why,
    )
    rung, skill = found.report.rung, found.report.metrics.skill
    return {"version": found.version, "rung": rung, "skill": skill, "reason": why}


def _text(report: "MonitoringReport", trained: Mapping[str, Any] | None, asked: bool) -> str:
    found = ", ".join(f"{count:,} {name}" for name, count in report.leads.items())
    reasons, loss = report.reasons, report.expected.sentence if report.expected else None
    lines = [
        f"verdict: {report.verdict}",
        *(f"- {reason}" for reason in reasons),
        *([f"note: {loss}"] if loss and loss not in reasons else []),
        *(f"note: {note}" for note in report.notes),
        f"as of {rfc3339(report.as_of)}; champion of {rfc3339(report.cut)}; leads: {found}",
    ]
    if asked:
        version = f"version {trained['version']} ({trained['rung']}) is the challenger" if trained else "not due"
        lines.append(f"retraining: {version}")
    return "\n".join([*lines, *_tables(report)])


def _tables(report: "MonitoringReport") -> list[str]:
    strangest = [[s.name, s.psi, s.null_mean, s.limit, *s.missing] for s in report.drifts[:10]]
    gaps = [*report.early, *([report.matured] if report.matured else []), *report.segments, *report.months]
    rows = [[gap.of, gap.rows, gap.observed, *gap.interval, gap.predicted] for gap in gaps]
    columns = ["feature", "PSI", "by chance", "unusual from", "missing before", "missing lately"]
    came = ["leads", "rows", "won", "from", "to", "predicted"]
    return [
        *([console.table("The features that moved most", columns, strangest)] if strangest else []),
        *([console.table("What came of it", came, rows)] if rows else []),
    ]
