"""Personal data, for admins: everything about somebody given out, or erased."""

import json
import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from features.value_types import Domain, Email, Text
from operations.subjects import InvalidSubject, Subject
from serving.http.authentication import Permitted, ServiceDependency
from serving.http.idempotency import DRY_RUN
from serving.http.problems import FieldError, Problem, from_fields
from serving.http.responses import Answer
from serving.privacy import subject_rights as privacy
from serving.scoring import requests as schemas
from serving.scoring.routes import REFUSALS, Body, takes

_LOG = logging.getLogger(__name__)
_NDJSON = "application/x-ndjson"
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
    openapi_extra=takes("SubjectRequest"),
)
def export(service: ServiceDependency, caller: Permitted, body: Body) -> Response:
    """The rows as NDJSON; of a row that belongs to others only what names the person."""
    request, _ = schemas.read(SubjectRequest, body)
    lines = [json.dumps(line, ensure_ascii=False) for line in privacy.export(service.engine, _subject(request))]
    _LOG.info("personal data were exported by %s: %d rows", caller.name, len(lines))
    return Response("".join(f"{line}\n" for line in lines), headers={"Cache-Control": "no-store"}, media_type=_NDJSON)


@router.post(
    "/erasures",
    operation_id="erasePersonalData",
    summary="Erase what the store holds about a person or a domain",
    responses={200: {"model": ErasureAnswer}, **REFUSALS},
    openapi_extra=takes("ErasureRequest"),
)
def erase(
    service: ServiceDependency,
    caller: Permitted,
    body: Body,
    dry_run: Annotated[
        Literal["true", "false"] | None, Header(alias=DRY_RUN, description="`true`: say what would be erased.")
    ] = None,
) -> Response:
    """What was erased; it is read through until nothing is found, so repeating it does no harm."""
    request, _ = schemas.read(ErasureRequest, body)
    subject = _subject(request)
    _check_reason(subject, request.reason)
    if dry_run == "true":
        return JSONResponse(_told(None, privacy.survey(service.engine, subject), False), headers={DRY_RUN: "true"})
    try:
        done = privacy.erase(service.engine, subject, actor=caller.name, reason=request.reason, clock=service.clock)
    except privacy.StillWritten:
        raise Problem(503, "What was erased is being sent again; try again.", headers={"Retry-After": "60"}) from None
    _LOG.info("erasure %d by %s: %d leads", done.id, caller.name, done.found.leads)
    return JSONResponse(_told(done.id, done.found, done.remains))


def _subject(request: SubjectRequest) -> Subject:
    try:
        return Subject(request.email, request.domain)
    except InvalidSubject as error:
        raise from_fields([FieldError(error.field, error.constraint)]) from None


def _check_reason(subject: Subject, reason: str) -> None:
    try:
        privacy.check_reason(subject, reason)
    except InvalidSubject as error:
        raise from_fields([FieldError(error.field, error.constraint)]) from None


def _told(erasure_id: int | None, found: privacy.Found, remains: bool) -> dict[str, Any]:
    rows = dict(found.rows)
    return {"id": erasure_id, "leads": found.leads, "rows": rows, "remains": remains, "dry_run": erasure_id is None}
