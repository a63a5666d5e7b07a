"""The request log: each request gets an id, a log line and its place in the metrics. Its content is never logged.

The log holds the template of the path instead of the path, because paths contain ids.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.value_types import SECOND
from serving.http.authentication import presented_key
from serving.http.metrics import Metrics
from serving.identity import TokenSource, visible_part, well_formed
from serving.logs import REQUEST_ID, REQUESTS

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{8,64}")
_ID_BYTES = 16
_PROTECTING = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Headers of every answer that does not set them itself: clients do not guess its type, and caches do not keep it."""
_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left before the answer began."""


@dataclass(frozen=True)
class RequestLog:
    """Middleware that gives each request an id, repeats the id in the answer, and logs the answered request.

    Attributes:
        app: the next layer.
        clock: the current time in microseconds.
        tokens: gives the ids.
        metrics: counts the requests.
    """

    app: ASGIApp
    clock: Callable[[], int]
    tokens: TokenSource
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, then logs it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, request_id = _CLIENT_CLOSED_REQUEST, self._id(scope)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                for name, value in _PROTECTING.items():
                    headers.setdefault(name, value)
            await send(message)

        started, context = self.clock(), REQUEST_ID.set(request_id)
        try:
            with self.metrics.in_flight.track_inprogress():
                await self.app(scope, receive, send_with_id)
        finally:
            self._log(scope, status, max(0, self.clock() - started))
            REQUEST_ID.reset(context)

    def _id(self, scope: Scope) -> str:
        given = Headers(scope=scope).get(HEADER, "")
        return given if _WELL_FORMED.fullmatch(given) else self.tokens(_ID_BYTES).hex()

    def _log(self, scope: Scope, status: int, duration: int) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self.metrics.answered(scope["method"], route, status, duration / SECOND)
        if REQUESTS.isEnabledFor(logging.INFO):
            key = presented_key(Headers(scope=scope))
            fields = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": duration / 1000,
                "key": visible_part(key) if key is not None and well_formed(key) else None,
            }
            REQUESTS.info("", extra={"fields": fields})
