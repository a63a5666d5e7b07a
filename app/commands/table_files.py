"""Tables as files: CSV, Parquet or NDJSON, by the ending of the file's name."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from app.commands.options import UsageError


def check_ending(out: Path) -> None:
    """Checks that a file is of a known format, before the work that fills it.

    Raises:
        UsageError: the file's name has another ending than .csv, .parquet, .ndjson or .jsonl.
    """
    if out.suffix not in (".csv", ".parquet", ".ndjson", ".jsonl"):
        raise UsageError(f"--out must end in .csv, .parquet or .ndjson, not {out.name!r}")


def write_table(table: pa.Table, out: Path) -> None:
    """Writes a table to a file of a checked ending. The file appears once it is complete."""
    part = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        pq.write_table(table, part)
    elif out.suffix == ".csv":
        pc.write_csv(table, part)
    else:
        part.write_text("".join(f"{_json_line(row)}\n" for row in table.to_pylist()), encoding="utf-8")
    part.replace(out)


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
