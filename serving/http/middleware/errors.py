"""The outermost guard: an unforeseen error becomes a 500 without details and a log entry without data."""

import logging
import traceback
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.problems import as_problem

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErrorBoundary:
    """Middleware that answers 500 where the app raises, and logs the kind of error and the places it passed.

    The error's own text stays out of the log: libraries put values in it, which may be personal.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; where the answer had begun already, the connection ends with the error."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http":
                raise
            _LOG.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if begun:
                raise BrokenAnswer from None
            await as_problem(error).response()(scope, receive, send)


class BrokenAnswer(RuntimeError):
    """The app raised in the middle of an answer; the cause is in the log."""
