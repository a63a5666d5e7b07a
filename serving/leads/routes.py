"""Leads that come in, once each, and the ids they are known by."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from features.records import KINDS
from features.value_types import Id, rfc3339
from operations.mandatory import missing_at_intake
from serving.http.authentication import Permitted, ServiceDependency
from serving.http.idempotency import AttemptDependency, Written
from serving.http.paging import PageAnswer, Paging
from serving.http.problems import FieldError, Problem, from_fields, from_status
from serving.http.responses import AliasAnswer, LeadAnswer, NewAliasAnswer, SubmissionAnswer
from serving.identity import Principal
from serving.leads.merge import AliasOfItself, AliasTaken, Named, UnknownLead, also_known_as
from serving.leads.submission import Taken, take
from serving.records import aliases, provenance
from serving.records.aliases import Alias
from serving.records.bodies import untimely
from serving.records.routes import location, refusals
from serving.records.visible import EVER, latest
from serving.scoring import requests as schemas
from serving.scoring.requests import AliasRequest, LeadRequest
from serving.scoring.routes import Body, takes
from serving.service import Service
from serving.store.database import reading

router = APIRouter(prefix="/v1", tags=["leads"])

_LEADS = KINDS["leads"]

_NOT_A_PARTNERS = ("partners", "integration_usage", "shared_customers", "touchpoints", "buying_signals")
"""What a partner may not tell of a lead: it would speak for us, or for itself where others must."""


def _answers(model: Any, there: str, new: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, "description": there}, 201: {"model": model, "description": new}}


@router.post(
    "/leads",
    operation_id="createLead",
    summary="Take in a lead with its facts, once, and decide on it",
    status_code=201,
    responses={
        **_answers(LeadAnswer | SubmissionAnswer, "The lead is there already", "A new lead"),
        **refusals(400, 401, 403, 409, 413, 422, 503),
    },
    openapi_extra=takes("LeadRequest"),
)
def create(service: ServiceDependency, caller: Permitted, attempt: AttemptDependency, body: Body) -> Response:
    """The lead's id and the decision; a partner learns the qualification alone, and of others' leads nothing."""
    scorer = service.champion.scorer()

    def write(connection: Connection, request: LeadRequest) -> Written:
        taken = take(service, scorer, connection, request, caller.partner_id)
        return _taken(taken, request.lead.lead_id, caller)

    return attempt.answer(body, lambda: _read(service, caller, body), write)


def _read(service: Service, caller: Principal, body: bytes) -> LeadRequest:
    request, _ = schemas.read(LeadRequest, body)
    schemas.check_unrecorded(request)
    _check_moments(request, service.clock())
    with reading(service.engine) as connection:
        declared = provenance.read(connection).attributes
    schemas.check_attributes(request, declared)
    if caller.partner_id is not None:
        _check_partners(request, caller.partner_id)
    _check_mandatory(request)
    return request


def _check_moments(request: LeadRequest, now: int) -> None:
    faults = [
        FieldError(f"{path}.{fault.field}", fault.constraint)
        for path, kind, record in schemas.sent_records(request)
        for fault in untimely(kind, record, now)
    ]
    if faults:
        raise from_fields(faults)


def _check_mandatory(request: LeadRequest) -> None:
    lead = _LEADS.row(request.lead)
    touched = any(touchpoint.partner_id is not None for touchpoint in request.touchpoints or ())
    missing = missing_at_intake(lead, referred=bool(request.referrals), touched=touched)
    if missing:
        raise from_fields([FieldError(f"lead.{name}", "is required of a lead from a partner") for name in missing])


def _check_partners(request: LeadRequest, partner_id: str) -> None:
    """A partner sends leads of its own, and speaks for itself alone."""
    faults = [FieldError(name, "is not a partner's to tell") for name in _NOT_A_PARTNERS if getattr(request, name)]
    own = "must be the id of the partner whose key this is"
    faults += [FieldError(path, own) for path, named in _named(request) if named != partner_id]
    faults += [
        FieldError(f"confirmations.{place}.side", "must be partner")
        for place, confirmation in enumerate(request.confirmations or ())
        if confirmation.side != "partner"
    ]
    if faults:
        raise Problem(403, "A partner may send its own leads only, and speak for itself alone.", faults)


def _named(request: LeadRequest) -> Iterator[tuple[str, str | None]]:
    yield "lead.source_partner_id", request.lead.source_partner_id
    for name in ("referrals", "confirmations"):
        for place, record in enumerate(getattr(request, name) or ()):
            yield f"{name}.{place}.partner_id", record.partner_id


def _taken(taken: Taken, sent_as: str, caller: Principal) -> Written:
    content: dict[str, Any] = {"lead_id": taken.lead_id, "duplicate": taken.duplicate}
    if caller.partner_id is None:
        content |= {"decision": taken.decision, "assignment": None}
    else:
        decision = taken.decision or {}
        content |= {name: decision.get(name) for name in ("qualification", "pending")}
    leads = [lead_id for lead_id in (sent_as, taken.lead_id) if lead_id is not None]
    if taken.duplicate:
        return Written(200, content, leads, made=taken.made)
    return Written(201, content, leads, location(_LEADS, content["lead_id"]), made=taken.made)


@router.post(
    "/leads/{lead_id:path}/aliases",
    operation_id="addLeadAlias",
    summary="Make another id known for a lead; a lead of that id is merged into it",
    status_code=201,
    responses={
        **_answers(NewAliasAnswer, "The lead had this alias already", "A new alias"),
        **refusals(400, 401, 403, 404, 409, 413, 422, 503),
    },
    openapi_extra=takes("AliasRequest"),
)
def add_alias(
    service: ServiceDependency, _: Permitted, attempt: AttemptDependency, lead_id: Id, body: Body
) -> Response:
    """The alias, and whether it was a lead of its own, whose facts are now the other's."""

    def write(connection: Connection, request: AliasRequest) -> Written:
        named = _also_known_as(service, connection, lead_id, request.alias)
        told = (named.alias.lead_id, named.alias.alias)
        if not named.new:
            return Written(200, _shown(named.alias), told)
        return Written(201, _shown(named.alias), told, _aliases_of(named.alias.lead_id))

    return attempt.answer(body, lambda: schemas.read(AliasRequest, body)[0], write)


def _also_known_as(service: Service, connection: Connection, lead_id: str, alias: str) -> Named:
    try:
        return also_known_as(service, connection, lead_id, alias)
    except UnknownLead:
        raise from_status(404) from None
    except AliasOfItself:
        raise from_fields([FieldError("alias", "must be another id than the lead's own")]) from None
    except AliasTaken:
        raise Problem(409, "This alias leads to another lead.") from None


@router.get(
    "/leads/{lead_id:path}/aliases",
    operation_id="listLeadAliases",
    summary="The other ids of a lead",
    responses={200: {"model": PageAnswer[AliasAnswer]}, **refusals(401, 403, 404, 422, 503)},
)
def list_aliases(
    service: ServiceDependency, _: Permitted, lead_id: Id, paging: Annotated[Paging, Query()]
) -> JSONResponse:
    """The aliases in their order."""
    (after,) = paging.after(str) or ("",)
    with reading(service.engine) as connection:
        own = aliases.resolve(connection, lead_id)
        if own not in latest(connection, _LEADS, [own], EVER):
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
