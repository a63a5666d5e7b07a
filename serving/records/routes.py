"""Facts in, one at a time, and out again: routes for every kind of record, made from the typed contract."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi import Query as InQuery
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.convertors import Convertor, register_url_convertor
from typing_extensions import override

from features.provenance import Attribute
from features.records import KINDS, Kind, Row, Stored
from features.rows import stored as from_row
from features.value_types import Id
from serving.http.authentication import ServiceDependency, permitted
from serving.http.idempotency import AttemptDependency, Written
from serving.http.paging import PageAnswer, Paging
from serving.http.problems import MEDIA_TYPE, FieldError, from_fields, from_status
from serving.http.responses import ProblemAnswer
from serving.records import bodies as record_bodies
from serving.records import ingest as intake
from serving.records import provenance
from serving.records import versions as records
from serving.scoring import requests as schemas
from serving.scoring.routes import Body, takes
from serving.service import Service
from serving.store.database import reading

BELOW_A_LEAD = ("aliases", "score", "scores")
"""What a lead's path may go on with."""
POSTED_ELSEWHERE = frozenset({"leads"})
"""Kinds whose POST does more than take a record in."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of problems with these statuses."""
    schema = {"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}
    return {status: {"content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def location(kind: Kind, identity: str) -> str:
    """The path of a record."""
    return f"/v1/{kind.name}/{quote(identity, safe='')}"


def declared_for(service: Service, given: Iterable[Stored]) -> tuple[Attribute, ...]:
    """The attributes that imports declared, where one of these records has any."""
    if not any(record.attributes for record in given):
        return ()
    with reading(service.engine) as connection:
        return provenance.read(connection).attributes


@cache
def router() -> APIRouter:
    """The routes of all kinds. An id in a path may hold slashes, so whatever lies below a record must come before."""
    register_url_convertor("text", _AnyText())
    register_url_convertor("lead", _LeadId())
    made = APIRouter(prefix="/v1", tags=["records"])
    for kind in KINDS.values():
        _add_writes(made, _Routes(kind))
        _add_reads(made, _Routes(kind))
    return made


def bodies() -> list[type[BaseModel]]:
    """The models of bodies and problems, for OpenAPI."""
    posted = [kind for kind in KINDS.values() if kind.name not in POSTED_ELSEWHERE]
    return [
        ProblemAnswer,
        *(record_bodies.body(kind, "Put") for kind in KINDS.values()),
        *(record_bodies.body(kind, "Post") for kind in posted),
    ]


class _AnyText(Convertor[str]):
    """What a path ends with, whatever it is; Starlette's own `path` leaves out what follows a line break."""

    regex = r"[\s\S]*"

    @override
    def convert(self, value: str) -> str:
        return value

    @override
    def to_string(self, value: str) -> str:
        return value


class _LeadId(_AnyText):
    """The same, except what names something below a lead: that has methods of its own."""

    regex = rf"(?![\s\S]*/(?:{'|'.join(BELOW_A_LEAD)})\Z)[\s\S]*"


class OfLead(Paging):
    """The query of a list of facts about leads."""

    lead_id: Id | None = None


class OfAccount(Paging):
    """The query of a list of what belongs to accounts."""

    account_id: Id | None = None


def _identity(request: Request, id: Annotated[Id, Path(description="Percent-encoded: it may hold any text.")]) -> str:
    try:
        unquote_to_bytes(request.scope.get("raw_path", b"")).decode()
    except UnicodeDecodeError:
        raise from_fields([FieldError("path.id", "must be percent-encoded UTF-8")]) from None
    return id


Identity = Annotated[str, Depends(_identity)]


@dataclass(frozen=True)
class _Routes:
    """The routes of one kind."""

    kind: Kind

    def put(self, service: ServiceDependency, attempt: AttemptDependency, identity: Identity, body: Body) -> Response:
        """Makes the record say this: new (201), corrected (200) or unchanged, as no new version (200)."""
        return attempt.answer(body, lambda: self._put(service, identity, body), partial(_accepted, service))

    def _put(self, service: Service, identity: str, body: bytes) -> Stored:
        read, _ = schemas.read(record_bodies.body(self.kind, "Put"), body)
        if record_bodies.given_id(self.kind, read) not in (None, identity):
            raise from_fields([FieldError(self.kind.id if self.kind.entity else "id", "must be that of the path")])
        return _sound(service, record_bodies.stored(self.kind, read, identity))

    def post(self, service: ServiceDependency, attempt: AttemptDependency, body: Body) -> Response:
        """As PUT, with the id in the body; a fact without one gets one that is the same for the same content."""
        return attempt.answer(body, lambda: self._post(service, body), partial(_accepted, service))

    def _post(self, service: Service, body: bytes) -> Stored:
        read, _ = schemas.read(record_bodies.body(self.kind, "Post"), body)
        return _sound(service, record_bodies.stored(self.kind, read))

    def delete(self, service: ServiceDependency, attempt: AttemptDependency, identity: Identity) -> Response:
        """Removes the record from now on; scores as of earlier moments still see it."""

        def write(connection: Connection, _: None) -> Written:
            if not intake.remove(connection, self.kind, identity, service.clock()):
                raise from_status(404)
            return Written(204, b"", ())

        return attempt.answer(b"", lambda: None, write)

    def get(self, service: ServiceDependency, identity: Identity) -> JSONResponse:
        """The record as it is now."""
        with reading(service.engine) as connection:
            own = intake.own_id(connection, self.kind, identity)
            row = intake.current(connection, self.kind, [own], service.clock()).get(own)
        if row is None or row["deleted"]:
            raise from_status(404)
        return JSONResponse(record_bodies.shown(from_row(self.kind, row)))

    def all(self, service: ServiceDependency, paging: Annotated[Paging, InQuery()]) -> JSONResponse:
        """The records as they are now, by id."""
        return self._page(service, paging, {})

    def of_lead(self, service: ServiceDependency, paging: Annotated[OfLead, InQuery()]) -> JSONResponse:
        """The records as they are now, by id; of one lead, if you like."""
        return self._page(service, paging, {"lead_id": paging.lead_id})

    def of_account(self, service: ServiceDependency, paging: Annotated[OfAccount, InQuery()]) -> JSONResponse:
        """The records as they are now, by id; of one account, if you like."""
        return self._page(service, paging, {"account_id": paging.account_id})

    def _page(self, service: Service, paging: Paging, where: dict[str, str | None]) -> JSONResponse:
        (after,) = paging.after(str) or ("",)
        with reading(service.engine) as connection:
            found = records.page(
                connection,
                self.kind,
                as_of=service.clock() + intake.CLOCKS_DIFFER,
                after=str(after),
                limit=paging.limit + 1,
                where={column: value for column, value in where.items() if value is not None},
            )
        return JSONResponse(paging.answer(f"/v1/{self.kind.name}", found, self._key, self._shown))

    def _key(self, row: Row) -> tuple[str]:
        return (str(row[self.kind.id]),)

    def _shown(self, row: Row) -> dict[str, Any]:
        return record_bodies.shown(from_row(self.kind, row))


def _sound(service: Service, record: Stored) -> Stored:
    if faults := record_bodies.faults(record, service.clock(), declared_for(service, [record])):
        raise from_fields(faults)
    return record


def _accepted(service: Service, connection: Connection, record: Stored) -> Written:
    [accepted] = intake.accept(connection, [record], service.clock())
    kept = accepted.stored
    new = accepted.outcome == "new"
    where = location(kept.kind, kept.id) if new else None
    return Written(201 if new else 200, record_bodies.shown(kept), {intake.lead_named(kept)} - {""}, where)


def _one(kind: Kind) -> str:
    return f"/{kind.name}/{{id:{'lead' if kind.name == 'leads' else 'text'}}}"


def _add_writes(made: APIRouter, routes: _Routes) -> None:
    kind, path = routes.kind, f"/{routes.kind.name}"
    name, model = kind.name, record_bodies.answer(kind)
    done: dict[int | str, dict[str, Any]] = {200: {"model": model}, 201: {"model": model, "headers": _LOCATION}}
    taken = done | refusals(400, 401, 403, 409, 413, 422, 503)
    made.add_api_route(
        _one(kind),
        routes.put,
        methods=["PUT"],
        operation_id=f"put_{name}",
        summary=f"Keep or correct one of {name}",
        responses=taken,
        dependencies=[Depends(permitted)],
        openapi_extra=takes(record_bodies.body(kind, "Put").__name__),
    )
    made.add_api_route(
        _one(kind),
        routes.delete,
        methods=["DELETE"],
        operation_id=f"delete_{name}",
        summary=f"Remove one of {name}",
        status_code=204,
        responses=refusals(400, 401, 403, 404, 409, 422, 503),
        dependencies=[Depends(permitted)],
    )
    if name in POSTED_ELSEWHERE:
        return
    made.add_api_route(
        path,
        routes.post,
        methods=["POST"],
        operation_id=f"post_{name}",
        summary=f"Keep or correct one of {name}, the id in the body",
        responses=taken,
        dependencies=[Depends(permitted)],
        openapi_extra=takes(record_bodies.body(kind, "Post").__name__),
    )


def _add_reads(made: APIRouter, routes: _Routes) -> None:
    kind = routes.kind
    belongs = "account_id" if kind.name == "leads" else kind.parent
    every: Any = {None: routes.all, "lead_id": routes.of_lead, "account_id": routes.of_account}[belongs]
    model: Any = record_bodies.answer(kind)
    for path, endpoint, answer, name, summary, statuses in (
        (_one(kind), routes.get, model, "get", f"One of {kind.name}", (401, 403, 404, 422, 503)),
        (f"/{kind.name}", every, PageAnswer[model], "list", f"All {kind.name}", (401, 403, 422, 503)),
    ):
        made.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            operation_id=f"{name}_{kind.name}",
            summary=summary,
            responses={200: {"model": answer}, **refusals(*statuses)},
            dependencies=[Depends(permitted)],
        )


_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "The path of the record."}}
