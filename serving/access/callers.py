"""Identification of callers and visitors: by the API key, or by the session in a cookie."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from serving.access import keys, sessions
from serving.access.oidc import RelyingParty
from serving.html.rendering import Refusal
from serving.html.visitors import cookie_name
from serving.http.authentication import Identification, presented_key
from serving.identity import Principal
from serving.store.database import reading
from serving.store.store import Store

_SAFE_METHODS = ("GET", "HEAD")
HOW_TO_SIGN_IN = (
    "Run `eql sign-in` where the service runs and open the link it prints; `make run` prints one, too. "
    "A link works once."
)


@dataclass(frozen=True)
class SignIn:
    """Signing in through an identity provider.

    Attributes:
        party: the provider as this service uses it; None where only sign-in links work.
    """

    party: RelyingParty | None = None

    @property
    def link(self) -> tuple[str, str] | None:
        """The address of the sign-in through the provider and its name; None without a provider."""
        return None if self.party is None else ("/sign-in/oidc", f"Sign in with {self.party.provider.name}")


def identification(store: Store, sign_in: SignIn) -> Identification:
    """How callers of the API and visitors of the pages are identified."""
    return Identification(_caller(store), _visitor(store, sign_in))


def _caller(store: Store) -> Callable[[Request], Principal | None]:
    """Identifies the caller of the API by its key. For requests that only read, a session's cookie is enough."""

    def caller(request: Request) -> Principal | None:
        key = presented_key(request.headers)
        with reading(store.engine) as connection:
            if key is not None:
                return keys.verify(connection, key)
            session = request.cookies.get(cookie_name(request))
            if session is not None and request.method in _SAFE_METHODS:
                return sessions.principal(connection, session, at=store.clock())
        return None

    return caller


def _visitor(store: Store, sign_in: SignIn) -> Callable[[Request], Principal]:
    """Identifies the visitor of a page by the session's cookie."""

    def visitor(request: Request) -> Principal:
        session = request.cookies.get(cookie_name(request))
        if session is not None:
            with reading(store.engine) as connection:
                principal = sessions.principal(connection, session, at=store.clock())
            if principal is not None:
                return principal
        raise Refusal(401, "Please sign in", HOW_TO_SIGN_IN, sign_in.link)

    return visitor
