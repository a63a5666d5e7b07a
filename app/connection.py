"""One HTTP connection: the limits of its headers, how it closes at shutdown, and the answer to bytes that are not HTTP.

The limits follow RFC 9112 and RFC 6585. A client that sends no end of a header, or sends it slowly, takes neither
memory nor a place for long. Trailers are never headers: a key or a cookie in them would pass the checks of a proxy.
"""

import asyncio
import json
import resource
from collections import Counter
from http import HTTPStatus
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.middleware.load_shedding import PROBES
from serving.http.problems import MEDIA_TYPE, Problem

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADER_LINES = 100
HEADER_SECONDS = 15.0
"""The time from a connection, or from the first byte of a further request, to the end of its headers."""
SPARE_FILES = 128
"""File descriptors that stay free of connections, for the store, the log and the models."""
SPARE_CONNECTIONS = 16
"""Connections beyond the cap, on which only probes are answered."""
_GRACE_SECONDS = 1.0
_SINGLE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"eql-dry-run",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-api-key",
    )
)
"""Headers that say one thing: a proxy may read the first and this service the last of two that differ."""
_BAD_REQUEST = Problem(400, "The request is not valid HTTP/1.1.")
_TOO_LARGE = Problem(
    431, f"The headers have more than {MAX_HEADER_LINES} lines or {MAX_HEADER_BYTES // 1024} KiB; send fewer."
)
_LATE = Problem(408, f"The headers took longer than {HEADER_SECONDS:.0f} seconds to arrive.")
_FULL = Problem(503, "The service has no free connection; try again.", headers={"Retry-After": "1"})


def max_connections() -> int:
    """The connections that a process holds at once: what the limit of its file descriptors leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(SPARE_CONNECTIONS, soft - SPARE_FILES) if soft != resource.RLIM_INFINITY else 10_000


class Refused(Exception):
    """A request that is refused before the application sees it."""


class Connection(HttpToolsProtocol):
    """A connection with bounded headers that, at shutdown, closes after its next answer or a second without a request.

    uvicorn closes idle connections at once. A request that is on its way then gets no answer. uvicorn also closes a
    connection whose answer has begun without `Connection: close`, although the next request may be on its way.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._draining = False
        self._receiving = False
        self._refusal = _BAD_REQUEST
        self._unfinished = 0
        self._lines = 0
        self._size = 0
        self._deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > max_connections() + SPARE_CONNECTIONS:
            self._refuse(_FULL)
        else:
            self._await_headers()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_arrived()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The parser keeps what it has of an unfinished header, so its size is counted outside.
        self._unfinished = self._unfinished + len(data) if self._receiving else 0
        if self._unfinished > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)

    @override
    def on_message_begin(self) -> None:
        self._receiving, self._lines, self._size = True, 0, 0
        self._await_headers()
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._receiving:
            return
        self._lines += 1
        self._size += len(name) + len(value) + 4
        if self._lines > MAX_HEADER_LINES or self._size > MAX_HEADER_BYTES:
            self._refusal = _TOO_LARGE
            raise Refused
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._receiving = False
        self._headers_arrived()
        self._check_headers()
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    @override
    def shutdown(self) -> None:
        if self._draining and self._is_idle():
            self.transport.close()
        elif self._answer_is_pending():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_GRACE_SECONDS, self.shutdown)
        self._draining = True

    @override
    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are not HTTP, or headers that are refused, with a problem."""
        self._refuse(self._refusal)

    def _check_headers(self) -> None:
        """Refuses a request without a host, with contradictory headers, or beyond the cap of connections."""
        distinct = Counter(name for name, _ in {*self.headers} if name in _SINGLE)
        hosts = sum(name == b"host" for name, _ in self.headers)
        needed = self.parser.get_http_version() == "1.1"
        full = len(self.connections) > max_connections()
        if any(count > 1 for count in distinct.values()) or hosts > 1 or (needed and not hosts):
            self._refusal = Problem(400, "A header is missing, or is there twice; send Host, and each header once.")
        elif full and self.url.partition(b"?")[0].decode("latin-1") not in PROBES:
            self._refusal = _FULL
        else:
            return
        raise Refused

    def _await_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._expired)

    def _headers_arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        if self._receiving:
            self._refuse(_LATE)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answers with a problem, the form of every other refusal, and closes the connection."""
        body = json.dumps(problem.content).encode()
        more = "".join(f"{name.lower()}: {value}\r\n" for name, value in problem.headers.items())
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _is_idle(self) -> bool:
        return not self._receiving and (self.cycle is None or self.cycle.response_complete)

    def _answer_is_pending(self) -> bool:
        return self.cycle is not None and not self.cycle.response_started
