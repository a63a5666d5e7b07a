"""The routes of API keys, for admins: keys are created, listed and revoked. Only the creation answers with the key."""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from features.value_types import Id, rfc3339
from serving.access import keys
from serving.access.keys import Key
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.dependencies import StoreDependency
from serving.http.openapi import RequestBody
from serving.http.paging import Paging, page_answer
from serving.http.problems import from_status
from serving.http.responses import REFUSALS, Answer, refusals
from serving.identity import InvalidRole, Role, check_role
from serving.store.database import reading
from serving.validation import FieldError, InvalidFields

_LOG = logging.getLogger(__name__)
_MAX_ID = 2**63 - 1
router = APIRouter(prefix="/v1/keys", tags=["keys"])

KeyId = Annotated[int, Path(description="The id of the key.", ge=1, le=_MAX_ID)]


class KeyRequest(BaseModel):
    """A new key: the role of its holder and, for the role partner, the partner's id."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    role: Role
    """What the caller may do."""
    partner_id: Id | None = None
    """The partner whose records the caller sees; for the role partner alone."""


class KeyAnswer(Answer):
    """An API key without its secret part; `prefix` is the part of the key that may be shown."""

    id: int
    """The id of the key."""
    prefix: str
    """The visible beginning of the key."""
    role: Role
    """What the caller may do."""
    partner_id: str | None
    """The partner whose records the caller sees; for the role partner alone."""
    created_at: str
    """When the key was created."""
    revoked_at: str | None
    """When the key was revoked."""


class NewKeyAnswer(KeyAnswer):
    """A new API key. No later answer has the key."""

    key: str
    """The whole key; it is shown once."""


BODIES = (RequestBody(KeyRequest, {"role": "partner", "partner_id": "P-1"}),)


@router.post(
    "",
    status_code=201,
    operation_id="createKey",
    summary="Create an API key; only this answer has it",
    responses={201: {"model": NewKeyAnswer}, **REFUSALS},
    openapi_extra=json_body(KeyRequest),
)
def create(store: StoreDependency, caller: Permitted, body: Body) -> JSONResponse:
    """The new key, which is valid at once."""
    wanted, _ = read(KeyRequest, body)
    try:
        check_role(wanted.role, wanted.partner_id)
    except InvalidRole:
        raise InvalidFields(
            [FieldError("partner_id", "must be given for the role partner, and for no other role")]
        ) from None
    with store.engine.begin() as connection:
        key = keys.create(connection, wanted.role, wanted.partner_id, at=store.clock(), tokens=store.tokens)
        created = keys.get_by_secret(connection, key)
    _LOG.info("key %d (%s, %s) was created by %s", created.id, created.prefix, created.role, caller.name)
    headers = {"Location": f"/v1/keys/{created.id}", "Cache-Control": "no-store"}
    return JSONResponse({**_to_dict(created), "key": key}, 201, headers)


@router.get(
    "", operation_id="listKeys", summary="The API keys", responses={200: {"model": page_answer(KeyAnswer)}, **REFUSALS}
)
def listed(store: StoreDependency, _: Permitted, page: Annotated[Paging, Query()]) -> JSONResponse:
    """A page of keys, with the revoked ones."""
    (after,) = page.after(int) or (0,)
    with reading(store.engine) as connection:
        rows = keys.listed(connection, after=int(after), limit=page.limit + 1)
    return JSONResponse(page.answer("/v1/keys", rows, lambda key: (key.id,), _to_dict))


@router.get(
    "/{key_id}",
    operation_id="getKey",
    summary="An API key without its secret part",
    responses={200: {"model": KeyAnswer}, **refusals(404), **REFUSALS},
)
def get(store: StoreDependency, _: Permitted, key_id: KeyId) -> JSONResponse:
    """The key's role, its visible part, and when it was revoked."""
    with reading(store.engine) as connection:
        key = keys.get(connection, key_id)
    if key is None:
        raise from_status(404)
    return JSONResponse(_to_dict(key))


@router.delete(
    "/{key_id}",
    status_code=204,
    operation_id="revokeKey",
    summary="Revoke an API key at once",
    responses={**refusals(404), **REFUSALS},
)
def revoke(store: StoreDependency, caller: Permitted, key_id: KeyId) -> Response:
    """No content; 404 where the key does not exist or is already revoked."""
    with store.engine.begin() as connection:
        revoked = keys.revoke(connection, key_id, at=store.clock())
    if not revoked:
        raise from_status(404)
    _LOG.info("key %d was revoked by %s", key_id, caller.name)
    return Response(status_code=204)


def _to_dict(key: Key) -> dict[str, Any]:
    revoked = None if key.revoked_at is None else rfc3339(key.revoked_at)
    return {
        "id": key.id,
        "prefix": key.prefix,
        "role": key.role,
        "partner_id": key.partner_id,
        "created_at": rfc3339(key.created_at),
        "revoked_at": revoked,
    }
