"""The routes of single records: written, read and removed, for every kind of the typed contract."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi import Query as InQuery
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, Select

from features.provenance import Attribute
from features.records import KINDS, Kind, Row, Stored, constraint
from features.rows import stored as from_row
from features.value_types import Email, Id, KeptId
from models.policy import Qualification
from serving.decisions import current_scores
from serving.http.authentication import permitted
from serving.http.bodies import Body, json_body
from serving.http.bodies import read as read_body
from serving.http.dependencies import StoreDependency
from serving.http.idempotency import AttemptDependency, WriteAttempt, WriteRequest, WriteResponse
from serving.http.openapi import RequestBody
from serving.http.paging import Paging, page_answer
from serving.http.path_ids import record_id
from serving.http.problems import from_status
from serving.http.responses import ProblemAnswer, refusals
from serving.records import bodies as record_bodies
from serving.records import emails, ingest, provenance, versions
from serving.store.database import reading
from serving.store.store import Store
from serving.validation import FieldError, InvalidFields

POSTED_ELSEWHERE = frozenset({"leads"})
"""Kinds whose POST belongs to another subject."""


def location(kind: Kind, identity: str) -> str:
    """The path of a record."""
    return f"/v1/{kind.name}/{quote(identity, safe='')}"


def declared_for(store: Store, given: Iterable[Stored]) -> tuple[Attribute, ...]:
    """The attributes that imports declared, where one of these records has any."""
    if not any(record.attributes for record in given):
        return ()
    with reading(store.engine) as connection:
        return provenance.read(connection).attributes


@cache
def router() -> APIRouter:
    """The routes of all kinds. An id in a path may hold slashes, so routes below a record must be included before
    these.
    """
    made = APIRouter(prefix="/v1", tags=["records"])
    for kind in KINDS.values():
        _add_writes(made, _Routes(kind))
        _add_reads(made, _Routes(kind))
    return made


BODIES = (
    RequestBody(ProblemAnswer),
    *(RequestBody(record_bodies.body(kind, "Put")) for kind in KINDS.values()),
    *(RequestBody(record_bodies.body(kind, "Post")) for kind in KINDS.values() if kind.name not in POSTED_ELSEWHERE),
)
"""The models of records, and of the problems that refuse them."""


class LeadsPaging(Paging):
    """The query of the list of leads; a lead fits all filters that are given."""

    account_id: Id | None = None
    """Only the leads of this account."""
    email: Email | None = None
    """Only leads with this e-mail address."""
    partner_id: Id | None = None
    """Only leads that this partner is the source of."""
    qualification: Qualification | None = None
    """Only open leads whose current score has this qualification."""


class LeadPaging(Paging):
    """The query of a list of facts about leads."""

    lead_id: Id | None = None
    """Only the records of this lead."""


class AccountPaging(Paging):
    """The query of a list of records of accounts."""

    account_id: Id | None = None
    """Only the records of this account."""


def _identity(request: Request, id: Annotated[KeptId, Path(description="The record's id, percent-encoded.")]) -> str:
    try:
        unquote_to_bytes(request.scope.get("raw_path", b"")).decode()
    except UnicodeDecodeError:
        raise InvalidFields([FieldError("path.id", "must be percent-encoded UTF-8")]) from None
    return id


def _new_identity(identity: Annotated[str, Depends(_identity)]) -> str:
    try:
        return _ID.validate_python(identity)
    except ValidationError as error:
        raise InvalidFields([FieldError("path.id", constraint(error.errors()[0]))]) from None


_ID: TypeAdapter[str] = TypeAdapter(Id)
Identity = Annotated[str, Depends(_identity)]
NewIdentity = Annotated[str, Depends(_new_identity)]
"""An id that a record may get; records that were kept before may have others."""


@dataclass(frozen=True)
class _Routes:
    """The routes of one kind."""

    kind: Kind

    def put(self, store: StoreDependency, attempt: AttemptDependency, identity: NewIdentity, body: Body) -> Response:
        """Writes the record: a new record (201), a correction (200), or no new version where it is unchanged (200)."""
        return _write(store, attempt, body, lambda: self._put(store, identity, body))

    def _put(self, store: Store, identity: str, body: bytes) -> Stored:
        read, _ = read_body(record_bodies.body(self.kind, "Put"), body)
        if record_bodies.given_id(self.kind, read) not in (None, identity):
            field = self.kind.id if self.kind.entity else "id"
            raise InvalidFields([FieldError(field, "must be that of the path")])
        return _checked(store, record_bodies.stored(self.kind, read, identity))

    def post(self, store: StoreDependency, attempt: AttemptDependency, body: Body) -> Response:
        """Like PUT, with the id in the body. A fact without an id gets an id derived from its content."""
        return _write(store, attempt, body, lambda: self._post(store, body))

    def _post(self, store: Store, body: bytes) -> Stored:
        read, _ = read_body(record_bodies.body(self.kind, "Post"), body)
        return _checked(store, record_bodies.stored(self.kind, read))

    def delete(self, store: StoreDependency, attempt: AttemptDependency, identity: Identity) -> Response:
        """Removes the record from now on. Scores for earlier moments still use it."""

        def commit(connection: Connection, _: None) -> None:
            if not ingest.remove(connection, self.kind, identity, store.clock()):
                raise from_status(404)

        def respond(_: None) -> WriteResponse:
            return WriteResponse(status=204, content=b"", lead_ids=())

        return attempt.answer(b"", WriteRequest(prepare=lambda: None, commit=commit, respond=respond))

    def get(self, store: StoreDependency, identity: Identity) -> JSONResponse:
        """The current version of the record."""
        with reading(store.engine) as connection:
            own = ingest.own_id(connection, self.kind, identity)
            row = ingest.valid_versions(connection, self.kind, [own], store.clock()).get(own)
        if row is None or row["deleted"]:
            raise from_status(404)
        return JSONResponse(record_bodies.to_dict(from_row(self.kind, row, kept=True)))

    def all(self, store: StoreDependency, paging: Annotated[Paging, InQuery()]) -> JSONResponse:
        """The current records, in the order of their ids."""
        return self._page(store, paging, {})

    def of_lead(self, store: StoreDependency, paging: Annotated[LeadPaging, InQuery()]) -> JSONResponse:
        """The current records, in the order of their ids; with `lead_id` only those of one lead."""
        return self._page(store, paging, {"lead_id": paging.lead_id})

    def of_account(self, store: StoreDependency, paging: Annotated[AccountPaging, InQuery()]) -> JSONResponse:
        """The current records, in the order of their ids; with `account_id` only those of one account."""
        return self._page(store, paging, {"account_id": paging.account_id})

    def leads(self, store: StoreDependency, paging: Annotated[LeadsPaging, InQuery()]) -> JSONResponse:
        """The current leads, in the order of their ids.

        The filters are `account_id`, `email`, `partner_id` and `qualification`.
        """
        where = {"account_id": paging.account_id, "source_partner_id": paging.partner_id, "email": paging.email}
        among = [emails.having(paging.email)] if paging.email is not None else []
        if paging.qualification is not None:
            among.append(current_scores.qualified(paging.qualification))
        return self._page(store, paging, where, among)

    def _page(
        self, store: Store, paging: Paging, where: dict[str, str | None], among: Sequence[Select[Any]] = ()
    ) -> JSONResponse:
        (after,) = paging.after(str) or ("",)
        with reading(store.engine) as connection:
            rows = versions.page(
                connection,
                self.kind,
                as_of=store.clock() + ingest.CLOCKS_DIFFER,
                after=str(after),
                limit=paging.limit + 1,
                where={column: value for column, value in where.items() if value is not None},
                among=among,
            )
        return JSONResponse(paging.answer(f"/v1/{self.kind.name}", rows, self._key, self._to_dict))

    def _key(self, row: Row) -> tuple[str]:
        return (str(row[self.kind.id]),)

    def _to_dict(self, row: Row) -> dict[str, Any]:
        return record_bodies.to_dict(from_row(self.kind, row, kept=True))


def _checked(store: Store, record: Stored) -> Stored:
    if errors := record_bodies.record_errors(record, store.clock(), declared_for(store, [record])):
        raise InvalidFields(errors)
    return record


def _write(store: Store, attempt: WriteAttempt, body: bytes, prepare: Callable[[], Stored]) -> Response:
    def commit(connection: Connection, record: Stored) -> ingest.Ingested:
        [ingested] = ingest.ingest(connection, [record], store.clock(), store.tokens)
        return ingested

    return attempt.answer(body, WriteRequest(prepare=prepare, commit=commit, respond=_written))


def _written(ingested: ingest.Ingested) -> WriteResponse:
    record, new = ingested.stored, ingested.outcome == "new"
    return WriteResponse(
        status=201 if new else 200,
        content=record_bodies.to_dict(record),
        lead_ids={ingest.lead_named(record)} - {""},
        location=location(record.kind, record.id) if new else None,
    )


def _record_path(kind: Kind) -> str:
    return f"/{kind.name}/{record_id(kind.name)}"


def _add_writes(made: APIRouter, routes: _Routes) -> None:
    kind, path = routes.kind, f"/{routes.kind.name}"
    name, model = kind.name, record_bodies.answer(kind)
    written: dict[int | str, dict[str, Any]] = {200: {"model": model}, 201: {"model": model, "headers": _LOCATION}}
    responses = written | refusals(400, 401, 403, 409, 413, 422, 503)
    made.add_api_route(
        _record_path(kind),
        routes.put,
        methods=["PUT"],
        operation_id=f"put{kind.model.__name__}",
        summary=f"Keep or correct one of {name}",
        responses=responses,
        dependencies=[Depends(permitted)],
        openapi_extra=json_body(record_bodies.body(kind, "Put")),
    )
    made.add_api_route(
        _record_path(kind),
        routes.delete,
        methods=["DELETE"],
        operation_id=f"delete{kind.model.__name__}",
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
        operation_id=f"create{kind.model.__name__}",
        summary=f"Keep or correct one of {name}, the id in the body",
        responses=responses,
        dependencies=[Depends(permitted)],
        openapi_extra=json_body(record_bodies.body(kind, "Post")),
    )


def _add_reads(made: APIRouter, routes: _Routes) -> None:
    kind = routes.kind
    by_parent = {None: routes.all, "lead_id": routes.of_lead, "account_id": routes.of_account}
    every: Any = routes.leads if kind.name == "leads" else by_parent[kind.parent]
    model: Any = record_bodies.answer(kind)
    one, several = kind.model.__name__, kind.name.title().replace("_", "")
    for path, endpoint, answer, name, summary, statuses in (
        (_record_path(kind), routes.get, model, f"get{one}", f"One of {kind.name}", (401, 403, 404, 422, 503)),
        (f"/{kind.name}", every, page_answer(model), f"list{several}", f"All {kind.name}", (401, 403, 422, 503)),
    ):
        made.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            operation_id=name,
            summary=summary,
            responses={200: {"model": answer}, **refusals(*statuses)},
            dependencies=[Depends(permitted)],
        )


_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "The path of the record."}}
