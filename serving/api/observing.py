"""What is told of each request, at the level of ASGI: an id, a log line and numbers; of its content nothing.

Not its path either, for ids are in it, but the template of the path.
"""

import logging
import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.value_types import SECOND
from serving.access import visible, well_formed
from serving.api.callers import presented_key
from serving.logs import REQUEST_ID, REQUESTS
from serving.service import Service

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{8,64}")
_ID_BYTES = 16
_PROTECTING = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Of answers that do not say otherwise: they are taken for what they say they are, and kept by nobody on the way."""
_GONE = 499
"""What nginx calls the status of a client that left before the answer began."""


@dataclass(frozen=True)
class Observing:
    """Middleware that gives each request an id, which the answer repeats, and tells of it when it is answered.

    Attributes:
        app: what handles the request.
        service: has clock, randomness and metrics.
    """

    app: ASGIApp
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request and tells of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, request_id = _GONE, self._id(scope)

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
                for name, value in _PROTECTING.items():
                    headers.setdefault(name, value)
            await send(message)

        started, context = self.service.clock(), REQUEST_ID.set(request_id)
        try:
            with self.service.metrics.in_flight.track_inprogress():
                await self.app(scope, receive, marked)
        finally:
            self._tell(scope, status, max(0, self.service.clock() - started))
            REQUEST_ID.reset(context)

    def _id(self, scope: Scope) -> str:
        given = Headers(scope=scope).get(HEADER, "")
        return given if _WELL_FORMED.fullmatch(given) else self.service.tokens(_ID_BYTES).hex()

    def _tell(self, scope: Scope, status: int, took: int) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self.service.metrics.answered(scope["method"], route, status, took / SECOND)
        if REQUESTS.isEnabledFor(logging.INFO):
            key = presented_key(Headers(scope=scope))
            fields = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "milliseconds": took / 1000,
                "key": visible(key) if key is not None and well_formed(key) else None,
            }
            REQUESTS.info("", extra={"fields": fields})
