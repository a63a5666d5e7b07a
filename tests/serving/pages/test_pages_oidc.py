"""Signing in through an identity provider, played by one of our own after OpenID Connect Core 1.0 and RFC 7636."""

import base64
import hashlib
import hmac
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from features.value_types import SECOND
from serving.access import sessions
from serving.access.oidc import DEADLINE, MAX_ANSWER, InvalidProvider, Provider, ProviderUnavailable, RelyingParty
from serving.store.database import reading

ISSUER = "https://id.example.org/tenant"
CLIENT, SECRET = "eql client", "s3cret:%"
Claims = dict[str, Any]


@cache
def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


@dataclass
class IdentityProvider:
    """Authorises everybody, once a code, and signs what it is told to say of them."""

    now: int
    key: Any = field(default_factory=lambda: rsa("one"))
    claims: Claims = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    token: Callable[["IdentityProvider", Claims], str] | None = None
    issuer: str = ISSUER
    away: bool = False
    filling: bytes = b""
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorise(self, address: str) -> dict[str, str]:
        """What it sends a browser back with that came to `address`."""
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/authorize"
        assert asked["response_type"] == "code"
        assert asked["scope"].split()[0] == "openid"
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == "https://eql.test/sign-in/oidc/callback"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError("no route", request=request)
        match request.url.path.removeprefix("/tenant"):
            case "/.well-known/openid-configuration":
                ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                named = {name: f"{ISSUER}/{end}" for name, end in ends.items()}
                return httpx.Response(200, content=self.filling + json.dumps({"issuer": self.issuer, **named}).encode())
            case "/keys":
                return httpx.Response(200, json={"keys": [self.key.as_dict(private=False)]})
            case "/token":
                return self._token(request)
        return httpx.Response(404)

    def _token(self, request: httpx.Request) -> httpx.Response:
        sent = dict(parse_qsl(request.content.decode()))
        given = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().split(":")
        assert [unquote(part) for part in given] == [CLIENT, SECRET]
        asked = self.codes.pop(sent["code"], None)
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        challenge = _url_safe(digest)
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != sent["redirect_uri"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        return httpx.Response(200, json={"access_token": "a", "token_type": "Bearer", "id_token": self.signed(asked)})

    def signed(self, asked: Mapping[str, str]) -> str:
        claims = {"iss": ISSUER, "sub": "u-1", "aud": CLIENT, "iat": self.now, "exp": self.now + 300}
        claims |= {"nonce": asked["nonce"], "groups": ["sales-team"]} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.token is not None:
            return self.token(self, claims)
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **self.header}, claims, self.key)


