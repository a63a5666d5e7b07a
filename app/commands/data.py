"""Records: simulate a world, import an export, evaluate features, export and back up the store."""

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pyarrow as pa
import typer

from app import console
from app.commands.options import Format, Json, UsageError, parse_moment, wiring
from app.commands.table_files import check_ending, write_table
from app.wiring import Wiring, now
from features.catalogue import CATALOGUE
from features.folder import PROVENANCE, FolderError, read, read_provenance
from features.partner_history import HORIZON_DAYS
from features.records import KINDS, Stored
from features.value_types import parse_date, rfc3339
from serving.store import backup as backups

if TYPE_CHECKING:
    from features.engines.engine import Engine
    from serving.records.reimport import Reimported
    from training.importing.mapping import Mapping

app = typer.Typer()


@app.command(epilog="Example: eql simulate /tmp/world --accounts 2000 --seed 1 --world hard")
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or does not exist yet.")],
    accounts: Annotated[int, typer.Option(min=1, help="Number of accounts.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    until: Annotated[str | None, typer.Option(help="Last day of the two years (YYYY-MM-DD); by default today.")] = None,
    format: Annotated[Format, typer.Option(help="Format of the record files.")] = Format.parquet,
    as_json: Json = False,
    world: Annotated[
        Literal["plain", "hard", "shifting"] | None, typer.Option(help="A fixed world; it replaces the options below.")
    ] = None,
    frailty: Annotated[
        float,
        typer.Option(min=0, max=2, help="Variance over leads of log odds of winning that no record shows."),
    ] = 0.0,
    drift: Annotated[float, typer.Option(min=-1, max=1, help="Fall of the log odds of winning in a year.")] = 0.0,
    late_days: Annotated[
        float, typer.Option(min=0, max=30, help="Mean days until facts and outcomes are recorded.")
    ] = 0.0,
    missing: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of accounts without a recorded size, industry, revenue."),
    ] = 0.0,
    selection: Annotated[
        float,
        typer.Option(min=0, max=5, help="How strongly partners pick accounts that buy without a partner too."),
    ] = 0.0,
    partner_effect: Annotated[
        Literal["none", "small", "large"], typer.Option(help="Effect of partner signals on the outcome.")
    ] = "large",
) -> None:
    """Simulate two years of an ecosystem. DIR gets the records, DIR/truth the true probabilities."""
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
        raise UsageError(
            f"--world {world} fixes every switch; leave out --world, or leave out the switches ({switches})"
        )
    last_day = dt.datetime.now(dt.UTC).date() if until is None else _parse_day(until)
    used_switches = WORLDS[world].switches if world else switches
    summary = run(folder, accounts, seed, last_day, format.value, console.count, used_switches)
    rows = dict(summary.rows)
    console.emit({"folder": str(folder), "rows": rows}, f"{folder}: {sum(rows.values()):,} records", as_json)


def _parse_day(text: str) -> dt.date:
    try:
        parse_date(text)
    except ValueError as error:
        raise UsageError(f"--until {error}, not {text!r}") from None
    return dt.date.fromisoformat(text)


@app.command("import", epilog="Example: eql import exports/ --mapping examples/olist_funnel.yaml")
def import_(
    source: Annotated[Path | None, typer.Argument(metavar="SOURCE", help="The folder of the export.")] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with the meaning of the columns; without it SOURCE must be a folder of EQL records."
        ),
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="File for the rejected rows; by default rejects.csv in EQL_HOME.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the mapping file's JSON schema and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Import a CRM export, or a folder of records. Rejected rows go to a file, each with its reason."""
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
    _ = parts.engine  # opened first, so that an unusable store fails before a long read
    path = rejects or parts.settings.home / "rejects.csv"
    received: list[list[Stored]] = []
    from serving.records import versions
    from serving.store import database

    with database.reading(parts.engine) as connection:
        first = not versions.count(connection)["leads"]
    if not first:
        _check_again(loaded, parts)
    report = importer.run(source, loaded, received.append, path, console.count, first=first)
    [records] = received
    added = parts.add(records, report.provenance, recorded=report.provenance.point_in_time)
    content = {**json.loads(report.to_json()), "added": asdict(added)}
    text = report.text() if first else f"{report.text()}\n{_added_text(added)}"
    console.emit(content, text, as_json)


class NotAgain(ValueError):
    """An export cannot be imported into a store that holds another one; the message names the fix."""


def _check_again(mapping: "Mapping", parts: Wiring) -> None:
    """Checks that the records of a later export can be told from those of the first.

    Raises:
        NotAgain: the leads are numbered by their rows, or an earlier version of the software numbered the facts.
    """
    from serving.records import versions
    from serving.store import database
    from training.importing.blocks import ROW

    numbered = [name for name, block in mapping.records.blocks().items() if block.id == ROW]
    home = parts.settings.home
    if "leads" in numbered:
        raise NotAgain(
            f"{home} holds leads already, and the mapping numbers leads by row, so the rows of another export would be "
            "taken for other leads; name a column as id, or import into a new EQL_HOME"
        )
    with database.reading(parts.engine) as connection:
        for name in numbered:
            if versions.latest_versions(connection, KINDS[name], ["1"], now()):
                raise NotAgain(
                    f"{home} was imported by a version that numbered {name} by row, so this export would double them; "
                    "name a column as their id, or import into a new EQL_HOME"
                )


