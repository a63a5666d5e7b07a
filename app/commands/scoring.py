"""Scoring in bulk: files of request bodies, folders of records, and the open leads of the store."""

import csv
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from app import console
from app.commands.options import Json, UsageError, parse_moment, wiring
from app.wiring import Wiring, now
from features.batched import batched
from models.decision import Decision
from models.scorer import Scorer
from operations.csv_text import guarded_rows
from serving.decisions import rescore_queue
from serving.http.bodies import read
from serving.http.problems import Problem
from serving.http.strict_json import MalformedBody
from serving.records import versions
from serving.rescoring.promotions import announce_promotions
from serving.rescoring.rescoring import rescore_due
from serving.scoring.decide import decide
from serving.scoring.inputs import SentLead, sent_lead
from serving.scoring.requests import ScoreRequest
from serving.scoring.scoring import Scoring
from serving.scoring.stored_leads import rescore
from serving.store import database
from serving.store.canonical_json import canonical
from serving.validation import FieldError, InvalidFields

app = typer.Typer()
_BATCH_SIZE = 2_000


@app.command(epilog="Example: eql score leads.ndjson --out decisions.ndjson")
def score(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="IN", help="A file of /v1/score bodies, one JSON a line, or a folder of records."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .ndjson or .parquet file.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="For a folder: the moment of the scores, an RFC 3339 time or a day; by default its data cut.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score many leads with the champion. Without IN, score the open leads of the store and keep the decisions."""
    if source is None:
        scored = rescore_open(wiring())
        console.emit({"scored": scored}, f"{scored:,} open leads of the store are scored", as_json)
        return
    if out is None or out.suffix not in (".ndjson", ".jsonl", ".parquet"):
        raise UsageError("--out FILE is required with IN, and must end in .ndjson or .parquet")
    if out.resolve() == source.resolve():
        raise UsageError(f"--out must be another file than IN, not {out}")
    scoring, rejects = wiring().service.scoring, None
    scorer = scoring.champion.scorer()
    if source.is_dir():
        decisions = _decide_folder(source, scorer, as_of)
    else:
        rejects = _RejectFile(out.with_name(f"{out.name}.rejects.csv"))
        decisions = _at_least_one(_decide_bodies(source, scoring, scorer, rejects), source, rejects)
    written = _write(decisions, out)
    result = {"scored": written, "rejected": rejects.count if rejects else 0, "out": str(out)}
    console.emit(result, f"{out}: scored {written:,} leads, rejected {result['rejected']:,} lines", as_json)
    if rejects is not None and rejects.count:
        console.ERRORS.print(f"rejected lines and their reasons are in {rejects.path}", markup=False)


def rescore_open(parts: Wiring) -> int:
    """Scores the open leads of the store as of now and keeps the decisions; returns the number of leads."""
    with database.reading(parts.engine) as connection:
        lead_ids = versions.open_leads(connection, now())
    done = 0
    for done in rescore(parts.service.scoring, lead_ids):
        console.count("leads scored", done)
    return done


def rescore_promoted(parts: Wiring) -> tuple[int, int]:
    """Scores the leads that a promotion queued, alongside running workers; returns the numbers scored and left."""
    done, scoring = 0, parts.service.scoring
    announce_promotions(scoring)
    while batch_size := rescore_due(scoring):
        done += batch_size
        console.count("leads scored", done)
    with database.reading(parts.engine) as connection:
        return done, rescore_queue.length(connection)


class NothingToScore(ValueError):
    """A file holds no lead; the message names the first fault."""


def _at_least_one(decisions: Iterator[Decision], source: Path, rejects: "_RejectFile") -> Iterator[Decision]:
    """The decisions, unless there is none.

    Raises:
        NothingToScore: the file has no line, or every line is rejected.
    """
    first = next(decisions, None)
    if first is None and rejects.count:
        raise NothingToScore(
            f"no line of {source} is a body of /v1/score; the reasons of all {rejects.count:,} are in {rejects.path}"
        )
    if first is None:
        raise NothingToScore(f"{source} holds no line; give a file with one body of /v1/score a line")
    return chain([first], decisions)


class _RejectFile:
    """The file of rejected lines; the first rejected line creates it. `count` is the number of these lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)

    def add(self, line: int, errors: Iterable[FieldError]) -> None:
        """Adds a row for each error of a line of the source."""
        if self._file is None:
            self._file = self.path.open("w", newline="", encoding="utf-8")
            csv.writer(self._file).writerow(["line", "field", "reason"])
        self.count += 1
        csv.writer(self._file).writerows(guarded_rows([line, error.field, error.constraint] for error in errors))
        self._file.flush()


def _decide_bodies(source: Path, scoring: Scoring, scorer: Scorer, rejects: _RejectFile) -> Iterator[Decision]:
    with source.open("rb") as lines:
        # Some editors put a byte order mark before the first line.
        texts = (line.removeprefix(BOM_UTF8) if number == 1 else line for number, line in enumerate(lines, start=1))
        numbered = ((number, text) for number, text in enumerate(texts, start=1) if text.strip())
        for batch in batched(numbered, _BATCH_SIZE):
            leads = [lead for number, line in batch if (lead := _read_line(number, line, scorer, rejects)) is not None]
            yield from decide(scorer, scoring.inputs(scorer, leads))


def _read_line(number: int, line: bytes, scorer: Scorer, rejects: _RejectFile) -> SentLead | None:
    """The lead of a line; None if the line is rejected."""
    try:
        request, body = read(ScoreRequest, line)
        return sent_lead(request, body, scorer, now())
    except MalformedBody as error:
        rejects.add(number, [FieldError("body", str(error))])
    except (Problem, InvalidFields) as error:
        rejects.add(number, error.errors)
    return None


def _decide_folder(folder: Path, scorer: Scorer, as_of: str | None) -> Iterator[Decision]:
    # The import of DuckDB takes a moment, and the other ways of scoring must not wait for it.
    from serving.scoring.folder import decide_folder

    console.progress("evaluating features")
    yield from decide_folder(scorer, folder, parse_moment(as_of) if as_of else None, now())


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
        ("expected_value_basis", pa.string()),
        ("decision", pa.string()),
    ]
)


def _write(decisions: Iterator[Decision], out: Path) -> int:
    """Writes decisions as they are made; the file appears once it is complete. Returns the number of decisions."""
    part = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    if out.suffix == ".parquet":
        with pq.ParquetWriter(part, _SCHEMA) as writer:
            for batch in batched(decisions, _BATCH_SIZE):
                writer.write_table(pa.Table.from_pylist([_row(decision) for decision in batch], schema=_SCHEMA))
                written += len(batch)
                console.count("leads scored", written)
    else:
        with part.open("w", encoding="utf-8") as file:
            for decision in decisions:
                file.write(f"{canonical(decision.to_dict())}\n")
                written += 1
    part.replace(out)
    return written


def _row(decision: Decision) -> dict[str, Any]:
    content, probability, value = decision.to_dict(), decision.close_probability, decision.expected_value
    return {
        **{name: content[name] for name in ("lead_id", "as_of", "qualification", "pending", "grade")},
        "close_probability": None if probability is None else probability.value,
        "lower": None if probability is None else probability.lower,
        "upper": None if probability is None else probability.upper,
        "expected_value_minor": None if value is None else value.minor,
        "expected_value_currency": None if value is None else value.currency,
        "expected_value_basis": None if value is None else value.basis,
        "decision": canonical(content),
    }
