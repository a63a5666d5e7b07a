"""The matrix: the rows that a model is trained and tested on, as a Parquet file for other tools."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from app import console
from app.commands.options import Exclude, HorizonDays, Json, RecordsOption, UsageError, wiring
from app.commands.table_files import write_table
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS

app = typer.Typer()


@app.command(epilog="Example: eql matrix matrix.parquet --exclude own_channel=trade_show")
def matrix(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .parquet file.")],
    records: RecordsOption = None,
    horizon_days: HorizonDays = HORIZON_DAYS,
    exclude: Exclude = None,
    as_json: Json = False,
) -> None:
    """Write every labelled snapshot with its features, label and weight, with parts and rolling origins."""
    from training.data.matrix import export_table, prepare_training
    from training.data.segments import Segment

    if out.suffix != ".parquet":
        raise UsageError(f"OUT must end in .parquet, not {out.name!r}")
    segments = [Segment.parse(text) for text in exclude or []]
    with wiring().records() if records is None else nullcontext(records) as folder:
        data = prepare_training(folder, CATALOGUE, console.progress, horizon_days=horizon_days, excluded=segments)
    table = export_table(data)
    write_table(table, out)
    rows_by_part = {row["values"]: row["counts"] for row in pc.value_counts(table["part"]).to_pylist()}
    parts = {part: rows_by_part.get(part, 0) for part in ("train", "test", "purged", "later")}
    result = {
        "out": str(out),
        "rows": len(table),
        **parts,
        "excluded": [each.to_dict() for each in data.excluded_segments],
    }
    counts = ", ".join(f"{rows:,} {part}" for part, rows in parts.items())
    excluded = data.excluded_segments
    left = "".join(f"; {each.leads:,} leads of {each.segment} left out" for each in excluded)
    console.emit(result, f"{out}: {len(table):,} snapshots ({counts}){left}", as_json)
