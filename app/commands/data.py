"""Records: simulate a world, import an export, evaluate features, export the store."""

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import typer

from app import console
from app.commands.options import Format, Json, UsageError, wiring
from features.catalogue import CATALOGUE
from features.folder import read, read_provenance
from features.partner_history import HORIZON_DAYS
from features.records import KINDS, Stored
from features.value_types import parse_date, parse_instant, rfc3339
from serving.store import backup as backups

if TYPE_CHECKING:
    from features.engines.engine import Engine

app = typer.Typer()


@app.command(epilog="Example: eql simulate /tmp/world --accounts 2000 --seed 1 --world hard")
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or does not exist yet.")],
    accounts: Annotated[int, typer.Option(min=1, help="Number of accounts.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    until: Annotated[str | None, typer.Option(help="Last day (YYYY-MM-DD); today by default.")] = None,
    format: Annotated[Format, typer.Option(help="Of the record files.")] = Format.parquet,
    as_json: Json = False,
    world: Annotated[
        Literal["plain", "hard", "shifting"] | None, typer.Option(help="A frozen world, instead of the options below.")
    ] = None,
    frailty: Annotated[
        float, typer.Option(min=0, max=2, help="Variance over leads of the log odds of winning that no record shows.")
    ] = 0.0,
    drift: Annotated[
        float, typer.Option(min=-1, max=1, help="How much the log odds of winning on a day fall in a year.")
    ] = 0.0,
    late_days: Annotated[
        float, typer.Option(min=0, max=30, help="Mean days until facts and outcomes are recorded.")
    ] = 0.0,
    missing: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of accounts whose size, industry, revenue are not recorded.")
    ] = 0.0,
    selection: Annotated[
        float, typer.Option(min=0, max=5, help="How strongly partners pick accounts that would buy without them.")
    ] = 0.0,
    partner_effect: Annotated[
        Literal["none", "small", "large"], typer.Option(help="What partner signals do to the outcome.")
    ] = "large",
) -> None:
    """Simulate two years of an ecosystem; the true probabilities go to DIR/truth, apart from the records."""
    from training.world import PLAIN, WORLDS, Switches
    from training.world import simulate as run

    switches = Switches(
        frailty=frailty,
        drift=drift,
        late_days=late_days,
        missing=missing,
        selection=selection,
        partner_effect=partner_effect,
    )
    if world and switches != PLAIN:
        raise UsageError(f"--world {world} fixes every switch; leave out --world, or the switches ({switches})")
    day = dt.datetime.now(dt.UTC).date() if until is None else _day(until)
    chosen = WORLDS[world].switches if world else switches
    summary = run(folder, accounts, seed, day, format.value, console.counted, chosen)
    rows = dict(summary.rows)
    console.emit({"folder": str(folder), "rows": rows}, f"{folder}: {sum(rows.values()):,} records", as_json)


def _day(text: str) -> dt.date:
    try:
        parse_date(text)
    except ValueError as error:
        raise UsageError(f"--until {error}, not {text!r}") from None
    return dt.date.fromisoformat(text)