@pytest.fixture
def idp(site: Any) -> IdentityProvider:
    found = IdentityProvider(site.service.clock() // SECOND)
    provider = Provider(
        name="Acme",
        issuer=ISSUER,
        client_id=CLIENT,
        client_secret=SECRET,
        public_url="https://eql.test/",
        scopes="openid groups",
        role_claim="groups",
        roles={"admins": "admin", "sales-team": "sales", "partners": "partner"},
        partner_claim="partner_id",
    )
    client = httpx.AsyncClient(transport=httpx.MockTransport(found))
    party = RelyingParty(provider=provider, http=client, clock=site.service.clock)
    site.service = replace(site.service, sign_in=party)
    site.scheme = "https"
    site.store("partners", "P-1", partner_id="P-1", name="Integrators")
    return found


def begin(site: Any) -> tuple[str, str]:
    """The cookie the browser keeps and the address it is sent to."""
    answer = site.ask("GET", "/sign-in/oidc")
    assert answer.status_code == 303
    return answer.headers["set-cookie"].split(";")[0], answer.headers["location"]


def come_back(site: Any, cookie: str, returned: Mapping[str, str]) -> httpx.Response:
    query = str(httpx.QueryParams(returned))
    return site.ask("GET", f"/sign-in/oidc/callback?{query}", {"Cookie": cookie} if cookie else {})


def sign_in(site: Any, idp: IdentityProvider) -> httpx.Response:
    cookie, address = begin(site)
    return come_back(site, cookie, idp.authorise(address))


def session_of(answer: httpx.Response) -> str:
    [session] = [c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-eql_session=")]
    return session.split(";")[0]


def refused(answer: httpx.Response, status: int = 401) -> bool:
    return answer.status_code == status and "eql_session" not in str(answer.headers) and "<h1>" in answer.text


@pytest.mark.both_databases
def test_whom_the_provider_vouches_for_gets_a_session_of_their_role(site: Any, idp: IdentityProvider) -> None:
    answer = sign_in(site, idp)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    session = session_of(answer)
    with reading(site.engine) as connection:
        who = sessions.principal(connection, session.partition("=")[2], at=site.service.clock())
    assert who is not None
    assert (who.role, who.partner_id) == ("sales", None)
    assert site.ask("GET", "/", {"Cookie": session}).status_code == 200
    assert any("eql_signing_in=" in c and "Max-Age=0" in c for c in answer.headers.get_list("set-cookie"))


def test_the_browser_s_session_before_is_closed(site: Any, idp: IdentityProvider) -> None:
    before = site.cookie("viewer")
    cookie, address = begin(site)
    come_back(site, f"{cookie}; {before}", idp.authorise(address))
    assert site.ask("GET", "/", {"Cookie": before}).status_code == 401


def test_the_cookie_of_a_sign_in_is_kept_from_scripts_and_short(site: Any, idp: IdentityProvider) -> None:
    cookie = site.ask("GET", "/sign-in/oidc").headers["set-cookie"]
    assert cookie.startswith("__Host-eql_signing_in=")
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=600"):
        assert part in cookie


def test_nothing_in_the_address_tells_the_verifier_or_the_cookie(site: Any, idp: IdentityProvider) -> None:
    first, second = begin(site), begin(site)
    assert first[0].partition("=")[2] not in first[1]
    parameters = [dict(parse_qsl(urlsplit(address).query)) for _, address in (first, second)]
    for name in ("state", "nonce", "code_challenge"):
        assert parameters[0][name] != parameters[1][name]


def test_a_partner_comes_with_its_id_and_the_first_group_counts(site: Any, idp: IdentityProvider) -> None:
    idp.claims = {"groups": ["x", "partners"], "partner_id": "P-1"}
    assert "partner" in site.ask("GET", "/", {"Cookie": session_of(sign_in(site, idp))}).text.lower()
    idp.claims = {"groups": ["partners", "admins"], "partner_id": "P-1"}
    assert "Admin" in site.ask("GET", "/", {"Cookie": session_of(sign_in(site, idp))}).text


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": ["strangers"]},
        {"groups": None},
        {"groups": 7},
        {"groups": {"sales-team": True}},
        {"groups": "sales"},
        {"groups": [["sales-team"]]},
        {"groups": "partners"},
        {"groups": "partners", "partner_id": ""},
        {"groups": "partners", "partner_id": ["P-1"]},
        {"groups": "partners", "partner_id": " P-1"},
        {"groups": "partners", "partner_id": "P-1\n"},
        {"groups": "partners", "partner_id": "P" * 201},
    ],
    ids=str,
)
def test_who_has_no_role_is_told_so(site: Any, idp: IdentityProvider, claims: Claims) -> None:
    idp.claims = claims
    answer = sign_in(site, idp)
    assert refused(answer, 403)
    assert "You have no role in EQL at Acme" in answer.text


def test_another_browser_s_answer_is_refused(site: Any, idp: IdentityProvider) -> None:
    (mine, address), (others, _) = begin(site), begin(site)
    returned = idp.authorise(address)
    for cookie in (others, "", "__Host-eql_signing_in="):
        assert refused(come_back(site, cookie, returned))
    for state in ("", "x", "é", returned["state"].upper()):
        assert refused(come_back(site, mine, returned | {"state": state}))
    assert come_back(site, mine, returned).status_code == 303


def test_a_code_works_once_and_with_its_own_verifier(site: Any, idp: IdentityProvider) -> None:
    (cookie, address), (other, elsewhere) = begin(site), begin(site)
    returned, stolen = idp.authorise(address), idp.authorise(elsewhere)
    assert refused(come_back(site, cookie, returned | {"code": stolen["code"]}))
    assert come_back(site, cookie, returned).status_code == 303
    again = come_back(site, cookie, returned)
    assert refused(again)
    assert returned["code"] not in again.text
    assert refused(come_back(site, other, {"state": stolen["state"], "error": "access_denied"}))


