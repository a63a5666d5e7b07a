"""Sign-in through an identity provider: the relying party's side of OpenID Connect.

The flow is the authorization code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636, S256). The endpoints come from
the provider's metadata (OpenID Connect Discovery 1.0). State, nonce and code verifier are hashes of one random binding,
which the browser keeps in a cookie. So the service stores nothing, an answer fits only the browser that began the
sign-in, and the verifier cannot be derived from an address that another person sees.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import anyio
import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import TypeAdapter, ValidationError

from features.value_types import SECOND, Id
from serving.identity import InvalidRole, Principal, Role, check_role

_LOG = logging.getLogger(__name__)
CALLBACK = "/sign-in/oidc/callback"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""The accepted signatures of an ID token. The provider alone has the private key, so `none` and HMAC are excluded."""

_WELL_KNOWN = "/.well-known/openid-configuration"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_LEEWAY = 60
"""Seconds by which the provider's clock may differ."""
_MIN_KEYS_AGE = 10 * SECOND
"""Microseconds between two downloads of the provider's keys at least."""
DEADLINE = 5.0
"""Seconds that the provider has for one answer, by default."""
MAX_ANSWER = 1024 * 1024
"""The size of an answer of the provider, in bytes."""
_ID: TypeAdapter[str] = TypeAdapter(Id)
_Purpose = Literal["state", "nonce", "verifier"]


class InvalidProvider(ValueError):
    """The settings of the identity provider are invalid; the message names the constraint."""


class ProviderUnavailable(Exception):
    """The identity provider does not answer, or its answer breaks the protocol."""


class SignInRefused(Exception):
    """The provider's answer belongs to another sign-in, or cannot be trusted. The message is safe to log."""


