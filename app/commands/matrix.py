"""The matrix: what a model would learn from and be judged on, as a Parquet file for a data scientist's own tools."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from app import console
from app.commands.data import write_table
from app.commands.options import Json, UsageError, wiring
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS

app = typer.Typer()


@app.command(epilog="Example: eql matrix matrix.parquet --exclude own_channel=trade_show")
def matrix(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .parquet file.")],
    records: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of records; by default the store's.")
    ] = None,
    horizon_days: Annotated[int, typer.Option(min=1, max=730, help="Days within which a close counts.")] = HORIZON_DAYS,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Leave out the leads that have this value when they are created."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Every labelled snapshot with its features, label, weight, and part in training, testing and rolling origins."""
    from training.data.matrix import export_table, prepare_training
    from training.data.segments import Segment

    if out.suffix != ".parquet":
        raise UsageError(f"OUT must end in .parquet, not {out.name!r}")
    segments = [Segment.parse(text) for text in exclude or []]
    with wiring().records() if records is None else nullcontext(records) as folder:
        data = prepare_training(folder, CATALOGUE, console.progress, horizon_days=horizon_days, excluded=segments)
    table = export_table(data)
    write_table(table, out)
    counted = {row["values"]: row["counts"] for row in pc.value_counts(table["part"]).to_pylist()}
    parts = {part: counted.get(part, 0) for part in ("train", "test", "purged", "later")}
    result = {
        "out": str(out),
        "rows": len(table),
        **parts,
        "excluded": [each.to_dict() for each in data.excluded_segments],
    }
    told = ", ".join(f"{rows:,} {part}" for part, rows in parts.items())
    excluded = data.excluded_segments
    left = "".join(f"; {each.leads:,} leads of {each.segment} left out" for each in excluded)
    console.emit(result, f"{out}: {len(table):,} snapshots ({told}){left}", as_json)
