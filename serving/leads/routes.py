"""The routes of leads: submitting a lead once, and the ids that it is known by."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from features.records import KINDS
from features.value_types import Id, rfc3339
from operations.mandatory import missing_at_intake
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.dependencies import StoreDependency
from serving.http.idempotency import AttemptDependency, WriteRequest, WriteResponse
from serving.http.openapi import RequestBody
from serving.http.paging import Paging, page_answer
from serving.http.path_ids import LEAD_ID
from serving.http.problems import Problem, from_status
from serving.http.responses import refusals
from serving.identity import Principal
from serving.leads.merge import AddedAlias, AliasOfItself, AliasTaken, UnknownLead, add_alias
from serving.leads.requests import AliasRequest, check_unrecorded
from serving.leads.responses import AliasAnswer, NewAliasAnswer, SubmissionAnswer, SubmittedLeadAnswer
from serving.leads.submission import Submission, submit_lead
from serving.records import aliases, provenance
from serving.records.aliases import Alias
from serving.records.bodies import time_errors
from serving.records.routes import location
from serving.records.visible import EVER, visible
from serving.scoring.dependencies import ScoringDependency
from serving.scoring.examples import LEAD
from serving.scoring.requests import LeadRequest, check_attributes, sent_records
from serving.store.database import reading
from serving.store.store import Store
from serving.validation import FieldError, InvalidFields

BODIES = (RequestBody(LeadRequest, LEAD), RequestBody(AliasRequest, {"alias": "006-1"}))
router = APIRouter(prefix="/v1", tags=["leads"])

_LEADS = KINDS["leads"]

_NOT_A_PARTNERS = ("partners", "integration_usage", "shared_customers", "touchpoints", "buying_signals")
"""Kinds of facts that a partner may not send: they are the vendor's to state, or need another side's word."""


def _answers(model: Any, there: str, new: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, "description": there}, 201: {"model": model, "description": new}}


@router.post(
    "/leads",
    operation_id="createLead",
    summary="Take in a lead with its facts, once, and decide on it",
    status_code=201,
    responses={
        **_answers(SubmittedLeadAnswer | SubmissionAnswer, "The lead is there already", "A new lead"),
        **refusals(400, 401, 403, 409, 413, 422, 503),
    },
    openapi_extra=json_body(LeadRequest),
)
def create(scoring: ScoringDependency, caller: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The lead's id and the decision; a partner learns the qualification alone, and of others' leads nothing."""
    scorer = scoring.champion.scorer()

    def prepare() -> LeadRequest:
        return _checked(scoring.store, caller, body)

    def commit(connection: Connection, request: LeadRequest) -> Submission:
        return submit_lead(scoring, scorer, connection, request, caller.partner_id)

    def report(submission: Submission) -> None:
        scoring.report_decisions([] if submission.made is None else [submission.made])

    def respond(submission: Submission) -> WriteResponse:
        return _submitted(submission, caller)

    return attempt.answer(body, WriteRequest(prepare=prepare, commit=commit, respond=respond, report=report))


def _checked(store: Store, caller: Principal, body: bytes) -> LeadRequest:
    request, _ = read(LeadRequest, body)
    check_unrecorded(request)
    _check_times(request, store.clock())
    with reading(store.engine) as connection:
        declared = provenance.read(connection).attributes
    check_attributes(request, declared)
    if caller.partner_id is not None:
        _check_partners(request, caller.partner_id)
    _check_mandatory(request)
    return request


def _check_times(request: LeadRequest, now: int) -> None:
    errors = [
        FieldError(f"{path}.{error.field}", error.constraint)
        for path, kind, record in sent_records(request)
        for error in time_errors(kind, record, now)
    ]
    if errors:
        raise InvalidFields(errors)


def _check_mandatory(request: LeadRequest) -> None:
    lead = _LEADS.row(request.lead)
    touched = any(touchpoint.partner_id is not None for touchpoint in request.touchpoints or ())
    missing = missing_at_intake(lead, referred=bool(request.referrals), touched=touched)
    if missing:
        raise InvalidFields([FieldError(f"lead.{name}", "is required of a lead from a partner") for name in missing])


