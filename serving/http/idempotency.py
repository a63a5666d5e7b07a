"""Requests that write: once for an Idempotency-Key however often they are sent, and without effect as a dry run.

After the IETF's draft of the Idempotency-Key header field, and Stripe's practice. The store keeps the answer to a
request that was carried out, in one transaction with what the request wrote. A refused or failed request wrote nothing,
so nothing is kept, and its repetition is tried again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from serving.http.authentication import presented_key
from serving.http.dependencies import StoreDependency
from serving.http.problems import Problem
from serving.identity import digest
from serving.store import idempotency
from serving.store.canonical_json import as_json
from serving.store.database import reading
from serving.store.idempotency import KeptAnswer
from serving.store.store import Store

KEY = "Idempotency-Key"
DRY_RUN = "Eql-Dry-Run"
MAX_KEY = 255
"""Characters of a key."""

_BARE = re.compile(r"[!#-+\--\[\]-~]+")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_PATTERN = r'^([!#-+\--\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$'
_LOCK_NOT_AVAILABLE = "55P03"
_Prepared = TypeVar("_Prepared")
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class WriteResponse:
    """The answer to a request that writes.

    Attributes:
        status: the HTTP status.
        content: the answer as JSON types; or the answer itself, empty where it has no content.
        lead_ids: the leads that the answer is about; erasing one of them erases the kept answer.
        location: the path of what was created.
        media_type: the content type.
    """

    status: int
    content: Mapping[str, Any] | bytes
    lead_ids: Collection[str]
    location: str | None = None
    media_type: str = "application/json"

    def kept(self, fingerprint: str) -> KeptAnswer:
        """The answer as the store keeps it, for a body with this fingerprint."""
        body = self.content if isinstance(self.content, bytes) else as_json(self.content)
        return KeptAnswer(
            fingerprint=fingerprint,
            status=self.status,
            location=self.location,
            media_type=self.media_type,
            body=body,
        )


def _no_report(_: Any) -> None:
    """Reports nothing."""


@dataclass(frozen=True, kw_only=True)
class WriteRequest(Generic[_Prepared, _Result]):
    """A request that writes, in its steps.

    Attributes:
        prepare: reads and checks the request before any write transaction; raises a `Problem` to refuse it.
        commit: writes inside the transaction; what it raises undoes the transaction.
        respond: turns the result into the answer.
        report: runs once the transaction is on the disk, for example to count; by default nothing does.
        shared: whether the transaction may hold the writes of other requests, too. `commit` must then read nothing
            that they write.
    """

    prepare: Callable[[], _Prepared]
    commit: Callable[[Connection, _Prepared], _Result]
    respond: Callable[[_Result], WriteResponse]
    report: Callable[[_Result], None] = _no_report
    shared: bool = False


@dataclass(frozen=True)
class WriteAttempt:
    """One attempt at a request that writes.

    Attributes:
        store: the store that is written to.
        scope: what the key belongs to: API key, method and path.
        key: the Idempotency-Key; None without one.
        dry_run: whether the transaction is rolled back.
    """

    store: Store
    scope: tuple[str, str, str]
    key: str | None
    dry_run: bool

    def answer(self, body: bytes, request: WriteRequest[_Prepared, _Result]) -> Response:
        """Carries out the request, or repeats the answer to its first attempt.

        Raises:
            Problem: 422, the key came with another body; 409, another attempt is running; or whatever the request's
                steps raise, and then nothing was written.
        """
        if self.dry_run:
            return self._rehearse(request)
        if self.key is not None:
            name = hashlib.sha256(json.dumps([*self.scope, self.key]).encode()).hexdigest()
            return self._once(name, hashlib.sha256(body).hexdigest(), request)
        prepared = request.prepare()
        if request.shared:
            result = self.store.group_commit.write(lambda connection: request.commit(connection, prepared))
        else:
            with self.store.engine.begin() as connection:
                result = request.commit(connection, prepared)
        request.report(result)
        return _response(request.respond(result).kept(""))

    def _rehearse(self, request: WriteRequest[_Prepared, _Result]) -> Response:
        prepared = request.prepare()
        with self.store.engine.connect() as connection, connection.begin() as transaction:
            response = request.respond(request.commit(connection, prepared))
            transaction.rollback()
        content = response.content if isinstance(response.content, bytes) else {**response.content, "dry_run": True}
        # The rollback removed what the location would lead to.
        return _response(replace(response, content=content, location=None).kept(""), {DRY_RUN: "true"})

    def _once(self, name: str, fingerprint: str, request: WriteRequest[_Prepared, _Result]) -> Response:
        with reading(self.store.engine) as connection:
            first = idempotency.find(connection, name)
        if first is not None:
            return _replayed(first, fingerprint)
        prepared = request.prepare()
        with self.store.engine.begin() as connection:
            if not self._claimed(connection, name, fingerprint):
                return _replayed(idempotency.find(connection, name), fingerprint)
            result = request.commit(connection, prepared)
            response = request.respond(result)
            kept = response.kept(fingerprint)
            idempotency.keep(connection, name, kept, response.lead_ids)
        request.report(result)
        return _response(kept)

    def _claimed(self, connection: Connection, name: str, fingerprint: str) -> bool:
        try:
            return idempotency.claim(connection, name, fingerprint, self.store.clock())
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise _attempt_running() from None
            raise


async def _attempt(
    request: Request,
    store: StoreDependency,
    key: Annotated[
        str | None,
        Header(
            alias=KEY,
            description=f"Names the request: up to {MAX_KEY} characters, bare or in double quotes.",
            json_schema_extra={"pattern": _PATTERN},
        ),
    ] = None,
    dry_run: Annotated[
        Literal["true", "false"] | None,
        Header(alias=DRY_RUN, description="`true`: answer as usual, and store nothing."),
    ] = None,
) -> WriteAttempt:
    given = request.headers.getlist(KEY)
    named = None if key is None else parse_key(", ".join(given))
    scope = (digest(presented_key(request.headers) or ""), request.method, request.url.path)
    return WriteAttempt(store, scope, named, dry_run == "true")


AttemptDependency = Annotated[WriteAttempt, Depends(_attempt)]


def parse_key(text: str) -> str:
    """The key in a header: a string of RFC 9651 in double quotes, or the same characters bare.

    Raises:
        Problem: 400, the header holds no such key.
    """
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 0 < len(key) <= MAX_KEY:
        raise Problem(400, f"{KEY} must be 1 to {MAX_KEY} ASCII characters, bare without spaces or in double quotes.")
    return key


def _replayed(first: KeptAnswer | None, fingerprint: str) -> Response:
    if first is None:
        raise _attempt_running()
    if first.fingerprint != fingerprint:
        raise Problem(422, f"{KEY} was used for another body; a new request needs a new key.")
    return _response(first, {"Idempotency-Replayed": "true"})


def _attempt_running() -> Problem:
    detail = "An earlier attempt with this Idempotency-Key is running; send the request again to get its answer."
    return Problem(409, detail, headers={"Retry-After": "1"})


def _response(kept: KeptAnswer, headers: Mapping[str, str] | None = None) -> Response:
    location = {} if kept.location is None else {"Location": kept.location}
    # An answer without content (204) has no content type either.
    return Response(kept.body, kept.status, {**location, **(headers or {})}, kept.media_type if kept.body else None)
