"""The visitor of a page, and the cookies that keep a session: bound to this host, and out of reach of scripts."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from serving.http.authentication import Identification
from serving.http.dependencies import part_of
from serving.identity import Principal

SESSION_COOKIE = "eql_session"


def visitor(request: Request) -> Principal:
    """The signed-in visitor.

    Raises:
        serving.html.rendering.Refusal: 401, no visitor is signed in.
    """
    return part_of(request, Identification).visitor(request)


def cookie_name(request: Request, name: str = SESSION_COOKIE) -> str:
    """A cookie's full name, by default the session's; over https one that browsers bind to this very host."""
    return f"__Host-{name}" if _secure(request) else name


def keep_cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Sets a cookie for some seconds; scripts cannot read it, and forms of other sites do not send it."""
    full = cookie_name(request, name)
    response.set_cookie(full, value, max_age=seconds, secure=_secure(request), httponly=True, samesite="lax")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Removes a cookie from the browser."""
    full = cookie_name(request, name)
    response.delete_cookie(full, secure=_secure(request), httponly=True, samesite="lax")


def from_this_site(request: Request) -> bool:
    """Whether a page of this site sent a form.

    On plain http browsers leave out Sec-Fetch-Site, and the referrer policy of these pages makes them send the Origin
    `null`. The cookie is then the evidence: SameSite=Lax keeps it out of forms of other sites.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin in (None, "null") or urlsplit(origin).netloc == request.headers.get("host")


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"
