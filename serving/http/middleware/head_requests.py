"""HEAD wherever there is a GET, as RFC 9110 (section 9.1) asks; monitors probe with it."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Head:
    """Middleware that answers HEAD as GET, without the content."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}

        async def headers_alone(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        try:
            await self.app(asked, receive, headers_alone)
        finally:
            # The route is written into the scope, for logs and numbers.
            scope.update((name, value) for name, value in asked.items() if name != "method")
