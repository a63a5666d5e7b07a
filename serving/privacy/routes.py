"""The routes of personal data, for admins: export and erasure of everything about a person or a domain."""

import json
import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from features.value_types import Domain, Email, Text
from operations.subjects import InvalidSubject, Subject
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.dependencies import StoreDependency
from serving.http.idempotency import DRY_RUN
from serving.http.openapi import RequestBody
from serving.http.problems import Problem
from serving.http.responses import REFUSALS, Answer
from serving.privacy import subject_rights
from serving.validation import FieldError, InvalidFields

_LOG = logging.getLogger(__name__)
_NDJSON = "application/x-ndjson"
router = APIRouter(prefix="/v1/privacy", tags=["privacy"])


class SubjectRequest(BaseModel):
    """The subject of the request: either `email`, a person's address, or `domain`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    email: Email | None = None
    """The e-mail address of the person."""
    domain: Domain | None = None
    """The domain of a company: everyone with an address there."""


class ErasureRequest(SubjectRequest):
    """The subject of an erasure and its reason. The reason is kept, so it must not name the subject."""

    reason: Text
    """Why the data are erased; it is kept, so it must not name the subject."""


class ErasureAnswer(Answer):
    """The result of an erasure: the number of leads, and the number of rows by table.

    `id` names the erasure in its log; it is null for a dry run. `remains` says that the store's file still holds some
    of the erased data, because another connection reads an earlier state of the store. Then run the erasure again.
    """

    id: int | None
    """The id in the log of erasures; null for a dry run."""
    leads: int
    """The number of leads."""
    rows: dict[str, int]
    """The rows that were deleted, by table."""
    remains: bool
    """Whether the store's file still holds some of the erased data."""
    dry_run: bool
    """Present only in the answer to a dry run, which stores nothing."""


_EMAIL = {"email": "cto@acme.example"}
BODIES = (
    RequestBody(SubjectRequest, _EMAIL),
    RequestBody(ErasureRequest, {**_EMAIL, "reason": "asked for by letter of 12 November"}),
)


@router.post(
    "/exports",
    operation_id="exportPersonalData",
    summary="Everything the store holds about a person or a domain",
    responses={
        200: {
            "description": "A line of JSON for each row, with the keys `table` and `row`",
            "content": {_NDJSON: {"schema": {"type": "string"}}},
        },
        **REFUSALS,
    },
    response_class=Response,
    openapi_extra=json_body(SubjectRequest),
)
def export(store: StoreDependency, caller: Permitted, body: Body) -> Response:
    """The rows as NDJSON. A row of another owner has only its key and the columns that name the person."""
    request, _ = read(SubjectRequest, body)
    lines = [json.dumps(line, ensure_ascii=False) for line in subject_rights.export(store.engine, _subject(request))]
    _LOG.info("personal data were exported by %s: %d rows", caller.name, len(lines))
    return Response("".join(f"{line}\n" for line in lines), headers={"Cache-Control": "no-store"}, media_type=_NDJSON)


@router.post(
    "/erasures",
    operation_id="erasePersonalData",
    summary="Erase what the store holds about a person or a domain",
    responses={200: {"model": ErasureAnswer}, **REFUSALS},
    openapi_extra=json_body(ErasureRequest),
)
def erase(
    store: StoreDependency,
    caller: Permitted,
    body: Body,
    dry_run: Annotated[
        Literal["true", "false"] | None,
        Header(alias=DRY_RUN, description="`true`: count the data, and erase nothing."),
    ] = None,
) -> Response:
    """The erased leads and rows. The erasure repeats until it finds no more rows; sending it again does no harm."""
    request, _ = read(ErasureRequest, body)
    subject = _subject(request)
    _check_reason(subject, request.reason)
    if dry_run == "true":
        return JSONResponse(
            _result(None, subject_rights.survey(store.engine, subject), False), headers={DRY_RUN: "true"}
        )
    try:
        erasure = subject_rights.erase(
            store.engine, subject, actor=caller.name, reason=request.reason, clock=store.clock
        )
    except subject_rights.StillWritten as error:
        raise Problem(503, str(error), headers={"Retry-After": "60"}) from None
    _LOG.info("erasure %d by %s: %d leads", erasure.id, caller.name, erasure.counts.leads)
    return JSONResponse(_result(erasure.id, erasure.counts, erasure.remains))


def _subject(request: SubjectRequest) -> Subject:
    try:
        return Subject(request.email, request.domain)
    except InvalidSubject as error:
        raise InvalidFields([FieldError(error.field, error.constraint)]) from None


def _check_reason(subject: Subject, reason: str) -> None:
    try:
        subject_rights.check_reason(subject, reason)
    except InvalidSubject as error:
        raise InvalidFields([FieldError(error.field, error.constraint)]) from None


def _result(erasure_id: int | None, counts: subject_rights.DataCounts, remains: bool) -> dict[str, Any]:
    rows = dict(counts.rows)
    return {"id": erasure_id, "leads": counts.leads, "rows": rows, "remains": remains, "dry_run": erasure_id is None}