def _check_partners(request: LeadRequest, partner_id: str) -> None:
    """A partner sends leads of its own, and confirms for itself alone."""
    errors = [FieldError(name, "is not a partner's to tell") for name in _NOT_A_PARTNERS if getattr(request, name)]
    own = "must be the id of the partner whose key this is"
    errors += [FieldError(path, own) for path, named in _named(request) if named != partner_id]
    errors += [
        FieldError(f"confirmations.{place}.side", "must be partner")
        for place, confirmation in enumerate(request.confirmations or ())
        if confirmation.side != "partner"
    ]
    if errors:
        raise Problem(403, "A partner may send its own leads only, and confirm for itself alone.", errors)


def _named(request: LeadRequest) -> Iterator[tuple[str, str | None]]:
    yield "lead.source_partner_id", request.lead.source_partner_id
    for name in ("referrals", "confirmations"):
        for place, record in enumerate(getattr(request, name) or ()):
            yield f"{name}.{place}.partner_id", record.partner_id


def _submitted(submission: Submission, caller: Principal) -> WriteResponse:
    content: dict[str, Any] = {"lead_id": submission.lead_id, "duplicate": submission.duplicate}
    if caller.partner_id is None:
        content |= {"decision": submission.content, "assignment": None}
    else:
        content |= {"qualification": None, "pending": None}
        if (standing := submission.standing) is not None:
            content |= {"qualification": standing.qualification, "pending": standing.pending}
            content["missing"] = [*standing.missing]
    return WriteResponse(
        status=200 if submission.duplicate else 201,
        content=content,
        lead_ids=[lead_id for lead_id in (submission.sent_as, submission.lead_id) if lead_id is not None],
        location=None if submission.duplicate else location(_LEADS, str(submission.lead_id)),
    )


@router.post(
    f"/leads/{LEAD_ID}/aliases",
    operation_id="addLeadAlias",
    summary="Make another id known for a lead; a lead of that id is merged into it",
    status_code=201,
    responses={
        **_answers(NewAliasAnswer, "The lead had this alias already", "A new alias"),
        **refusals(400, 401, 403, 404, 409, 413, 422, 503),
    },
    openapi_extra=json_body(AliasRequest),
)
def post_alias(store: StoreDependency, _: Permitted, attempt: AttemptDependency, lead_id: Id, body: Body) -> Response:
    """The alias, and whether it was a lead of its own, whose facts are now the other's."""

    def commit(connection: Connection, request: AliasRequest) -> AddedAlias:
        return _add_alias(store, connection, lead_id, request.alias)

    def prepare() -> AliasRequest:
        return read(AliasRequest, body)[0]

    return attempt.answer(body, WriteRequest(prepare=prepare, commit=commit, respond=_added))


def _add_alias(store: Store, connection: Connection, lead_id: str, alias: str) -> AddedAlias:
    try:
        return add_alias(store, connection, lead_id, alias)
    except UnknownLead:
        raise from_status(404) from None
    except AliasOfItself:
        raise InvalidFields([FieldError("alias", "must be another id than the lead's own")]) from None
    except AliasTaken:
        raise Problem(409, "This alias leads to another lead.") from None


def _added(added: AddedAlias) -> WriteResponse:
    alias = added.alias
    return WriteResponse(
        status=201 if added.new else 200,
        content=_shown(alias),
        lead_ids=(alias.lead_id, alias.alias),
        location=_aliases_of(alias.lead_id) if added.new else None,
    )


@router.get(
    f"/leads/{LEAD_ID}/aliases",
    operation_id="listLeadAliases",
    summary="The other ids of a lead",
    responses={200: {"model": page_answer(AliasAnswer)}, **refusals(401, 403, 404, 422, 503)},
)
def list_aliases(store: StoreDependency, _: Permitted, lead_id: Id, paging: Annotated[Paging, Query()]) -> JSONResponse:
    """The aliases in their order."""
    (after,) = paging.after(str) or ("",)
    with reading(store.engine) as connection:
        own = aliases.resolve(connection, lead_id)
        if own not in visible(connection, _LEADS, [own], EVER):
            raise from_status(404)
        found = aliases.of_lead(connection, own, after=str(after), limit=paging.limit + 1)
    return JSONResponse(paging.answer(_aliases_of(lead_id), found, lambda alias: (alias.alias,), _shown))


def _aliases_of(lead_id: str) -> str:
    return f"{location(_LEADS, lead_id)}/aliases"


def _shown(alias: Alias) -> dict[str, Any]:
    return {
        "alias": alias.alias,
        "lead_id": alias.lead_id,
        "merged": alias.merged,
        "recorded_at": rfc3339(alias.recorded_at),
    }
