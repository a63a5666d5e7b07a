"""Data quality: the errors in the records of the store, or of a folder."""

from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.options import Json, RecordsFolder, parse_moment, wiring
from app.wiring import now
from features.partner_history import HORIZON_DAYS
from features.quality.report import Finding, Report
from features.quality.thresholds import Thresholds, load
from features.value_types import rfc3339

app = typer.Typer()

_COLUMNS = ("state", "where", "what", "records", "share", "examples", "fix")


@app.command(epilog="Example: eql doctor data records/ --thresholds reports.yaml")
def data(
    folder: RecordsFolder = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Thresholds of warnings and failures; by default EQL_QUALITY.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="T", help="Use what was known at this moment: an RFC 3339 time, or a day."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check records for missing, late, impossible, orphaned and doubled data; exit code 1 if a check fails."""
    limits = load(thresholds or wiring().settings.quality)
    moment = None if as_of is None else parse_moment(as_of)
    report = _store_report(limits, moment) if folder is None else _folder_report(folder, limits, moment)
    console.emit(report.to_dict(), _text(report), as_json)
    if failed := report.tally["fail"]:
        what = "1 check of the data fails" if failed == 1 else f"{failed:,} checks of the data fail"
        console.ERRORS.print(f"eql: {what}; the report names the fixes", markup=False, style="red")
        raise typer.Exit(1)


def _folder_report(folder: Path, limits: Thresholds, as_of: int | None) -> Report:
    # The import of DuckDB takes a moment, and other commands must not wait for it.
    from features.quality.examine import examine

    return examine(folder, limits, horizon_days=HORIZON_DAYS, as_of=as_of, now=now())


def _store_report(limits: Thresholds, as_of: int | None) -> Report:
    """The report on the records of the store, which keeps it for the page on data quality."""
    from serving.quality import reports

    parts = wiring()
    with parts.records() as folder:
        report = _folder_report(folder, limits, as_of)
    with parts.engine.begin() as connection:
        reports.keep(connection, report)
    return report


def _text(report: Report) -> str:
    checked = ", ".join(f"{count:,} {severity}" for severity, count in report.tally.items())
    summary = f"{sum(report.records.values()):,} records as of {rfc3339(report.as_of)}: {checked}"
    if not report.point_in_time:
        summary += "\npoint in time not verifiable: these records have no real recording times"
    rows = [_row(finding) for finding in report.alerts]
    return f"{console.table('Data quality', _COLUMNS, rows)}\n{summary}" if rows else summary


def _row(finding: Finding) -> tuple[object, ...]:
    what = f"{finding.title}: {finding.detail}" if finding.detail else finding.title
    share = None if finding.share is None else f"{finding.share:.2%}"
    where = tuple(filter(None, (finding.kind, finding.column, finding.source)))
    return finding.severity, where, what, finding.count, share, tuple(finding.examples), finding.fix
