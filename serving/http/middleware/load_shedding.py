"""Load shedding at the level of ASGI: a bounded number of requests is worked on, few wait, the others are told at once.

Work that waits long is work for a caller that has gone. So under more load than can be done the service keeps doing
what it can, in nearly the usual time, and says no to the rest while they still listen.
"""

import asyncio
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.metrics import Metrics
from serving.http.problems import Problem

AT_ONCE = 8
"""Requests worked on at once by a process. Their work is bound by the interpreter, so more keep refusals and /healthz
waiting; decisions are made for all of them at the same time, which costs less than each alone."""
WAITING = 4
"""Requests that may wait for that: so few that under load none takes much longer than usual."""
PATIENCE = 2.0
"""Seconds a request may wait."""
LARGE = 64 * 1024
"""Bytes of a body from which on a request takes half of the places, for it is long at work and holds much memory."""
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that answer under any load."""


@dataclass
class Admission:
    """Middleware that lets in what can be worked on, and answers the rest 503 with Retry-After.

    Attributes:
        app: what handles the request.
        metrics: where refusals are counted.
        at_once: requests worked on at once; the places.
        waiting: requests that may wait for it.
        patience: seconds one may wait.
    """

    app: ASGIApp
    metrics: Metrics
    at_once: int = AT_ONCE
    waiting: int = WAITING
    patience: float = PATIENCE
    _free: int = field(init=False)
    _queued: int = 0
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one whose turn is next, so that small requests do not always overtake a large one."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._free = self.at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, now or after a short wait, or not at all."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self.app(scope, receive, send)
            return
        places = self._wanted(Headers(scope=scope))
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

    def _wanted(self, headers: Headers) -> int:
        large = "transfer-encoding" in headers or int(headers.get("content-length", 0)) >= LARGE
        return max(1, self.at_once // 2) if large else 1

    async def _enter(self, places: int) -> None:
        if self._free >= places and not self._line.locked():
            self._free -= places
            return
        if self._queued >= self.waiting:
            raise self._refusal("full")
        self._queued += 1
        try:
            async with asyncio.timeout(self.patience), self._line:
                while self._free < places:
                    self._freed.clear()
                    await self._freed.wait()
                self._free -= places
        except TimeoutError:
            raise self._refusal("late") from None
        finally:
            self._queued -= 1

    def _refusal(self, reason: str) -> Problem:
        self.metrics.shed.labels(reason).inc()
        detail = "More requests came than can be answered in time; nothing was done for this one, so try again."
        return Problem(503, detail, headers={"Retry-After": "1"})
