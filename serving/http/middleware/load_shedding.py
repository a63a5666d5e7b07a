"""Load shedding: a bounded number of requests runs at once, a few wait, and further ones are refused at once.

A request that waits long is often answered to a client that has left. Under overload the service therefore keeps its
usual throughput at nearly its usual latency, and refuses the rest while their clients still listen.
"""

import asyncio
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.metrics import Metrics
from serving.http.problems import Problem

MAX_RUNNING = 8
"""Requests that a process runs at once. Their work is bound by the interpreter: more of them only delay refusals and
/healthz, while the decisions of eight are made together at less than the cost of each."""
MAX_WAITING = 4
"""Requests that wait for a place: so few that no request takes much longer than usual under load."""
MAX_WAIT = 2.0
"""Seconds that a request waits at most."""
LARGE = 64 * 1024
"""Bytes of a body from which on a request takes half of the places, because it runs long and holds much memory."""
APART = "/sign-in/oidc"
"""Paths whose requests wait on the identity provider; a slow provider must not take the places of all others."""
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered under any load."""


@dataclass
class LoadShedding:
    """Middleware that runs as many requests as there are places, and answers the rest 503 with Retry-After.

    Attributes:
        app: the next layer.
        metrics: counts the refusals.
        max_running: the places.
        max_waiting: requests that may wait for a place.
        max_wait: seconds that a request may wait.
        apart: the layer for requests that wait on another service, with places of its own; None for no such requests.
    """

    app: ASGIApp
    metrics: Metrics
    max_running: int = MAX_RUNNING
    max_waiting: int = MAX_WAITING
    max_wait: float = MAX_WAIT
    apart: "LoadShedding | None" = None
    _free: int = field(init=False)
    _waiting: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the next request in line, so that small requests do not overtake a large one for ever."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._free = self.max_running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, now or after a short wait, or refuses it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self.apart is not None and scope["path"].startswith(APART):
            await self.apart(scope, receive, send)
            return
        places = self._places(Headers(scope=scope))
        try:
            await self._enter(places)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._free += places
            self._freed.set()

    def _places(self, headers: Headers) -> int:
        large = "transfer-encoding" in headers or int(headers.get("content-length", 0)) >= LARGE
        return max(1, self.max_running // 2) if large else 1

    async def _enter(self, places: int) -> None:
        if self._free >= places and not self._turn.locked():
            self._free -= places
            return
        if self._waiting >= self.max_waiting:
            raise self._refusal("full")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.max_wait), self._turn:
                while self._free < places:
                    self._freed.clear()
                    await self._freed.wait()
                self._free -= places
        except TimeoutError:
            raise self._refusal("late") from None
        finally:
            self._waiting -= 1

    def _refusal(self, reason: str) -> Problem:
        self.metrics.shed.labels(reason).inc()
        detail = "The service is overloaded. This request changed nothing; send it again."
        return Problem(503, detail, headers={"Retry-After": "1"})
