"""The routes of many records as NDJSON: `POST /v1/records`, and `POST /v1/history` for records with a recording time.

Every line is checked by itself and answered by a line. All valid lines are kept in one transaction; each invalid line
is answered with its errors. Lines count in their order, so the later one of two with the same id is a correction.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from features.provenance import Attribute
from features.records import KINDS, Stored
from serving.http.authentication import Permitted
from serving.http.bodies import Body
from serving.http.bodies import read as read_body
from serving.http.dependencies import StoreDependency
from serving.http.idempotency import AttemptDependency, WriteRequest, WriteResponse
from serving.http.openapi import RequestBody
from serving.http.problems import Problem, from_fields
from serving.http.responses import refusals
from serving.http.strict_json import MalformedBody, read_object
from serving.identity import Principal
from serving.permissions import writers
from serving.records import bodies as record_bodies
from serving.records import ingest
from serving.records.history_order import TIE, history_order, ties
from serving.records.responses import LineAnswer
from serving.records.routes import declared_for
from serving.store.store import Store
from serving.validation import FieldError

MAX_LINES = 10_000
MEDIA_TYPE = "application/x-ndjson"

_Form = Literal["Line", "HistoryLine"]
_STATUSES = {"new": 201, "changed": 200, "equal": 200}

router = APIRouter(prefix="/v1", tags=["records"])


BODIES = (
    RequestBody(record_bodies.any_line("Line")),
    RequestBody(record_bodies.any_line("HistoryLine")),
    RequestBody(LineAnswer),
)
"""The models of the lines sent and answered."""


def _documented(form: _Form, example: str) -> dict[str, Any]:
    """The OpenAPI documentation of NDJSON, whose lines have the schema that the extension `x-itemSchema` names.

    OpenAPI 3.2 has `itemSchema` for it, which generators of clients do not know yet. They do know bytes, so a body of
    bytes is documented too.
    """
    item = {"x-itemSchema": {"$ref": f"#/components/schemas/Record{form}"}}
    content = {
        MEDIA_TYPE: {"schema": {"type": "string", "pattern": "[^ \\t\\r\\n]"}, **item, "example": example},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    answer = {MEDIA_TYPE: {"schema": {"type": "string"}, "x-itemSchema": {"$ref": "#/components/schemas/LineAnswer"}}}
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "A line of result for each line", "content": answer}},
    }


_LINE = (
    '{"record": "touchpoints", "id": "T-1", "lead_id": "L-1", "channel": "webinar", '
    '"occurred_at": "2026-10-10T10:00:00Z"}\n'
)
_PAST_LINE = _LINE.replace('Z"}', 'Z", "recorded_at": "2026-10-11T00:00:00Z"}')


@router.post(
    "/records",
    operation_id="postRecords",
    summary="Keep or correct many records",
    response_class=Response,
    responses=refusals(400, 401, 403, 409, 413, 422, 503),
    openapi_extra=_documented("Line", _LINE),
)
def post_records(store: StoreDependency, principal: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """Each line names its kind under `record`. An invalid line does not stop the others."""
    return attempt.answer(body, _bulk(store, principal, body, "Line"))


@router.post(
    "/history",
    operation_id="postHistory",
    summary="Keep versions of records with the moment they were recorded elsewhere",
    response_class=Response,
    responses=refusals(400, 401, 403, 409, 413, 422, 503),
    openapi_extra=_documented("HistoryLine", _PAST_LINE),
)
def post_history(store: StoreDependency, principal: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """Like `POST /v1/records`. A line may have `recorded_at`, and `deleted` for a record that was removed then."""
    return attempt.answer(body, _bulk(store, principal, body, "HistoryLine"))


@dataclass(frozen=True)
class _Line:
    """A line that was read: its number from 1, and the record or its problem."""

    number: int
    read: Stored | Problem


@dataclass(frozen=True)
class _Ingested:
    """The lines of a request, and the results of the valid ones in their order.

    `ties` are the positions of valid lines that give one id two versions of one moment.
    """

    lines: Sequence[_Line]
    records: Sequence[ingest.Ingested]
    ties: Collection[int]


def _bulk(store: Store, principal: Principal, body: bytes, form: _Form) -> WriteRequest[list[_Line], _Ingested]:
    def prepare() -> list[_Line]:
        lines = [_Line(number, _read(principal, text, form)) for number, text in _lines(body)]
        declared = declared_for(store, (line.read for line in lines if isinstance(line.read, Stored)))
        now = store.clock()
        return [_Line(line.number, _checked(line.read, now, declared)) for line in lines]

    def commit(connection: Connection, lines: list[_Line]) -> _Ingested:
        valid = [line.read for line in lines if isinstance(line.read, Stored)]
        now = store.clock()
        order = history_order(valid, now) if form == "HistoryLine" else range(len(valid))
        ingested = ingest.ingest(connection, [valid[position] for position in order], now, store.tokens)
        by_line = [each for _, each in sorted(zip(order, ingested, strict=True), key=itemgetter(0))]
        return _Ingested(lines, by_line, ties(valid) if form == "HistoryLine" else frozenset())

    return WriteRequest(prepare=prepare, commit=commit, respond=_response)


def _response(ingested: _Ingested) -> WriteResponse:
    """The result of each line, in their order."""
    leads = {lead_id for record in ingested.records if (lead_id := ingest.lead_named(record.stored))}
    content = _ndjson(_results(ingested))
    return WriteResponse(status=200, content=content, lead_ids=leads, media_type=MEDIA_TYPE)


def _results(ingested: _Ingested) -> Iterator[dict[str, Any]]:
    remaining = enumerate(ingested.records)
    for line in ingested.lines:
        if isinstance(line.read, Problem):
            yield {"line": line.number, "status": line.read.status, "id": None, "problem": line.read.content}
        else:
            position, record = next(remaining)
            warning = {"warning": TIE} if position in ingested.ties else {}
            yield {"line": line.number, "status": _STATUSES[record.outcome], "id": record.stored.id, **warning}


def _lines(body: bytes) -> Sequence[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers.

    Raises:
        Problem: 422, there is no such line, or there are too many.
    """
    numbered = enumerate(body.split(b"\n"), 1)
    lines = [(number, text) for number, text in numbered if text.strip(b" \t\r")]
    if not 1 <= len(lines) <= MAX_LINES:
        raise from_fields([FieldError("body", f"must have 1 to {MAX_LINES:,} lines that hold a record")])
    return lines


def _read(principal: Principal, text: bytes, form: _Form) -> Stored | Problem:
    try:
        name = read_object(text).get("record")
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            return from_fields([FieldError("record", f"must be one of {', '.join(KINDS)}")])
        if principal.role not in (*writers(kind), "admin"):
            return Problem(403, f"The role {principal.role} may not write {kind.name}.")
        return record_bodies.stored(kind, read_body(record_bodies.body(kind, form), text)[0])
    except MalformedBody as error:
        return Problem(422, str(error).replace("the body", "The line").replace(" at line 1 column", " at column") + ".")
    except Problem as problem:
        return problem


def _checked(read: Stored | Problem, now: int, declared: tuple[Attribute, ...]) -> Stored | Problem:
    if isinstance(read, Problem):
        return read
    errors = record_bodies.record_errors(read, now, declared)
    return from_fields(errors) if errors else read


def _ndjson(results: Iterator[dict[str, Any]]) -> bytes:
    models = map(LineAnswer.model_validate, results)
    return "".join(f"{model.model_dump_json(exclude_none=True)}\n" for model in models).encode()
