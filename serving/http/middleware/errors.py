"""The error boundary: an unexpected error becomes a 500 without details and a log entry without data."""

import logging
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.problems import as_problem
from serving.logs import log_error

_LOG = logging.getLogger(__name__)


class BrokenAnswer(RuntimeError):
    """The application raised after its answer had begun; the log has the cause."""


@dataclass(frozen=True)
class ErrorBoundary:
    """Middleware that answers 500 where a later layer raises, and logs the kind of error and its stack."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on; where the answer had already begun, the connection ends with the error."""
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log_error(_LOG, None, error)
            if begun:
                raise BrokenAnswer from None
            await as_problem(error).response()(scope, receive, send)
