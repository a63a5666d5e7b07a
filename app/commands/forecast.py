"""The forecast: each open lead's probability of being won within 30 to 180 days, and its expected days to close."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.options import Json, RecordsFolder, parse_moment, wiring
from app.wiring import now
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import rfc3339

if TYPE_CHECKING:
    from training.hazard import Forecast

app = typer.Typer()
_MAX_SHOWN = 50


@app.command(epilog="Example: eql forecast --as-of 2026-06-30")
def forecast(
    folder: RecordsFolder = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="T", help="The moment: an RFC 3339 time, or a day; by default now."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="A version or alias; by default the champion.")] = None,
    as_json: Json = False,
) -> None:
    """Forecast when each open lead is won; the lead most likely to be won within 180 days comes first."""
    moment = now() if as_of is None else parse_moment(as_of)
    result = _forecast(folder, moment, version or "champion")
    content = {"as_of": rfc3339(moment), "leads": result.to_rows()}
    console.emit(content, _text(result), as_json)


def _forecast(folder: Path | None, moment: int, version: str) -> "Forecast":
    from features.engines.duckdb import DuckDBEngine
    from training.hazard import forecast_open_leads

    registry = wiring().registry
    resolved = registry.resolve(version)
    bundle, hazard = registry.bundle(resolved), registry.hazard(resolved)
    records: AbstractContextManager[Path] = wiring().records() if folder is None else nullcontext(folder)
    with records as records_folder, DuckDBEngine(records_folder, bundle.horizon_days or HORIZON_DAYS) as engine:
        return forecast_open_leads(engine, bundle, hazard, CATALOGUE, moment)


def _text(forecast: "Forecast") -> str:
    columns = ["lead", *(f"{days} days" for days in forecast.curve.days), "days to close if won"]
    rows = [list(row.values()) for row in forecast.to_rows()[:_MAX_SHOWN]]
    more = len(forecast.lead_id) - len(rows)
    rest = [f"{more:,} more leads; --json prints all"] if more > 0 else []
    title = f"Probability that an open lead is won within a number of days (as of {rfc3339(forecast.as_of)})"
    return "\n".join([console.table(title, columns, rows), *rest])
