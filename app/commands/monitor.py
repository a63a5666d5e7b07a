"""Monitoring: is the champion still what it was when it was made, and if not, train anew."""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import console
from app.commands import models
from app.commands.data import instant
from app.commands.options import Json, UsageError, wiring
from app.wiring import now
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.values import rfc3339
from models.bundle import Bundle, read

if TYPE_CHECKING:
    from training.monitoring import Report

app = typer.Typer()


@app.command(epilog="Example: eql monitor --retrain --every-days 30")
def monitor(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of records; without one the store's.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="What was known then, RFC 3339 or a day.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="Leads created in the last so many days are recent.")] = 90,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger where the verdict or the schedule says so.")
    ] = False,
    every_days: Annotated[
        int | None, typer.Option(min=1, help="With --retrain: also where the last training is so long ago.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Drift, early wins and calibration of the champion, and the verdict: fine, watch or retrain."""
    if every_days is not None and not retrain:
        raise UsageError("--every-days is the schedule of --retrain; give both")
    if retrain and as_of is not None:
        raise UsageError("--retrain trains on what is known now; leave out --as-of, or --retrain")
    moment = None if as_of is None else instant(as_of)
    report = _report(folder, _champion(), moment, days)
    trained = _retrained(folder, report, every_days) if retrain else None
    result = {**report.to_dict(), **({"retrained": trained} if retrain else {})}
    console.emit(result, _text(report, trained, retrain), as_json)


def _champion() -> Bundle:
    """The champion in service.

    Raises:
        ValueError: there is none.
        UntrustedBundle: its files are not what they were when it was published.
    """
    from serving.store import bundles, database

    with database.reading(wiring().engine) as connection:
        current = bundles.current(connection)
        if current is None:
            raise ValueError("there is no champion to monitor; run `eql train` and `eql promote` first")
        return read(bundles.files(connection, current.sha256))


def _report(folder: Path | None, bundle: Bundle, as_of: int | None, days: int) -> "Report":
    from training.monitoring import monitor as run

    if folder is not None:
        return run(folder, bundle, CATALOGUE, as_of, days=days)
    with wiring().records() as records:
        return run(records, bundle, CATALOGUE, as_of, days=days)


def _retrained(folder: Path | None, report: "Report", every_days: int | None) -> Mapping[str, Any] | None:
    """The version that was trained as challenger, with its rung; None where no training is due."""
    from training.monitoring import due

    versions = wiring().registry.versions()
    last = versions[0].created_at * 1000 if versions else None
    if not due(report.verdict, last, now(), every_days):
        return None
    with redirect_stdout(io.StringIO()) as said:
        models.train(records=folder, horizon_days=_champion().horizon_days or HORIZON_DAYS, as_json=True)
    trained = json.loads(said.getvalue())
    return {name: trained[name] for name in ("version", "rung", "skill")}


def _text(report: "Report", trained: Mapping[str, Any] | None, asked: bool) -> str:
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


def _tables(report: "Report") -> list[str]:
    strangest = [[s.name, s.psi, s.null_mean, s.limit, *s.missing] for s in report.shifts[:10]]
    gaps = [*report.early, *([report.matured] if report.matured else []), *report.segments, *report.months]
    rows = [[gap.of, gap.rows, gap.observed, *gap.interval, gap.predicted] for gap in gaps]
    columns = ["feature", "PSI", "by chance", "unusual from", "missing in training", "missing lately"]
    came = ["leads", "rows", "won", "from", "to", "predicted"]
    return [
        *([console.table("The features that moved most", columns, strangest)] if strangest else []),
        *([console.table("What came of it", came, rows)] if rows else []),
    ]
