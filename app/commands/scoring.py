"""Scoring in bulk: files of request bodies, folders of records, and the store's open leads."""

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from app import console
from app.commands.data import instant
from app.commands.options import Json, UsageError, wiring
from app.wiring import Wiring, now
from features.compile import ENTITY_COLUMNS
from features.direct import Evaluation, evaluate
from features.partner_history import HORIZON_DAYS
from models.scorer import Scorer
from serving.api import schemas
from serving.api.problems import Problem
from serving.api.strict_json import MalformedBody
from serving.canonical import Content, canonical
from serving.rescoring import announce_promotions, rescore_due
from serving.scoring import rescore
from serving.store import database, due, records

app = typer.Typer()
_CHUNK = 2_000


@app.command(epilog="Example: eql score leads.ndjson --out decisions.ndjson")
def score(
    source: Annotated[
        Path | None, typer.Argument(metavar="IN", help="NDJSON of /v1/score bodies, or a folder of records.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .ndjson or .parquet file.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="For a folder: the moment; by default its data cut.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decide on many leads with the champion. Without IN, the store's open leads are scored and their scores kept."""
    if source is None:
        scored = rescore_open(wiring())
        console.emit({"scored": scored}, f"{scored:,} open leads of the store scored", as_json)
        return
    if out is None or out.suffix not in (".ndjson", ".jsonl", ".parquet"):
        raise UsageError("--out FILE is needed, ending in .ndjson or .parquet")
    scorer = wiring().service.champion.scorer()
    if source.is_dir():
        found, rejected = _of_folder(source, scorer, as_of), None
    else:
        rejected = _Rejects(out.with_name(f"{out.name}.rejects.csv"))
        found = _of_bodies(source, scorer, rejected)
    written = _write(found, out)
    result = {"scored": written, "rejected": rejected.count if rejected else 0, "out": str(out)}
    console.emit(result, f"{out}: {written:,} decisions, {result['rejected']:,} rejected", as_json)
    if rejected is not None and rejected.count:
        console.ERRORS.print(f"rejected lines and their reasons are in {rejected.path}", markup=False)


def rescore_open(parts: Wiring) -> int:
    """Score the store's open leads as of now and keep their decisions; returns how many."""
    with database.reading(parts.engine) as connection:
        lead_ids = records.open_leads(connection, now())
    done = 0
    for done in rescore(parts.service, lead_ids):
        console.counted("leads scored", done)
    return done


def rescore_promoted(parts: Wiring) -> tuple[int, int]:
    """Score what a promotion made due, beside the workers that run; returns how many leads, and how many are left."""
    done = 0
    announce_promotions(parts.service)
    while some := rescore_due(parts.service):
        done += some
        console.counted("leads scored", done)
    with database.reading(parts.engine) as connection:
        return done, due.waiting(connection)


class _Rejects:
    """A file of refused lines, made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)

    def add(self, line: int, field: str, reason: str) -> None:
        if self._file is None:
            self._file = self.path.open("w", newline="", encoding="utf-8")
            csv.writer(self._file).writerow(["line", "field", "reason"])
        self.count += 1
        csv.writer(self._file).writerow([line, field, reason])
        self._file.flush()


def _of_bodies(source: Path, scorer: Scorer, rejects: _Rejects) -> Iterator[Content]:
    declared = scorer.served.bundle.attributes if scorer.served else ()
    history = scorer.served.bundle.history if scorer.served else {}
    with source.open("rb") as lines:
        numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
        while chunk := list(islice(numbered, _CHUNK)):
            leads = []
            for number, line in chunk:
                try:
                    request, _ = schemas.read(schemas.ScoreRequest, line)
                    schemas.check_attributes(request, declared)
                    moment = schemas.moment_of(request, now())
                except MalformedBody as error:
                    rejects.add(number, "body", str(error))
                except Problem as problem:
                    for fault in problem.errors:
                        rejects.add(number, fault.field, fault.constraint)
                else:
                    facts = {**request.facts(), **history}
                    leads.append((request.lead.lead_id, moment, evaluate(scorer.catalogue, facts, moment)))
            yield from (decision.to_dict() for decision in scorer.decide_all(leads))


def _of_folder(folder: Path, scorer: Scorer, as_of: str | None) -> Iterator[Content]:
    from features.engines.duckdb import DuckDBEngine

    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        moment = instant(as_of) if as_of else engine.provenance.cut or now()
        console.progress("evaluating features")
        found = engine.evaluate(scorer.catalogue, engine.known_leads(moment), fields=True)
        for batch in found.to_batches(_CHUNK):
            leads = [(row["lead_id"], moment, _evaluation(row, scorer)) for row in batch.to_pylist()]
            yield from (decision.to_dict() for decision in scorer.decide_all(leads))


def _evaluation(row: Mapping[str, Any], scorer: Scorer) -> Evaluation:
    entities: dict[str, dict[str, Any]] = {"lead": {}, "account": {}, "partner": {}}
    for entity, column in ENTITY_COLUMNS:
        entities[entity][column] = row[f"{entity}.{column}"]
    return Evaluation(**entities, features={name: row[name] for name in scorer.catalogue.names})


_SCHEMA = pa.schema(
    [
        ("lead_id", pa.string()),
        ("as_of", pa.string()),
        ("qualification", pa.string()),
        ("pending", pa.bool_()),
        ("close_probability", pa.float64()),
        ("lower", pa.float64()),
        ("upper", pa.float64()),
        ("grade", pa.string()),
        ("expected_value_minor", pa.int64()),
        ("expected_value_currency", pa.string()),
        ("decision", pa.string()),
    ]
)


def _write(contents: Iterator[Content], out: Path) -> int:
    """Write decisions as they come; the file appears when it is complete."""
    part = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    if out.suffix == ".parquet":
        with pq.ParquetWriter(part, _SCHEMA) as writer:
            while chunk := list(islice(contents, _CHUNK)):
                writer.write_table(pa.Table.from_pylist([_flat(content) for content in chunk], schema=_SCHEMA))
                written += len(chunk)
                console.counted("leads scored", written)
    else:
        with part.open("w", encoding="utf-8") as file:
            for content in contents:
                file.write(f"{canonical(content)}\n")
                written += 1
    part.replace(out)
    return written


def _flat(content: Content) -> dict[str, Any]:
    probability, value = content["close_probability"] or {}, content["expected_value"] or {}
    return {
        **{name: content[name] for name in ("lead_id", "as_of", "qualification", "pending", "grade")},
        "close_probability": probability.get("value"),
        "lower": probability.get("lower"),
        "upper": probability.get("upper"),
        "expected_value_minor": value.get("minor"),
        "expected_value_currency": value.get("currency"),
        "decision": canonical(content),
    }
