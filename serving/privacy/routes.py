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
_STILL_WRITTEN = "New data about this subject arrived during the erasure. Stop the sender, then run the erasure again."
router = APIRouter(prefix="/v1/privacy", tags=["privacy"])


class SubjectRequest(BaseModel):
    """Whose data are meant: `email`, a person's address, or `domain`, one of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    email: Email | None = None
    domain: Domain | None = None


class ErasureRequest(SubjectRequest):
    """Who is to be erased, and why; the reason is kept, and may not name them."""

    reason: Text


class ErasureAnswer(Answer):
    """What an erasure came to: how many leads, and how many rows by table.

    `id` names it in the log of erasures, null for a dry run. `remains` says that the store's file still holds some of
    it, because somebody reads an earlier state: repeat it.
    """

    id: int | None
    leads: int
    rows: dict[str, int]
    remains: bool
    dry_run: bool


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
            "description": "A line of JSON for each row, `table` and `row`",
            "content": {_NDJSON: {"schema": {"type": "string"}}},
        },
        **REFUSALS,
    },
    response_class=Response,
    openapi_extra=json_body(SubjectRequest),
)
def export(store: StoreDependency, caller: Permitted, body: Body) -> Response:
    """The rows as NDJSON; of a row that belongs to others only what names the person."""
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
        Literal["true", "false"] | None, Header(alias=DRY_RUN, description="`true`: say what would be erased.")
    ] = None,
) -> Response:
    """What was erased; it is read through until nothing is found, so repeating it does no harm."""
    request, _ = read(ErasureRequest, body)
    subject = _subject(request)
    _check_reason(subject, request.reason)
    if dry_run == "true":
        return JSONResponse(
            _shown(None, subject_rights.survey(store.engine, subject), False), headers={DRY_RUN: "true"}
        )
    try:
        done = subject_rights.erase(store.engine, subject, actor=caller.name, reason=request.reason, clock=store.clock)
    except subject_rights.StillWritten:
        raise Problem(
            503,
            "New data about this subject arrived during the erasure. Stop the sender, then run the erasure again.",
            headers={"Retry-After": "60"},
        ) from None
    _LOG.info("erasure %d by %s: %d leads", done.id, caller.name, done.found.leads)
    return JSONResponse(_shown(done.id, done.found, done.remains))


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


def _shown(erasure_id: int | None, found: subject_rights.Found, remains: bool) -> dict[str, Any]:
    rows = dict(found.rows)
    return {"id": erasure_id, "leads": found.leads, "rows": rows, "remains": remains, "dry_run": erasure_id is None}