def test_an_answer_in_another_provider_s_name_is_refused(site: Any, idp: IdentityProvider) -> None:
    cookie, address = begin(site)
    returned = idp.authorise(address)
    assert refused(come_back(site, cookie, returned | {"iss": "https://evil.example"}))
    assert come_back(site, cookie, returned | {"iss": ISSUER}).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"iat": 2**40},
        {"nbf": 2**40},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_says_anything_else_is_refused(site: Any, idp: IdentityProvider, claims: Claims) -> None:
    idp.claims = claims
    assert refused(sign_in(site, idp))


def test_a_token_for_several_audiences_is_ours_by_its_authorised_party(site: Any, idp: IdentityProvider) -> None:
    idp.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert sign_in(site, idp).status_code == 303


def _url_safe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _signing_input(header: Claims, claims: Claims) -> str:
    return ".".join(_url_safe(json.dumps(part).encode()) for part in (header, claims))


def _unsigned(idp: IdentityProvider, claims: Claims) -> str:
    return f"{_signing_input({'alg': 'none'}, claims)}."


def _by_public_key(idp: IdentityProvider, claims: Claims) -> str:
    """Signed by HMAC with the public key as secret, which whoever trusts the header's `alg` would take."""
    signed = _signing_input({"alg": "HS256", "kid": "one"}, claims)
    return f"{signed}.{_url_safe(hmac.digest(idp.key.as_pem(private=False), signed.encode(), 'sha256'))}"


def _by_another(idp: IdentityProvider, claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, rsa("another"))


def _key_in_header(idp: IdentityProvider, claims: Claims) -> str:
    key = rsa("another")
    return jwt.encode({"alg": "RS256", "jwk": key.as_dict(private=False)}, claims, key)


def _changed(idp: IdentityProvider, claims: Claims) -> str:
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "one"}, claims, idp.key).split(".")
    body = _url_safe(json.dumps(claims | {"groups": ["admins"]}).encode())
    return f"{head}.{body}.{signature}"


@pytest.mark.parametrize("forge", [_unsigned, _by_public_key, _by_another, _key_in_header, _changed, lambda *_: "x"])
def test_a_token_the_provider_did_not_sign_is_refused(site: Any, idp: IdentityProvider, forge: Any) -> None:
    idp.token = forge
    assert refused(sign_in(site, idp))


def test_keys_may_change_and_be_of_another_kind(site: Any, idp: IdentityProvider) -> None:
    later = [site.service.clock()]
    party = site.service.sign_in
    party.clock = lambda: later[0]
    assert sign_in(site, idp).status_code == 303
    idp.key, idp.header = ECKey.generate_key("P-256", {"kid": "two"}), {"alg": "ES256"}
    assert refused(sign_in(site, idp))
    later[0] += 10 * SECOND
    assert sign_in(site, idp).status_code == 303
    assert idp.asked.count("/tenant/keys") == 2
    assert idp.asked.count("/tenant/.well-known/openid-configuration") == 1


def test_a_provider_that_is_away_is_tried_again(site: Any, idp: IdentityProvider) -> None:
    idp.away = True
    assert refused(site.ask("GET", "/sign-in/oidc"), 503)
    idp.away = False
    cookie, address = begin(site)
    returned = idp.authorise(address)
    idp.away = True
    assert refused(come_back(site, cookie, returned), 503)
    idp.away = False
    assert come_back(site, cookie, returned).status_code == 303


@contextmanager
def endless_provider(begin: bytes, pause: float) -> Iterator[tuple[str, threading.Event]]:
    """A provider on this machine that begins an answer so and never ends it; also tells when its client left."""
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client, suppress(OSError):
                client.recv(65536)
                client.sendall(begin)
                while True:
                    client.sendall(b" " if pause else bytes(65536))
                    time.sleep(pause)
            left.set()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", left
        thread.join()


