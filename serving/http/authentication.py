"""Who calls the API: an API key in `Authorization: Bearer` or `X-Api-Key`, or for reading a page's session."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers

from serving import permissions
from serving.access import keys, sessions
from serving.html.visitors import cookie_name
from serving.http.problems import Problem
from serving.identity import Principal
from serving.service import Service
from serving.store.database import reading

_SAFE_METHODS = ("GET", "HEAD")


def service_of(request: Request) -> Service:
    """The service the app was created with."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    # A coroutine, for what is none the framework would run on a thread.
    return service_of(request)


ServiceDependency = Annotated[Service, Depends(_service)]


def permitted(request: Request) -> Principal:
    """Who calls, if `serving.permissions` lets them call this route; answers others 401 or 403."""
    roles = permissions.roles(f"{request.method} {request.scope['route'].path_format}")
    principal = caller(service_of(request), request)
    if principal is None:
        raise Problem(
            401,
            "An API key is needed, in Authorization: Bearer or X-Api-Key; `eql keys create` prints one.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if principal.role not in roles:
        raise Problem(403, f"The role {principal.role} may not do this; it takes {', '.join(roles)}.")
    return principal


Permitted = Annotated[Principal, Depends(permitted)]


def caller(service: Service, request: Request) -> Principal | None:
    """Who calls, None where nobody known does. A session's cookie serves for reading only."""
    key = presented_key(request.headers)
    with reading(service.engine) as connection:
        if key is not None:
            return keys.verify(connection, key)
        session = request.cookies.get(cookie_name(request))
        if session is not None and request.method in _SAFE_METHODS:
            return sessions.principal(connection, session, at=service.clock())
    return None


def presented_key(headers: Headers) -> str | None:
    """The API key that came along, whether or not it is one."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return headers.get("X-Api-Key")
