"""The caller of the API: identified by a function that `serving.app` provides, and checked against the permissions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers

from serving import permissions
from serving.http.dependencies import part_of
from serving.http.problems import Problem
from serving.identity import Principal

_NO_KEY = "An API key is needed, in Authorization: Bearer or X-Api-Key; `eql keys create` prints one."
_WRONG_KEY = "The API key is not valid: it is mistyped, revoked, or of another service; `eql keys list` shows the keys."


@dataclass(frozen=True)
class Identification:
    """How an application identifies the senders of requests.

    Attributes:
        caller: the principal that calls the API; None where the request identifies none.
        visitor: the principal that visits the pages; raises `serving.html.rendering.Refusal` where none is signed in.
    """

    caller: Callable[[Request], Principal | None]
    visitor: Callable[[Request], Principal]


def permitted(request: Request) -> Principal:
    """The caller, where `serving.permissions` allows this route to its role; other callers are answered 401 or 403."""
    roles = permissions.roles(f"{request.method} {request.scope['route'].path_format}")
    principal = part_of(request, Identification).caller(request)
    if principal is None:
        wrong = presented_key(request.headers) is not None
        raise Problem(401, _WRONG_KEY if wrong else _NO_KEY, headers={"WWW-Authenticate": "Bearer"})
    if principal.role not in roles:
        raise Problem(403, f"The role {principal.role} may not call this route; it is open to {', '.join(roles)}.")
    return principal


Permitted = Annotated[Principal, Depends(permitted)]


def presented_key(headers: Headers) -> str | None:
    """The API key that a request carries, valid or not."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get("X-Api-Key")
