"""Rate limits at the level of ASGI: by API key, else by address, before anything is read or looked up."""

import math
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.authentication import presented_key
from serving.http.problems import Problem
from serving.http.token_bucket import Allowance
from serving.identity import digest, well_formed
from serving.service import Service

PREFIX = "/v1/"
"""Where limits hold: the API."""


@dataclass(frozen=True)
class RateLimiting:
    """Middleware that answers 429 to a caller over its limit, and tells the others what remains.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy: "key";q=100;w=1` and
    `RateLimit: "key";r=99;t=1`.

    Attributes:
        app: what handles the request.
        service: has the limit, the clock and the metrics.
    """

    app: ASGIApp
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or refuses it."""
        limit = self.service.rate_limit
        if limit is None or scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        caller, policy = _caller(scope)
        allowance = limit.take(caller, self.service.clock())
        told = _headers(policy, limit.a_second, allowance)
        if not allowance.granted:
            self.service.metrics.limited.inc()
            await _refusal(limit.a_second, allowance, told).response()(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self.app(scope, receive, telling)


def _caller(scope: Scope) -> tuple[str, str]:
    """Who is counted, and by what. What cannot be a key is no caller of its own, or anyone could have many."""
    key = presented_key(Headers(scope=scope))
    if key is not None and well_formed(key):
        return digest(key), "key"
    return (scope.get("client") or ("",))[0], "address"


def _headers(policy: str, a_second: int, allowance: Allowance) -> dict[str, str]:
    return {"RateLimit-Policy": f'"{policy}";q={a_second};w=1', "RateLimit": f'"{policy}";r={allowance.remaining};t=1'}


def _refusal(a_second: int, allowance: Allowance, told: dict[str, str]) -> Problem:
    wait = {"Retry-After": str(math.ceil(allowance.wait) or 1)}
    return Problem(429, f"More than {a_second} requests a second; come again a little later.", headers={**told, **wait})
