"""HEAD is answered wherever there is a GET, as RFC 9110 (section 9.1) asks; monitors probe with it."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class HeadRequests:
    """Middleware that answers HEAD as GET, without the content."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}

        async def send_headers(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        try:
            await self.app(as_get, receive, send_headers)
        finally:
            # The framework writes the route into the scope; the log and the metrics read it there.
            scope.update((name, value) for name, value in as_get.items() if name != "method")