@app.command("import", epilog="Example: eql import exports/ --mapping examples/olist_funnel.yaml")
def import_(
    source: Annotated[Path | None, typer.Argument(metavar="SOURCE", help="The export's folder.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="What its columns mean; without one SOURCE holds records of our own layout.")
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="File of rejected rows; by default under EQL_HOME.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the mapping file's JSON schema and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Import a CRM export, or a folder of records; every rejected row goes to a file with its reason."""
    from training.importing import importer
    from training.importing import mapping as mappings

    if schema:
        console.emit(mappings.json_schema(), json.dumps(mappings.json_schema(), indent=1), as_json)
        return
    if source is None:
        raise UsageError("eql import needs SOURCE, the folder of the export")
    if mapping is None:
        _import_folder(source, as_json)
        return
    loaded = mappings.load(mapping)
    parts = wiring()
    _ = parts.engine  # opened first: an unusable store is told before a long read
    path = rejects or parts.settings.home / "rejects.csv"
    found: list[list[Stored]] = []
    report = importer.run(source, loaded, found.append, path, console.counted)
    parts.add(found[0], report.provenance)
    console.emit(json.loads(report.to_json()), report.text(), as_json)


def _import_folder(source: Path, as_json: bool) -> None:
    provenance = read_provenance(source)
    found = []
    for kind in KINDS.values():
        console.progress(f"reading {kind.name}")
        found += list(read(source, kind))
    console.progress(f"storing {len(found):,} records")
    wiring().add(found, provenance)
    tally = Counter(stored.kind.name for stored in found)
    counts = {name: tally[name] for name in KINDS}
    text = "\n".join(f"{name}: {count:,}" for name, count in counts.items())
    console.emit({"accepted": counts}, text, as_json)


@app.command(epilog="Example: eql export /tmp/records")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or does not exist yet.")],
    as_json: Json = False,
) -> None:
    """Write the store's records to a folder, without personal columns."""
    with wiring().records() as records:
        folder.parent.mkdir(parents=True, exist_ok=True)
        records.rename(folder)
    console.emit({"folder": str(folder)}, f"{folder}: the store's records", as_json)


@app.command(epilog="Example: eql backup /srv/backups/eql-2026-11-01.sqlite")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")],
    as_json: Json = False,
) -> None:
    """Copy a SQLite store to a file while it is in use; personal data is in it."""
    backups.backup(wiring().engine, file)
    console.emit({"file": str(file)}, f"{file}: the store as it is now", as_json)


class EngineName(StrEnum):
    """What computes features."""

    duckdb = "duckdb"
    postgres = "postgres"
    spark = "spark"


@app.command(epilog="Example: eql features --as-of 2026-11-01T00:00:00Z --out features.csv")
def features(
    as_of: Annotated[str, typer.Option("--as-of", help="The moment, RFC 3339 or a day.")],
    out: Annotated[Path, typer.Option(help="A .csv, .parquet or .ndjson file.")],
    engine: Annotated[EngineName, typer.Option(help="What computes them.")] = EngineName.duckdb,
    memory: Annotated[str | None, typer.Option(help="What DuckDB or a Spark of this machine may use: 4g.")] = None,
    spark_master: Annotated[str | None, typer.Option(help="A Spark cluster; without one, this machine.")] = None,
    as_json: Json = False,
) -> None:
    """Every feature of each lead open at a moment: created by then, and neither won nor lost."""
    moment = instant(as_of)
    if spark_master is not None and engine is not EngineName.spark:
        raise UsageError(f"--spark-master is for --engine spark, not {engine.value}")
    with wiring().records() as folder, _opened(engine, folder, memory, spark_master) as records:
        catalogue = CATALOGUE.with_attributes(records.provenance.attributes)
        found = records.evaluate(catalogue, records.open_leads(moment))
    named = found.set_column(1, "as_of", pa.array([rfc3339(moment)] * len(found), pa.string()))
    write_table(named, out)
    console.emit({"rows": len(named), "out": str(out)}, f"{out}: {len(named):,} leads", as_json)


@contextmanager
def _opened(engine: EngineName, folder: Path, memory: str | None, master: str | None) -> Iterator["Engine"]:
    """An engine that holds the folder's records; each brings libraries that only its own users wait for."""
    with ExitStack() as closing:
        if engine is EngineName.duckdb:
            from features.engines.duckdb import DuckDBEngine

            yield closing.enter_context(DuckDBEngine(folder, HORIZON_DAYS, memory))
        elif engine is EngineName.postgres:
            from features.engines.postgres import PostgresEngine
            from features.engines.postgres_server import private_server

            url = wiring().settings.postgres_url or closing.enter_context(private_server())
            yield closing.enter_context(PostgresEngine(folder, HORIZON_DAYS, url))
        else:
            from features.engines.spark import SparkEngine
            from features.engines.spark_session import cluster_session, local_session

            chosen = local_session(memory or "2g", os.cpu_count() or 1) if master is None else cluster_session(master)
            yield closing.enter_context(SparkEngine(folder, HORIZON_DAYS, closing.enter_context(chosen)))


def instant(text: str) -> int:
    """Microseconds of an RFC 3339 time or of the start of a UTC day.

    Raises:
        UsageError: it is neither.
    """
    try:
        return parse_date(text) if len(text) == len("YYYY-MM-DD") else parse_instant(text)
    except ValueError as error:
        raise UsageError(f"--as-of {error}, not {text!r}") from None


def write_table(table: pa.Table, out: Path) -> None:
    """Write a table as CSV, Parquet or NDJSON by the file's ending, whole or not at all.

    Raises:
        UsageError: another ending.
    """
    part = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        pq.write_table(table, part)
    elif out.suffix == ".csv":
        pc.write_csv(table, part)
    elif out.suffix in (".ndjson", ".jsonl"):
        part.write_text("".join(f"{_line(row)}\n" for row in table.to_pylist()), encoding="utf-8")
    else:
        raise UsageError(f"--out must end in .csv, .parquet or .ndjson, not {out.name!r}")
    part.replace(out)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
