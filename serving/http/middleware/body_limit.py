"""The limit of request bodies at the level of ASGI: a small body is passed on whole, a large one is refused.

A body over the limit is read to its end before the refusal is sent (up to a second limit), because a client that still
sends when the answer comes sees a reset connection instead of the answer.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.problems import Problem

MIB = 2**20
MAX_BYTES = 2 * MIB
"""Bytes of a body at most."""
MAX_DRAINED = 64 * MIB
"""Bytes of a larger body that are read and dropped before the refusal at most."""
MAX_SECONDS = 30.0
"""Seconds within which a body must arrive."""


@dataclass(frozen=True)
class BodyLimit:
    """Middleware that passes on requests with their whole body, and answers too large ones 413 and too slow ones 408.

    Attributes:
        app: the next layer.
        limit: bytes of a body at most.
        drained: bytes of a larger body that are read and dropped before the refusal at most.
        seconds: seconds within which a body must arrive.
    """

    app: ASGIApp
    limit: int = MAX_BYTES
    drained: int = MAX_DRAINED
    seconds: float = MAX_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or refuses it; a client that leaves while it sends gets no answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        if body is not None:
            await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        try:
            async with asyncio.timeout(self.seconds):
                return await _read(receive, self.limit, self.drained)
        except TimeoutError:
            detail = f"The body must arrive within {self.seconds:g} seconds."
            raise Problem(408, detail, headers={"Connection": "close"}) from None


async def _read(receive: Receive, limit: int, drained: int) -> bytes | None:
    """The whole body; None where the client left before its end.

    Raises:
        Problem: 413, the body is larger than `limit`.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= max(limit, drained):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    if size > limit:
        raise _too_large(limit, unread=more)
    return b"".join(parts)


def _too_large(limit: int, *, unread: bool) -> Problem:
    headers = {"Connection": "close"} if unread else {}
    return Problem(413, f"The body must not be larger than {limit // MIB} MiB.", headers=headers)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
