"""Signing in to the pages through an identity provider: there and back, and a session as from a sign-in link."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from serving.access.oidc import NoRole, ProviderAway, RelyingParty, SignInRefused
from serving.html import visitors
from serving.html.rendering import NOT_FOUND, Refusal, redirect
from serving.identity import new_token
from serving.service import Service

_LOG = logging.getLogger(__name__)
COOKIE = "eql_signing_in"
_MINUTES = 10


def begin(service: Service, request: Request) -> Response:
    """Sends the browser to the provider, with what will tie the answer to it in a cookie.

    Raises:
        Refusal: 404 where no provider is configured, 503 where it is away.
    """
    party, binding = _party(service), new_token(service.tokens)
    try:
        response = redirect(party.address(binding))
    except ProviderAway as away:
        raise _away(party, away) from None
    visitors.keep_cookie(request, response, COOKIE, binding, _MINUTES * 60)
    return response


def finish(service: Service, request: Request, *, state: str, code: str, issuer: str) -> Response:
    """Opens a session for whom the provider sent back.

    Raises:
        Refusal: 404 where no provider is configured, 503 where it is away; 401 where its answer is not one to this
            browser or cannot be trusted; 403 where it vouches for somebody who has no role here.
    """
    party = _party(service)
    binding = request.cookies.get(visitors.cookie_name(request, COOKIE), "")
    try:
        if not binding:
            raise SignInRefused("the browser brings no cookie")
        who = party.principal(binding, state=state, code=code, issuer=issuer)
    except ProviderAway as away:
        raise _away(party, away) from None
    except SignInRefused as refused:
        _LOG.warning("a sign-in through %s was refused: %s", party.provider.issuer, refused)
        raise Refusal(
            401,
            "Not signed in",
            f"This sign-in was not begun in this browser, took more than {_MINUTES} minutes, or was used before.",
            visitors.offers(service),
        ) from None
    except NoRole:
        raise Refusal(
            403,
            "No role here",
            f"{party.provider.name} knows you, and gives you no role in EQL. Ask who administers it for one.",
            visitors.offers(service),
        ) from None
    response = visitors.open_session(service, request, who)
    visitors.drop_cookie(request, response, COOKIE)
    return response


def _party(service: Service) -> RelyingParty:
    if service.sign_in is None:
        raise Refusal(404, *NOT_FOUND)
    return service.sign_in


def _away(party: RelyingParty, away: ProviderAway) -> Refusal:
    _LOG.error("the identity provider %s cannot be used: %s", party.provider.issuer, away)
    return Refusal(503, "Please try again", f"{party.provider.name} does not answer as it must.")
