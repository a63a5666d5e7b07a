"""The rate limit of the API: it counts by API key, else by address, before a body is read or a key is looked up."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.authentication import presented_key
from serving.http.metrics import Metrics
from serving.http.problems import Problem
from serving.http.token_bucket import Allowance, RateLimit
from serving.identity import digest, well_formed

API, ANONYMOUS = "/v1/", "/sign-in"
"""The paths that are limited: those of the API, and those that anyone may call to sign in."""


@dataclass(frozen=True)
class RateLimiting:
    """Middleware that answers 429 to a caller over its limit, and adds the remaining requests to other answers.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy: "key";q=100;w=1` and
    `RateLimit: "key";r=99;t=1`.

    Attributes:
        app: the next layer.
        limit: the requests that a caller may send; None for no limit.
        clock: the current time in microseconds.
        metrics: counts the refusals.
    """

    app: ASGIApp
    limit: RateLimit | None
    clock: Callable[[], int]
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or refuses it."""
        if self.limit is None or scope["type"] != "http" or not scope["path"].startswith((API, ANONYMOUS)):
            await self.app(scope, receive, send)
            return
        caller, policy = _caller(scope)
        allowance = self.limit.take(caller, self.clock())
        limits = _headers(policy, self.limit.a_second, allowance)
        if not allowance.granted:
            self.metrics.limited.inc()
            await _refusal(self.limit.a_second, allowance, limits).response()(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limits)
            await send(message)

        await self.app(scope, receive, send_with_limits)


def _caller(scope: Scope) -> tuple[str, str]:
    """The caller to count, and whether its key or its address identifies it.

    A malformed key, and a key where none is needed, counts for its address; otherwise one client could be many callers.
    """
    key = presented_key(Headers(scope=scope))
    if key is not None and well_formed(key) and scope["path"].startswith(API):
        return digest(key), "key"
    return (scope.get("client") or ("",))[0], "address"


def _headers(policy: str, a_second: int, allowance: Allowance) -> dict[str, str]:
    return {"RateLimit-Policy": f'"{policy}";q={a_second};w=1', "RateLimit": f'"{policy}";r={allowance.remaining};t=1'}


def _refusal(a_second: int, allowance: Allowance, limits: dict[str, str]) -> Problem:
    wait = {"Retry-After": str(math.ceil(allowance.wait) or 1)}
    return Problem(429, f"The limit is {a_second} requests a second; send the request again later.", (), limits | wait)
