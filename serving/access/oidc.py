"""Signing in through an identity provider: the relying party's side of OpenID Connect.

The authorization code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636, S256), the provider found by Discovery 1.0.
State, nonce and code verifier are hashes of one random binding that the browser keeps in a cookie, so nothing is stored
here, an answer fits no other browser, and who sees the address in the browser cannot derive the verifier.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from features.value_types import SECOND
from serving.identity import InvalidRole, Principal, Role, check_role

_LOG = logging.getLogger(__name__)
CALLBACK = "/sign-in/oidc/callback"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Of an ID token's signature: those with a private key that is the provider's alone, so never `none` or HMAC."""

_WELL_KNOWN = "/.well-known/openid-configuration"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_LEEWAY = 60
_KEYS_LAST = 10 * SECOND
_Purpose = Literal["state", "nonce", "verifier"]


class InvalidProvider(ValueError):
    """The settings name no identity provider that can be trusted; the message says the mend."""


class ProviderUnavailable(Exception):
    """The identity provider does not answer, or not as it must."""


class SignInRefused(Exception):
    """The provider's answer is not one to this sign-in, or cannot be trusted. The reason is safe to log."""


class NoRole(Exception):
    """The provider vouches for somebody, who is given no role here."""


@dataclass(frozen=True)
class Provider:
    """An identity provider, and who of those it knows may come in.

    Attributes:
        name: how the pages call it.
        issuer: its identifier, which its tokens bear.
        client_id, client_secret: what it knows this service by.
        public_url: where browsers find this service, such as `https://eql.example.org`.
        scopes: to ask for, separated by spaces, `openid` among them.
        role_claim: the claim of the ID token, a text or a list, that `roles` maps.
        roles: the role of each value of the claim; of several the first one here counts.
        partner_claim: the claim with a partner's id, for the role partner.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    public_url: str
    scopes: str
    role_claim: str
    roles: Mapping[str, Role]
    partner_claim: str

    def __post_init__(self) -> None:
        for url in (self.issuer, self.public_url):
            if not _safe(url):
                raise InvalidProvider(f"{url} must begin with https://; plain http is for this machine alone")
        if not self.client_id or not self.roles:
            raise InvalidProvider("an identity provider needs a client id and at least one role")
        if "openid" not in self.scopes.split():
            raise InvalidProvider(f"the scopes must have openid among them, not {self.scopes!r}")

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to; it must be registered there."""
        return f"{self.public_url.rstrip('/')}{CALLBACK}"

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Who the claims of a verified ID token are here.

        Raises:
            NoRole: nobody.
        """
        told = claims.get(self.role_claim)
        values = told if isinstance(told, list) else [told]
        role = next((role for value, role in self.roles.items() if value in values), None)
        partner = claims.get(self.partner_claim) if role == "partner" else None
        if role is None or not isinstance(partner, str | None):
            raise NoRole
        try:
            return Principal(check_role(role, partner), partner, "session")
        except InvalidRole:
            raise NoRole from None


@dataclass
class RelyingParty:
    """Sends browsers to a provider and reads what it says of them.

    Attributes:
        provider: the provider.
        http: reaches it.
        clock: microseconds now.
    """

    provider: Provider
    http: httpx.Client
    clock: Callable[[], int]
    _found: Mapping[str, Any] | None = None
    _keys: KeySet | None = None
    _keys_at: int = 0
    _lock: Lock = field(default_factory=Lock)

    def address(self, binding: str) -> str:
        """Where to send a browser that keeps `binding`.

        Raises:
            ProviderUnavailable: the provider cannot be asked where.
        """
        endpoint: str = self._configuration()["authorization_endpoint"]
        challenge = hashlib.sha256(_derived(binding, "verifier").encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.provider.redirect_uri,
            "scope": self.provider.scopes,
            "state": _derived(binding, "state"),
            "nonce": _derived(binding, "nonce"),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def principal(self, binding: str, *, state: str, code: str, issuer: str = "") -> Principal:
        """Who came back, with the provider's `code`, to the browser that keeps `binding`.

        Args:
            binding: what `address` was made with.
            state: as it came back.
            code: as it came back.
            issuer: `iss` as it came back (RFC 9207), empty where the provider sends none.

        Raises:
            SignInRefused: they did not begin here, or the provider's answer cannot be trusted.
            NoRole: they may not come in.
            ProviderUnavailable: the provider does not answer.
        """
        if not hmac.compare_digest(state.encode(), _derived(binding, "state").encode()):
            raise SignInRefused("the state is another browser's")
        if not code or issuer not in ("", self.provider.issuer):
            raise SignInRefused("there is no code, or it is another provider's")
        token = self._exchanged(code, _derived(binding, "verifier"))
        return self.provider.principal(self._verified(token, _derived(binding, "nonce")))

    def _exchanged(self, code: str, verifier: str) -> str:
        """The ID token for a code."""
        found = self._configuration()
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.provider.redirect_uri,
            "code_verifier": verifier,
        }
        secret = (self.provider.client_id, self.provider.client_secret)
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            # As in a form, then as basic authentication (RFC 6749, 2.3.1).
            request = self._ask(
                "POST", found["token_endpoint"], data=sent, auth=tuple(quote(s, safe="") for s in secret)
            )
        else:
            named = dict(zip(("client_id", "client_secret"), secret, strict=True))
            request = self._ask("POST", found["token_endpoint"], data=sent | named)
        if request.status_code != 200:
            raise SignInRefused(f"the provider refused the code with {request.status_code}")
        token = _object(request).get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("the provider gave no ID token")
        return token

    def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        provider = self.provider
        try:
            claims = self._signed(token).claims
            jwt.JWTClaimsRegistry(
                now=self.clock() // SECOND,
                leeway=_LEEWAY,
                iss={"essential": True, "value": provider.issuer},
                aud={"essential": True, "value": provider.client_id},
                nonce={"essential": True, "value": nonce},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError) as error:
            raise SignInRefused(f"the ID token is not sound: {type(error).__name__}") from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else provider.client_id) != provider.client_id:
            raise SignInRefused("the ID token was given to another client")
        return claims

    def _signed(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # Signed by a key that came after the last look.
            return jwt.decode(token, self._key_set(anew=True), algorithms=ALGORITHMS)

    def _configuration(self) -> Mapping[str, Any]:
        """What the provider says of itself, asked once."""
        with self._lock:
            if self._found is None:
                found = _object(self._ask("GET", f"{self.provider.issuer.rstrip('/')}{_WELL_KNOWN}"))
                if found.get("issuer") != self.provider.issuer:
                    raise ProviderUnavailable("it names itself by another issuer")
                if not all(isinstance(found.get(name), str) and _safe(found[name]) for name in _ENDPOINTS):
                    raise ProviderUnavailable("it names no safe endpoints")
                self._found = found
            return self._found

    def _key_set(self, *, anew: bool = False) -> KeySet:
        """The provider's public keys; asked anew at most every few seconds, whatever tokens come."""
        found = self._configuration()
        with self._lock:
            due = self._keys is None or (anew and self.clock() - self._keys_at >= _KEYS_LAST)
            if self._keys is None or due:
                told = _object(self._ask("GET", found["jwks_uri"])).get("keys")
                public = [key for key in told or () if isinstance(key, dict) and key.get("kty") in ("RSA", "EC")]
                try:
                    self._keys, self._keys_at = KeySet.import_key_set({"keys": public}), self.clock()
                except (JoseError, ValueError, KeyError, TypeError):
                    raise ProviderUnavailable("its keys cannot be read") from None
            return self._keys

    def _ask(self, method: str, url: str, **sent: Any) -> httpx.Response:
        try:
            answer = self.http.request(method, url, headers={"Accept": "application/json"}, **sent)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from None
        if method == "GET" and answer.status_code != 200:
            raise ProviderUnavailable(f"it answers {answer.status_code}")
        return answer


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProviderUnavailable("it does not answer in JSON")
    return content


def _derived(binding: str, purpose: _Purpose) -> str:
    return hashlib.sha256(f"{purpose}.{binding}".encode()).hexdigest()


def _safe(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL))