class NoRole(Exception):
    """The provider identifies the person, but its claims map to no role."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An identity provider, and the roles of its users.

    Attributes:
        name: the provider's name on the pages.
        issuer: the provider's identifier, which its tokens contain.
        client_id, client_secret: the credentials of this service at the provider.
        public_url: the address of this service for browsers, such as `https://eql.example.org`.
        scopes: the requested scopes, separated by spaces; they include `openid`.
        role_claim: the claim of the ID token, a text or a list, that `roles` maps.
        roles: the role of each value of the claim; where several values match, the first entry here counts.
        partner_claim: the claim with the partner's id, for the role partner.
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
            if not _is_safe(url):
                raise InvalidProvider(f"{url} must begin with https://; only addresses of this machine may use http")
        if not self.client_id or not self.roles:
            raise InvalidProvider("an identity provider needs a client id and at least one role")
        if "openid" not in self.scopes.split():
            raise InvalidProvider(f"the scopes must include openid, not {self.scopes!r}")

    @property
    def redirect_uri(self) -> str:
        """The address that the provider sends browsers back to; register it at the provider."""
        return f"{self.public_url.rstrip('/')}{CALLBACK}"

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """The principal that the claims of a verified ID token identify.

        Raises:
            NoRole: the claims map to no role, or to a partner without an id.
        """
        claim = claims.get(self.role_claim)
        values = claim if isinstance(claim, list) else [claim]
        role = next((role for value, role in self.roles.items() if value in values), None)
        partner = claims.get(self.partner_claim) if role == "partner" else None
        if role is None:
            raise NoRole
        try:
            # The id names the partner's records, so it must be one that a record can have.
            own = None if partner is None else _ID.validate_python(partner, strict=True)
            return Principal(check_role(role, own), own, "session")
        except (InvalidRole, ValidationError):
            raise NoRole from None


@dataclass(kw_only=True)
class RelyingParty:
    """This service as a client of an identity provider.

    Attributes:
        provider: the provider.
        http: sends the requests to the provider.
        clock: the current time in microseconds.
        deadline: seconds that the provider has for one whole answer, which it may send byte by byte.
    """

    provider: Provider
    http: httpx.AsyncClient
    clock: Callable[[], int]
    deadline: float = DEADLINE
    _metadata: Mapping[str, Any] | None = None
    _keys: KeySet | None = None
    _keys_at: int = 0
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def address(self, binding: str) -> str:
        """The address at the provider that starts the sign-in of the browser with this `binding`.

        Raises:
            ProviderUnavailable: the provider's metadata cannot be read.
        """
        endpoint: str = (await self._provider_metadata())["authorization_endpoint"]
        challenge = hashlib.sha256(_derive(binding, "verifier").encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.provider.redirect_uri,
            "scope": self.provider.scopes,
            "state": _derive(binding, "state"),
            "nonce": _derive(binding, "nonce"),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(parameters)}"

    async def principal(self, binding: str, *, state: str, code: str, issuer: str = "") -> Principal:
        """The principal of the person that the provider sent back to the browser with this `binding`.

        Args:
            binding: the binding that `address` was called with.
            state: the parameter `state` of the provider's answer.
            code: the parameter `code` of the provider's answer.
            issuer: the parameter `iss` of the provider's answer (RFC 9207); empty where it has none.

        Raises:
            SignInRefused: the sign-in began in another browser, or the provider's answer cannot be trusted.
            NoRole: the person has no role here.
            ProviderUnavailable: the provider does not answer.
        """
        if not hmac.compare_digest(state.encode(), _derive(binding, "state").encode()):
            raise SignInRefused("the state belongs to another browser")
        if not code or issuer not in ("", self.provider.issuer):
            raise SignInRefused("the answer has no code, or comes from another provider")
        token = await self._id_token(code, _derive(binding, "verifier"))
        return self.provider.principal(await self._claims(token, _derive(binding, "nonce")))

    async def _id_token(self, code: str, verifier: str) -> str:
        """The ID token that the provider gives for a code."""
        metadata = await self._provider_metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.provider.redirect_uri,
            "code_verifier": verifier,
        }
        secret = (self.provider.client_id, self.provider.client_secret)
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            # Both parts are encoded as in a form before the basic authentication (RFC 6749, 2.3.1).
            auth = tuple(quote(part, safe="") for part in secret)
            answer = await self._request("POST", metadata["token_endpoint"], data=form, auth=auth)
        else:
            credentials = dict(zip(("client_id", "client_secret"), secret, strict=True))
            answer = await self._request("POST", metadata["token_endpoint"], data=form | credentials)
        if answer.status_code != 200:
            raise SignInRefused(f"the provider refused the code with {answer.status_code}")
        token = _json_object(answer).get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("the provider's answer has no ID token")
        return token

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """The verified claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        provider = self.provider
        try:
            decoded = await self._decode(token)
            claims = decoded.claims
            if str(decoded.header.get("typ", "JWT")).upper() != "JWT":
                raise SignInRefused("the token is of another type than an ID token")
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
            raise SignInRefused(f"the ID token is invalid: {type(error).__name__}") from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else provider.client_id) != provider.client_id:
            raise SignInRefused("the ID token was issued for another client")
        return claims

    async def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, await self._key_set(), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # The provider may have added the key since the last download.
            return jwt.decode(token, await self._key_set(refresh=True), algorithms=ALGORITHMS)

    async def _provider_metadata(self) -> Mapping[str, Any]:
        """The provider's metadata (OpenID Connect Discovery 1.0), downloaded once."""
        async with self._in_time(), self._lock:
            if self._metadata is None:
                metadata = await self._object(f"{self.provider.issuer.rstrip('/')}{_WELL_KNOWN}")
                if metadata.get("issuer") != self.provider.issuer:
                    raise ProviderUnavailable("its metadata name another issuer")
                if not all(isinstance(metadata.get(name), str) and _is_safe(metadata[name]) for name in _ENDPOINTS):
                    raise ProviderUnavailable("its metadata name no safe endpoints")
                self._metadata = metadata
            return self._metadata

    async def _key_set(self, *, refresh: bool = False) -> KeySet:
        """The provider's public keys. `refresh` downloads them again, at most every few seconds."""
        metadata = await self._provider_metadata()
        async with self._in_time(), self._lock:
            due = self._keys is None or (refresh and self.clock() - self._keys_at >= _MIN_KEYS_AGE)
            if self._keys is None or due:
                keys = (await self._object(metadata["jwks_uri"])).get("keys")
                public = [key for key in keys or () if isinstance(key, dict) and key.get("kty") in ("RSA", "EC")]
                try:
                    self._keys, self._keys_at = KeySet.import_key_set({"keys": public}), self.clock()
                except (JoseError, ValueError, KeyError, TypeError):
                    raise ProviderUnavailable("its keys cannot be read") from None
            return self._keys

    async def _object(self, url: str) -> Mapping[str, Any]:
        """The JSON object at a URL of the provider."""
        answer = await self._request("GET", url)
        if answer.status_code != 200:
            raise ProviderUnavailable(f"it answers with {answer.status_code}")
        return _json_object(answer)

    async def _request(self, method: str, url: str, **content: Any) -> httpx.Response:
        try:
            async with self._in_time():
                return await self._read(method, url, content)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from None

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Ends the block at the deadline. It includes the wait for an answer that another sign-in asked for."""
        try:
            with anyio.fail_after(self.deadline):
                yield
        except TimeoutError:
            raise ProviderUnavailable(f"its answer took longer than {self.deadline:g} seconds") from None

    async def _read(self, method: str, url: str, content: Mapping[str, Any]) -> httpx.Response:
        """An answer with its content. Compressed content is not asked for: a little of it may be much."""
        headers, body = {"Accept": "application/json", "Accept-Encoding": "identity"}, bytearray()
        async with self.http.stream(method, url, headers=headers, **content) as answer:
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    raise ProviderUnavailable(f"its answer is larger than {MAX_ANSWER:,} bytes")
        return httpx.Response(answer.status_code, content=bytes(body))


def _json_object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProviderUnavailable("its answer is not a JSON object")
    return content


def _derive(binding: str, purpose: _Purpose) -> str:
    return hashlib.sha256(f"{purpose}.{binding}".encode()).hexdigest()


def _is_safe(url: str) -> bool:
    """Whether a URL is https, or plain http on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL))
