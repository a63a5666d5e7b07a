"""Requests that write: once for an Idempotency-Key however often they are sent, and not at all as a dry run.

After the IETF's draft of the Idempotency-Key header field, and Stripe's practice. What is kept is the answer to a
request that was carried out, in one transaction with what it wrote. A refusal or a fault wrote nothing, so there is
nothing to keep: the repetition is tried anew.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from serving.http.authentication import ServiceDependency, presented_key
from serving.http.problems import Problem
from serving.identity import digest
from serving.scoring.decide import Made, tell
from serving.service import Service
from serving.store import idempotency
from serving.store.canonical_json import as_json
from serving.store.database import reading
from serving.store.idempotency import Kept

KEY = "Idempotency-Key"
DRY_RUN = "Eql-Dry-Run"
MAX_KEY = 255
"""Characters of a key."""

_BARE = re.compile(r"[!#-+\--\[\]-~]+")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_LOOKS = r'^([!#-+\--\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$'
_LOCK_NOT_AVAILABLE = "55P03"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Written:
    """What a request came to.

    Attributes:
        status: of HTTP.
        content: of the answer, JSON types; or the answer itself, empty where there is none.
        lead_ids: the leads it tells of, with whose erasure it goes.
        location: where what was made can be found.
        media_type: of the answer.
        made: decisions that are kept with it.
    """

    status: int
    content: Mapping[str, Any] | bytes
    lead_ids: Collection[str]
    location: str | None = None
    media_type: str = "application/json"
    made: Sequence[Made] = ()


@dataclass(frozen=True)
class Attempt:
    """One attempt at a request that writes.

    Attributes:
        service: the running service.
        scope: what the key belongs to: API key, method and path.
        key: the Idempotency-Key, None without one.
        dry_run: whether everything happens except that it is kept.
    """

    service: Service
    scope: tuple[str, str, str]
    key: str | None
    dry_run: bool

    def answer(
        self, body: bytes, read: Callable[[], _T], write: Callable[[Connection, _T], Written], *, shared: bool = False
    ) -> Response:
        """The answer: that of the first attempt, or what `write` makes in one transaction of what `read` gives.

        Where it is `shared`, and there is no key to be kept with it, other requests may be written in it too.

        Raises:
            Problem: 422, the key came with another body; 409, another attempt is under way; or whatever `read` and
                `write` raise, and then nothing was written.
        """
        if self.dry_run:
            return self._rehearse(read(), write)
        if self.key is None:
            request = read()
            if shared:
                written = self.service.group_commit.write(lambda connection: write(connection, request))
            else:
                with self.service.engine.begin() as connection:
                    written = write(connection, request)
            tell(self.service, written.made)
            return _response(_kept(written, ""))
        name = hashlib.sha256(json.dumps([*self.scope, self.key]).encode()).hexdigest()
        return self._once(name, hashlib.sha256(body).hexdigest(), read, write)

    def _rehearse(self, request: _T, write: Callable[[Connection, _T], Written]) -> Response:
        with self.service.engine.connect() as connection, connection.begin() as transaction:
            written = write(connection, request)
            transaction.rollback()
        # Nothing is there to be found.
        rehearsed = replace(written, content=_marked(written.content), location=None)
        return _response(_kept(rehearsed, ""), {DRY_RUN: "true"})

    def _once(
        self, name: str, fingerprint: str, read: Callable[[], _T], write: Callable[[Connection, _T], Written]
    ) -> Response:
        with reading(self.service.engine) as connection:
            first = idempotency.find(connection, name)
        if first is not None:
            return _replayed(first, fingerprint)
        request = read()
        with self.service.engine.begin() as connection:
            if not self._claimed(connection, name, fingerprint):
                return _replayed(idempotency.find(connection, name), fingerprint)
            written = write(connection, request)
            kept = _kept(written, fingerprint)
            idempotency.keep(connection, name, kept, written.lead_ids)
        tell(self.service, written.made)
        return _response(kept)

    def _claimed(self, connection: Connection, name: str, fingerprint: str) -> bool:
        try:
            return idempotency.claim(connection, name, fingerprint, self.service.clock())
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise _under_way() from None
            raise


async def _attempt(
    request: Request,
    service: ServiceDependency,
    key: Annotated[
        str | None,
        Header(
            alias=KEY,
            description=f"Names the request: up to {MAX_KEY} characters, bare or in double quotes.",
            json_schema_extra={"pattern": _LOOKS},
        ),
    ] = None,
    dry_run: Annotated[
        Literal["true", "false"] | None,
        Header(alias=DRY_RUN, description="`true`: answer as ever, and keep nothing."),
    ] = None,
) -> Attempt:
    given = request.headers.getlist(KEY)
    named = None if key is None else parse_key(", ".join(given))
    scope = (digest(presented_key(request.headers) or ""), request.method, request.url.path)
    return Attempt(service, scope, named, dry_run == "true")


AttemptDependency = Annotated[Attempt, Depends(_attempt)]


def parse_key(text: str) -> str:
    """The key that a header names: a string of RFC 9651 in double quotes, or the same characters bare.

    Raises:
        Problem: 400, it names none.
    """
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 0 < len(key) <= MAX_KEY:
        raise Problem(400, f"{KEY} must be 1 to {MAX_KEY} ASCII characters, bare without spaces or in double quotes.")
    return key


def _marked(content: Mapping[str, Any] | bytes) -> Mapping[str, Any] | bytes:
    return content if isinstance(content, bytes) else {**content, "dry_run": True}


def _kept(written: Written, fingerprint: str) -> Kept:
    body = written.content
    if not isinstance(body, bytes):
        body = as_json(body)
    return Kept(fingerprint, written.status, written.location, written.media_type, body)


def _replayed(first: Kept | None, fingerprint: str) -> Response:
    if first is None:
        raise _under_way()
    if first.fingerprint != fingerprint:
        raise Problem(422, f"{KEY} was used for another body; a new request needs a new key.")
    return _response(first, {"Idempotency-Replayed": "true"})


def _under_way() -> Problem:
    detail = "An earlier attempt with this Idempotency-Key is under way; try again to learn what it came to."
    return Problem(409, detail, headers={"Retry-After": "1"})


def _response(kept: Kept, headers: Mapping[str, str] | None = None) -> Response:
    location = {} if kept.location is None else {"Location": kept.location}
    # What has no content (204) has no type of content either.
    return Response(kept.body, kept.status, {**location, **(headers or {})}, kept.media_type if kept.body else None)
