"""Exposures: the log of the lists that sales saw while a share of the priorities was random."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from app import console
from app.commands.options import Json, wiring
from app.commands.table_files import check_ending, write_table
from features.value_types import iso_date
from operations.exploration import Exposure
from serving.store import database
from serving.work_list import exposures as store

app = typer.Typer()

_SCHEMA = pa.schema(
    [
        ("day", pa.string()),
        ("lead_id", pa.string()),
        ("decision_id", pa.string()),
        ("score", pa.float64()),
        ("share", pa.float64()),
        ("seed", pa.string()),
        ("randomised", pa.bool_()),
        ("view", pa.string()),
        ("listed", pa.int64()),
        ("position", pa.int64()),
        ("position_by_score", pa.int64()),
    ]
)


@app.command(epilog="Example: eql exposures --out exposures.parquet")
def exposures(
    out: Annotated[Path, typer.Option(help="A .csv, .parquet or .ndjson file.")],
    as_json: Json = False,
) -> None:
    """Write the positions at which sales saw leads, one row a lead and day, while EQL_EXPLORATION_SHARE was above 0."""
    check_ending(out)
    with database.reading(wiring().engine) as connection:
        rows = [_row(exposure) for exposure in store.logged(connection)]
    write_table(pa.Table.from_pylist(rows, _SCHEMA), out)
    randomised = sum(bool(row["randomised"]) for row in rows)
    result = {"rows": len(rows), "randomised": randomised, "out": str(out)}
    console.emit(result, f"{out}: {len(rows):,} leads shown, {randomised:,} of them at random places", as_json)


def _row(exposure: Exposure) -> dict[str, object]:
    return {**exposure.row(), "day": iso_date(exposure.day)}
