"""A slash that a client encoded as `%2F` belongs to an id, and divides no path (RFC 3986, section 2.2).

The server decodes the whole path. So the middleware decodes it again from the bytes as sent, with a mark in the place
of every encoded slash, and the convertors of `serving.http.path_ids` read the marks. The id `A/score` is then reached
as `/v1/leads/A%2Fscore`.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_MARK = "\ue000"
"""A character of the private use area. Where a client sends it, it is marked itself."""
_SLASH, _ITSELF = f"{_MARK}s", f"{_MARK}m"
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)


def unmarked(text: str) -> str:
    """A part of a path as the client meant it, with the slashes that it encoded."""
    return text.replace(_SLASH, "/").replace(_ITSELF, _MARK)


@dataclass(frozen=True)
class EncodedSlashes:
    """Middleware that keeps encoded slashes apart from those that divide the path."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        raw = scope.get("raw_path") or b""
        if scope["type"] == "http" and (_MARK in scope["path"] or _ENCODED_SLASH.search(raw)):
            parts = _ENCODED_SLASH.split(raw.partition(b"?")[0])
            scope["path"] = _SLASH.join(unquote(part.decode("latin-1")).replace(_MARK, _ITSELF) for part in parts)
        await self.app(scope, receive, send)
