"""When open leads close: P(won within 30, 60, 90, 180 days) and the days to close expected of wins."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.data import instant
from app.commands.options import Json, wiring
from app.wiring import now
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import rfc3339

if TYPE_CHECKING:
    from training.hazard import Forecast

app = typer.Typer()
_SHOWN = 50


@app.command(epilog="Example: eql forecast --as-of 2026-06-30")
def forecast(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A folder of records; without one the store's.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="What was known then, RFC 3339 or a day; now by default.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="A version or alias; the champion by default.")] = None,
    as_json: Json = False,
) -> None:
    """The open leads by when they are likely to be won, the likeliest within 180 days first."""
    moment = now() if as_of is None else instant(as_of)
    found = _forecast(folder, moment, version or "champion")
    result = {"as_of": rfc3339(moment), "leads": found.to_rows()}
    console.emit(result, _text(found), as_json)


def _forecast(folder: Path | None, moment: int, version: str) -> "Forecast":
    from features.engines.duckdb import DuckDBEngine
    from training.hazard import forecast_open_leads

    registry = wiring().registry
    wanted = registry.resolve(version)
    bundle, hazard = registry.bundle(wanted), registry.hazard(wanted)
    records: AbstractContextManager[Path] = wiring().records() if folder is None else nullcontext(folder)
    with records as where, DuckDBEngine(where, bundle.horizon_days or HORIZON_DAYS) as engine:
        return forecast_open_leads(engine, bundle, hazard, CATALOGUE, moment)


def _text(found: "Forecast") -> str:
    columns = ["lead", *(f"{days} days" for days in found.curve.days), "days to close if won"]
    rows = [list(row.values()) for row in found.to_rows()[:_SHOWN]]
    more = len(found.lead_id) - len(rows)
    rest = [f"{more:,} more; --json prints all"] if more > 0 else []
    title = f"Open leads, and how likely each is won within (as of {rfc3339(found.as_of)})"
    return "\n".join([console.table(title, columns, rows), *rest])
