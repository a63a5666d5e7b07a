"""Who calls the API: an API key in `Authorization: Bearer` or `X-Api-Key`, or for reading a page's session."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from serving.access import Principal, Role
from serving.api.problems import Problem
from serving.pages.visitors import cookie_name
from serving.service import Service
from serving.store import keys, sessions
from serving.store.database import reading

_SAFE_METHODS = ("GET", "HEAD")


def service_of(request: Request) -> Service:
    """The service the app was created with."""
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(service_of)]


def allowed(*roles: Role) -> Callable[[Request], Principal]:
    """A dependency that lets these roles (and admin) in, and answers others 401 or 403."""

    def check(request: Request) -> Principal:
        principal = caller(service_of(request), request)
        if principal is None:
            raise Problem(
                401,
                "An API key is needed, in Authorization: Bearer or X-Api-Key; `eql keys create` prints one.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if principal.role not in (*roles, "admin"):
            raise Problem(403, f"The role {principal.role} may not do this; it takes {', '.join((*roles, 'admin'))}.")
        return principal

    return check


def caller(service: Service, request: Request) -> Principal | None:
    """Who calls, None where nobody known does. A session's cookie serves for reading only."""
    key = key_of(request)
    with reading(service.engine) as connection:
        if key is not None:
            return keys.verify(connection, key)
        session = request.cookies.get(cookie_name(request))
        if session is not None and request.method in _SAFE_METHODS:
            return sessions.principal(connection, session, at=service.clock())
    return None


def key_of(request: Request) -> str | None:
    """The API key that a request carries."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return request.headers.get("X-Api-Key")