_NAMED = 5
"""The most leads that a sentence names."""


def _added_text(added: "Reimported") -> str:
    text = (
        f"beside what was there: {added.new:,} new records, {added.changed:,} changed ones, recorded at the data cut "
        f"unless the export says when; {added.equal:,} are equal and add nothing"
    )
    if not added.reopened:
        return text
    named = ", ".join(added.reopened[:_NAMED]) + (", …" if len(added.reopened) > _NAMED else "")
    return (
        f"{text}\n{len(added.reopened):,} leads that the store had as closed are open in this export: {named}; their "
        "outcomes are withdrawn at the data cut"
    )


def _import_folder(source: Path, as_json: bool) -> None:
    if not (source / PROVENANCE).is_file():
        fix = "for a CRM export add --mapping FILE.yaml, or name a folder that `eql simulate` or `eql export` wrote"
        raise FolderError(f"{source} is no folder of EQL records, because it has no {PROVENANCE}; {fix}")
    provenance = read_provenance(source)
    records: list[Stored] = []
    for kind in KINDS.values():
        console.progress(f"reading {kind.name}")
        records += read(source, kind)
    console.progress(f"storing {len(records):,} records")
    added = wiring().add(records, provenance, recorded=True)
    tally = Counter(record.kind.name for record in records)
    counts = {name: tally[name] for name in KINDS}
    text = "\n".join(f"{name}: {count:,}" for name, count in counts.items())
    more = f"\n{_added_text(added)}" if added.equal or added.changed else ""
    console.emit({"accepted": counts, "added": asdict(added)}, text + more, as_json)


@app.command(epilog="Example: eql export /tmp/records")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or does not exist yet.")],
    as_json: Json = False,
) -> None:
    """Write the records of the store to a folder, without the personal columns."""
    with wiring().records() as records:
        folder.parent.mkdir(parents=True, exist_ok=True)
        records.rename(folder)
    console.emit({"folder": str(folder)}, f"{folder}: the records of the store", as_json)


@app.command(epilog="Example: eql backup /srv/backups/eql-2026-11-01.sqlite")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")],
    as_json: Json = False,
) -> None:
    """Copy a SQLite store to a file; the store may be in use. The copy contains personal data."""
    backups.backup(wiring().engine, file)
    console.emit({"file": str(file)}, f"{file}: a copy of the store", as_json)


class EngineName(StrEnum):
    """The engines that compute features."""

    duckdb = "duckdb"
    postgres = "postgres"
    spark = "spark"


@app.command(epilog="Example: eql features --as-of 2026-11-01T00:00:00Z --out features.csv")
def features(
    as_of: Annotated[str, typer.Option("--as-of", help="The moment: an RFC 3339 time, or a day.")],
    out: Annotated[Path, typer.Option(help="A .csv, .parquet or .ndjson file.")],
    engine: Annotated[EngineName, typer.Option(help="The engine that computes the features.")] = EngineName.duckdb,
    memory: Annotated[
        str | None, typer.Option(help="Memory limit of DuckDB, or of Spark on this machine, such as 4g.")
    ] = None,
    spark_master: Annotated[
        str | None, typer.Option(help="Address of a Spark cluster; by default Spark on this machine.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write every feature of each lead that is open at a moment."""
    check_ending(out)
    moment = parse_moment(as_of)
    if spark_master is not None and engine is not EngineName.spark:
        raise UsageError(f"--spark-master needs --engine spark, not {engine.value}")
    with wiring().records() as folder, _open_engine(engine, folder, memory, spark_master) as records:
        catalogue = CATALOGUE.with_attributes(records.provenance.attributes)
        rows = records.evaluate(catalogue, records.open_leads(moment))
    rows = rows.set_column(1, "as_of", pa.array([rfc3339(moment)] * len(rows), pa.string()))
    write_table(rows, out)
    console.emit({"rows": len(rows), "out": str(out)}, f"{out}: {len(rows):,} leads", as_json)


@contextmanager
def _open_engine(engine: EngineName, folder: Path, memory: str | None, master: str | None) -> Iterator["Engine"]:
    """An engine over the records of a folder. Each engine's libraries are imported only if it is chosen."""
    with ExitStack() as stack:
        if engine is EngineName.duckdb:
            from features.engines.duckdb import DuckDBEngine

            yield stack.enter_context(DuckDBEngine(folder, HORIZON_DAYS, memory))
        elif engine is EngineName.postgres:
            from features.engines.postgres import PostgresEngine
            from features.engines.postgres_server import private_server

            url = wiring().settings.postgres_url or stack.enter_context(private_server())
            yield stack.enter_context(PostgresEngine(folder, HORIZON_DAYS, url))
        else:
            from features.engines.spark import SparkEngine
            from features.engines.spark_session import cluster_session, local_session

            session = local_session(memory or "2g", os.cpu_count() or 1) if master is None else cluster_session(master)
            yield stack.enter_context(SparkEngine(folder, HORIZON_DAYS, stack.enter_context(session)))
