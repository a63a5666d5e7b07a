"""Data quality: what is wrong with the store's records, or with a folder of them."""

from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.data import instant
from app.commands.options import Json, wiring
from app.wiring import now
from features.partner_history import HORIZON_DAYS
from features.quality.report import Finding, Report
from features.quality.thresholds import Thresholds, load
from features.value_types import rfc3339

app = typer.Typer()

_COLUMNS = ("state", "where", "what", "records", "share", "examples", "mend")


@app.command(epilog="Example: eql doctor data records/ --thresholds reports.yaml")
def data(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of records; without one the store's.")
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is a warning, what a failure; by default EQL_QUALITY's.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="What was known then, RFC 3339 or a day.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is missing, late, impossible, orphaned or doubled, and how to mend it; ends with 1 where a check fails."""
    limits = load(thresholds or wiring().settings.quality)
    moment = None if as_of is None else instant(as_of)
    report = _of_store(limits, moment) if folder is None else _of(folder, limits, moment)
    console.emit(report.to_dict(), _text(report), as_json)
    if failed := report.tally["fail"]:
        what = "1 check of the data fails" if failed == 1 else f"{failed:,} checks of the data fail"
        console.ERRORS.print(f"eql: {what}; the report says how to mend it", markup=False, style="red")
        raise typer.Exit(1)


def _of(folder: Path, limits: Thresholds, as_of: int | None) -> Report:
    # Imported here because DuckDB takes a moment, which other commands must not wait for.
    from features.quality.examine import examine

    return examine(folder, limits, horizon_days=HORIZON_DAYS, as_of=as_of, now=now())


def _of_store(limits: Thresholds, as_of: int | None) -> Report:
    """The report on the store's records, kept there for the page."""
    from serving.quality import reports

    parts = wiring()
    with parts.records() as folder:
        report = _of(folder, limits, as_of)
    with parts.engine.begin() as connection:
        reports.keep(connection, report)
    return report


def _text(report: Report) -> str:
    checked = ", ".join(f"{count:,} {severity}" for severity, count in report.tally.items())
    summary = f"{sum(report.records.values()):,} records as of {rfc3339(report.as_of)}: {checked}"
    if not report.point_in_time:
        summary += "\nrecorded times are not real in these records: point in time not verifiable"
    rows = [_row(finding) for finding in report.alerts]
    return f"{console.table('Data quality', _COLUMNS, rows)}\n{summary}" if rows else summary


def _row(finding: Finding) -> tuple[object, ...]:
    what = f"{finding.title}: {finding.detail}" if finding.detail else finding.title
    share = None if finding.share is None else f"{finding.share:.2%}"
    where = "\n".join(filter(None, (finding.kind, finding.column, finding.source)))
    return finding.severity, where, what, finding.count, share, "\n".join(finding.examples), finding.fix
