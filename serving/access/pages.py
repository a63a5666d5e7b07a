"""The pages of sign-in and sign-out: by a link that works once, or through an identity provider."""

import logging
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Query
from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from features.records import KINDS
from features.value_types import DAY, SECOND
from serving.access import sessions
from serving.access.callers import HOW_TO_SIGN_IN, SignIn
from serving.access.oidc import CALLBACK, NoRole, ProviderUnavailable, RelyingParty, SignInRefused
from serving.html.page_routes import page_router
from serving.html.rendering import NOT_FOUND, Refusal, page, redirect
from serving.html.visitors import SESSION_COOKIE, cookie_name, drop_cookie, from_this_site, keep_cookie
from serving.http.bodies import Body
from serving.http.dependencies import StoreDependency, provided
from serving.identity import Principal, new_token
from serving.records.visible import visible
from serving.store.store import Store

_LOG = logging.getLogger(__name__)
SESSION_LASTS = 7 * DAY
"""Microseconds from the sign-in to the end of a session."""
BINDING_COOKIE = "eql_signing_in"
"""The cookie that binds a sign-in through a provider to the browser that began it."""
_BINDING_MINUTES = 10

SignInDependency = Annotated[SignIn, Depends(provided(SignIn))]
Returned = Annotated[str, Query(max_length=4096)]
Token = Annotated[str, Query(max_length=200)]
router = page_router()


@router.get("/sign-in", response_model=None)
def offer_sign_in(token: Token = "") -> Response:
    """Shows the button of a sign-in link. Nothing is used up: mail scanners and previews open links too."""
    if not token:
        raise Refusal(401, "This link does not work", f"The link is incomplete. {HOW_TO_SIGN_IN}")
    return page("access/sign_in.html", {"token": token})


@router.post("/sign-in", response_model=None)
def sign_in(request: Request, store: StoreDependency, body: Body) -> Response:
    """Redeems the token of a sign-in link for a session, and ends the session that this browser held."""
    if not from_this_site(request):
        raise Refusal(403, "Not signed in", "Open the link, and use the button on its page.")
    now = store.clock()
    ends, before = now + SESSION_LASTS, request.cookies.get(cookie_name(request))
    token = parse_qs(body.decode("latin-1")).get("token", [""])[0]
    with store.engine.begin() as connection:
        session = sessions.redeem(connection, token, at=now, expires_at=ends, tokens=store.tokens)
        if session is not None and before is not None:
            sessions.close(connection, before)
    if session is None:
        detail = f"The link was used before, has expired or is incomplete. {HOW_TO_SIGN_IN}"
        raise Refusal(401, "This link does not work", detail)
    return _welcome(request, session)


@router.get("/sign-in/oidc", response_model=None)
async def begin_oidc(request: Request, store: StoreDependency, provider: SignInDependency) -> Response:
    """Sends the browser to the provider; a cookie ties the provider's answer to this browser."""
    party, binding = _party(provider), new_token(store.tokens)
    try:
        response = redirect(await party.address(binding))
    except ProviderUnavailable as error:
        raise _unavailable(party, error) from None
    keep_cookie(request, response, BINDING_COOKIE, binding, _BINDING_MINUTES * 60)
    return response


@router.get(CALLBACK, response_model=None)
async def finish_oidc(
    request: Request,
    store: StoreDependency,
    provider: SignInDependency,
    state: Returned = "",
    code: Returned = "",
    iss: Returned = "",
) -> Response:
    """Opens a session for the person that the provider sent back."""
    party = _party(provider)
    binding = request.cookies.get(cookie_name(request, BINDING_COOKIE), "")
    try:
        if not binding:
            raise SignInRefused("the browser sent no cookie")
        principal = await party.principal(binding, state=state, code=code, issuer=iss)
    except ProviderUnavailable as error:
        raise _unavailable(party, error) from None
    except SignInRefused as refused:
        _LOG.warning("a sign-in through %s was refused: %s", party.provider.issuer, refused)
        detail = (
            f"This sign-in began in another browser, took more than {_BINDING_MINUTES} minutes, or was used before. "
            "Sign in again."
        )
        raise Refusal(401, "Not signed in", detail, provider.link) from None
    except NoRole:
        detail = f"You have no role in EQL at {party.provider.name}. Ask its administrator for one."
        raise Refusal(403, "No role here", detail, provider.link) from None
    response = await run_in_threadpool(_open_session, store, request, principal, provider)
    drop_cookie(request, response, BINDING_COOKIE)
    return response


@router.post("/sign-out", response_model=None)
def sign_out(request: Request, store: StoreDependency) -> Response:
    """Ends the session."""
    session = request.cookies.get(cookie_name(request))
    if session is None or not from_this_site(request):
        raise Refusal(403, "Not signed out", "Use the sign-out button of these pages while you are signed in.")
    with store.engine.begin() as connection:
        sessions.close(connection, session)
    response = redirect("/")
    drop_cookie(request, response, SESSION_COOKIE)
    return response


def _open_session(store: Store, request: Request, principal: Principal, provider: SignIn) -> Response:
    """Opens a session for a person that the provider identified, and ends the browser's earlier session."""
    now, partner = store.clock(), principal.partner_id
    before = request.cookies.get(cookie_name(request))
    with store.engine.begin() as connection:
        if partner is not None and not visible(connection, KINDS["partners"], [partner], now):
            detail = "The partner that you sign in for is not known here. Ask the administrator of EQL to add it."
            raise Refusal(403, "No role here", detail, provider.link)
        if before is not None:
            sessions.close(connection, before)
        session = sessions.open_for(connection, principal, expires_at=now + SESSION_LASTS, tokens=store.tokens)
    return _welcome(request, session)


def _welcome(request: Request, session: str) -> Response:
    response = redirect("/")
    keep_cookie(request, response, SESSION_COOKIE, session, SESSION_LASTS // SECOND)
    return response


def _party(sign_in: SignIn) -> RelyingParty:
    if sign_in.party is None:
        raise Refusal(404, *NOT_FOUND)
    return sign_in.party


def _unavailable(party: RelyingParty, error: ProviderUnavailable) -> Refusal:
    _LOG.error("the identity provider %s cannot be used: %s", party.provider.issuer, error)
    return Refusal(503, "Please try again", f"{party.provider.name} does not answer, or its answer is invalid.")
