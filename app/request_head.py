"""The head of a request: how large it may be, and the headers that must be there once (RFC 9112, RFC 6585)."""

from collections import Counter
from collections.abc import Collection

from serving.http.problems import Problem

MAX_BYTES = 64 * 1024
MAX_LINES = 100
TOO_LARGE = Problem(431, f"The headers have more than {MAX_LINES} lines or {MAX_BYTES // 1024} KiB; send fewer.")
_ONCE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"eql-dry-run",
        b"host",
        b"idempotency-key",
        b"origin",
        b"sec-fetch-site",
        b"transfer-encoding",
        b"x-api-key",
    )
)
"""Headers that say one thing: of two that differ, a proxy may read the first and this service the last."""


def contradiction(headers: Collection[tuple[bytes, bytes]], version: str) -> Problem | None:
    """The refusal of headers without a host, or with two values where one is meant; None for sound headers.

    Args:
        headers: the names, in lower case, and the values.
        version: the HTTP version; before 1.1 a host is not needed (RFC 9112, 3.2).
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts == 0 and version == "1.1":
        return Problem(400, "HTTP/1.1 needs the header Host; send it.")
    distinct = Counter(name for name, _ in {*headers} if name in _ONCE)
    twice = [name for name, values in distinct.items() if values > 1] or [b"host"] * (hosts > 1)
    if twice:
        return Problem(400, f"The header {twice[0].decode().title()} is there more than once; send it once.")
    return None
