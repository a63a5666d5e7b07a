"""Who visits: the session in a cookie, how it begins with a sign-in link and how it ends."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from features.value_types import DAY, SECOND
from serving.access import sessions
from serving.html.rendering import Refusal, redirect
from serving.identity import Principal
from serving.service import Service
from serving.store.database import reading

SESSION_COOKIE = "eql_session"
SESSION_LASTS = 7 * DAY
"""Microseconds from the sign-in to the end of a session."""

_SIGN_IN = (
    "Run `eql sign-in` where the service runs and open the link it prints; `make run` prints one, too. "
    "A link works once."
)


def cookie_name(request: Request, name: str = SESSION_COOKIE) -> str:
    """A cookie's full name, by default the session's; over https one that browsers bind to this very host."""
    return f"__Host-{name}" if _secure(request) else name


def visitor(service: Service, request: Request) -> Principal:
    """Who visits.

    Raises:
        Refusal: 401 where nobody is signed in.
    """
    session = request.cookies.get(cookie_name(request))
    if session is not None:
        with reading(service.engine) as connection:
            found = sessions.principal(connection, session, at=service.clock())
        if found is not None:
            return found
    raise Refusal(401, "Please sign in", _SIGN_IN, offers(service))


def offers(service: Service) -> tuple[str, str] | None:
    """Where to sign in through an identity provider and what to call it; None where none is configured."""
    return None if service.sign_in is None else ("/sign-in/oidc", f"Sign in with {service.sign_in.provider.name}")


def sign_in(service: Service, request: Request, token: str) -> Response:
    """Redeems the token of a sign-in link for a session.

    Raises:
        Refusal: 401 where the link does not work.
    """
    now = service.clock()
    ends = now + SESSION_LASTS
    with service.engine.begin() as connection:
        session = sessions.redeem(connection, token, at=now, expires_at=ends, tokens=service.tokens)
    if session is None:
        raise Refusal(401, "This link does not work", f"It was used before, is too old or not complete. {_SIGN_IN}")
    return _welcome(request, session)


def open_session(service: Service, request: Request, who: Principal) -> Response:
    """Opens a session for somebody, in the place of the browser's session before it."""
    now = service.clock()
    before = request.cookies.get(cookie_name(request))
    with service.engine.begin() as connection:
        if before is not None:
            sessions.close(connection, before)
        session = sessions.open_for(connection, who, expires_at=now + SESSION_LASTS, tokens=service.tokens)
    return _welcome(request, session)


def _welcome(request: Request, session: str) -> Response:
    response = redirect("/")
    keep_cookie(request, response, SESSION_COOKIE, session, SESSION_LASTS // SECOND)
    return response


def keep_cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Gives the browser a cookie for so long that scripts and other sites' forms do not get at."""
    full = cookie_name(request, name)
    response.set_cookie(full, value, max_age=seconds, secure=_secure(request), httponly=True, samesite="lax")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Takes a cookie from the browser."""
    full = cookie_name(request, name)
    response.delete_cookie(full, secure=_secure(request), httponly=True, samesite="lax")


def sign_out(service: Service, request: Request) -> Response:
    """Ends the session.

    Raises:
        Refusal: 403 where another site asks for it.
    """
    session = request.cookies.get(cookie_name(request))
    if session is None or not _from_here(request):
        raise Refusal(403, "Not signed out", "Signing out works with the button of these pages, while signed in.")
    with service.engine.begin() as connection:
        sessions.close(connection, session)
    response = redirect("/")
    drop_cookie(request, response, SESSION_COOKIE)
    return response


def _from_here(request: Request) -> bool:
    """Whether a page of ours sent a form.

    Browsers leave Sec-Fetch-Site out on plain http, and our referrer policy makes them send the Origin `null` there;
    then the cookie speaks, for SameSite=Lax keeps it from other sites' forms.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin in (None, "null") or urlsplit(origin).netloc == request.headers.get("host")


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"