@pytest.mark.parametrize(
    ("begin", "pause"),
    [
        (b"", 0.01),
        (b"HTTP/1.1 200 OK\r\nx: ", 0.01),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{", 0.01),
        (b"HTTP/1.1 200 OK\r\n\r\n", 0.0),
    ],
    ids=["nothing", "headers drip", "content drips", "content never ends"],
)
def test_a_provider_that_never_ends_its_answer_is_given_up(
    site: Any, idp: IdentityProvider, begin: bytes, pause: float
) -> None:
    known = site.service.sign_in
    with endless_provider(begin, pause) as (issuer, left):
        deadline = 0.2 if pause else DEADLINE
        provider = replace(known.provider, issuer=issuer)
        party = RelyingParty(provider=provider, http=httpx.AsyncClient(), clock=known.clock, deadline=deadline)
        site.service = replace(site.service, sign_in=party)
        assert refused(site.ask("GET", "/sign-in/oidc"), 503)
        assert left.wait(60)
    site.service = replace(site.service, sign_in=known)
    assert sign_in(site, idp).status_code == 303


def test_sign_ins_do_not_wait_for_the_provider_one_after_the_other(site: Any, idp: IdentityProvider) -> None:
    asked: list[httpx.Request] = []

    async def never(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await anyio.sleep_forever()
        raise AssertionError

    known = site.service.sign_in
    client = httpx.AsyncClient(transport=httpx.MockTransport(never))
    party = RelyingParty(provider=known.provider, http=client, clock=known.clock, deadline=0.05)

    async def give_up() -> None:
        with pytest.raises(ProviderUnavailable, match=r"took longer than 0\.05 seconds"):
            await party.address("binding")

    async def at_once() -> None:
        async with anyio.create_task_group() as sign_ins:
            for _ in range(20):
                sign_ins.start_soon(give_up)

    anyio.run(at_once)
    assert len(asked) < 20


def test_an_answer_of_a_provider_has_a_size(site: Any, idp: IdentityProvider) -> None:
    idp.filling = b" " * MAX_ANSWER
    assert refused(site.ask("GET", "/sign-in/oidc"), 503)
    idp.filling = b" " * (MAX_ANSWER - 1000)
    assert sign_in(site, idp).status_code == 303


def test_a_partner_that_is_not_known_here_gets_no_session(site: Any, idp: IdentityProvider) -> None:
    idp.claims = {"groups": "partners", "partner_id": "P-9"}
    answer = sign_in(site, idp)
    assert refused(answer, 403)
    assert "is not known here" in answer.text
    assert "P-9" not in answer.text


@pytest.mark.parametrize("kind", ["at+jwt", "logout+jwt", ""])
def test_a_token_of_another_type_is_refused(site: Any, idp: IdentityProvider, kind: str) -> None:
    idp.header = {"typ": kind}
    assert refused(sign_in(site, idp))
    idp.header = {"typ": "jwt"}
    assert sign_in(site, idp).status_code == 303


def test_a_provider_of_another_name_is_not_used(site: Any, idp: IdentityProvider) -> None:
    idp.issuer = "https://evil.example"
    assert refused(site.ask("GET", "/sign-in/oidc"), 503)


def test_who_is_not_signed_in_is_offered_to(site: Any, idp: IdentityProvider, reader: Any) -> None:
    page = reader(site.ask("GET", "/").text)
    assert "/sign-in/oidc" in page.attributes("a", "href")
    assert "Sign in with Acme" in page.text
    site.service = replace(site.service, sign_in=None)
    assert "/sign-in/oidc" not in site.ask("GET", "/").text
    for path in ("/sign-in/oidc", "/sign-in/oidc/callback?code=1&state=2"):
        assert site.ask("GET", path).status_code == 404


def test_no_token_or_code_is_logged(site: Any, idp: IdentityProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    idp.claims = {"nonce": "another"}
    cookie, address = begin(site)
    returned = idp.authorise(address)
    asked = dict(idp.codes[returned["code"]])
    assert refused(come_back(site, cookie, returned))
    assert "InvalidClaimError" in caplog.text
    # The browser's own log of the test is not ours.
    ours = "\n".join(line for record in caplog.records if "https://eql.test" not in (line := record.getMessage()))
    for secret in (idp.signed(asked), returned["code"], returned["state"], cookie.partition("=")[2], SECRET):
        assert secret not in ours


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://id.example.org"},
        {"issuer": "id.example.org"},
        {"public_url": "http://eql.example.org"},
        {"client_id": ""},
        {"roles": {}},
        {"scopes": "groups"},
    ],
    ids=str,
)
def test_a_provider_that_is_not_safe_or_lets_nobody_in_is_refused(
    site: Any, idp: IdentityProvider, change: dict[str, Any]
) -> None:
    with pytest.raises(InvalidProvider):
        replace(site.service.sign_in.provider, **change)


def test_the_secret_is_not_shown(site: Any, idp: IdentityProvider) -> None:
    assert SECRET not in repr(site.service)
