"""One HTTP connection: the limits of its client in size, number and time, how it closes, and how it refuses.

A client that sends no end, sends or reads slowly, or holds many connections takes neither memory nor a place for long.
uvicorn bounds none of this for its fast parser, and its `limit_concurrency` refuses probes, too.
"""

import asyncio
import json
import resource
import select
from http import HTTPStatus
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app import request_head
from serving.http.problems import MEDIA_TYPE, Problem

HEADER_SECONDS = 15.0
"""The time from a connection, or from the first byte of a further request, to the end of its headers."""
READ_SECONDS = 60.0
"""The time in which a client must read `MIN_READ` bytes of its answer, or the rest of it."""
MIN_READ = 64 * 1024
MAX_CONNECTIONS = 2_000
"""Connections that a process holds at most, so that their headers fit into memory."""
SPARE_FILES = 128
"""File descriptors that stay free of connections, for the store, the log and the models."""
_GRACE_SECONDS = 1.0
_LINGER_SECONDS = 2.0
"""The time in which a client that still sends can read why it was refused."""
_BAD_REQUEST = Problem(400, "The request is not valid HTTP/1.1.")
_LATE = Problem(408, f"The headers took longer than {HEADER_SECONDS:.0f} seconds to arrive.")
_FULL = Problem(503, "The service has no free connection; try again.", headers={"Retry-After": "1"})


def max_connections() -> int:
    """The connections that a process holds at once, within the limit of its file descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - SPARE_FILES))


class Refused(Exception):
    """The parser stops, because the request is refused before the application sees it."""


class Connection(HttpToolsProtocol):
    """A connection whose client is bounded, and that, at shutdown, closes after its next answer or an idle second.

    uvicorn closes idle connections at once. A request that is on its way then gets no answer. uvicorn also closes a
    connection whose answer has begun without `Connection: close`, although the next request may be on its way.

    Trailers are read and ignored: a key or a cookie in them would pass the checks of a proxy.

    Attributes:
        idle_since: the loop's time of the connection, of its last request's first byte, or of its last answer.
        is_cut_off: whether the connection was closed at once.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._application, self.app = self.app, self._answer_a_reader
        self._draining = False
        self._refused = False
        self._refusal = _BAD_REQUEST
        self._in_head = False
        self._in_message = False
        self._lines = self._size = 0
        self._unparsed = 0
        self.is_cut_off = False
        self.idle_since = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._has_read = True

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._reading = self.loop.call_later(READ_SECONDS, self._check_reading, 0)
        self._await_request()
        if len(self.connections) > max_connections():
            self._make_room()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        if self._reading is not None:
            self._reading.cancel()
        super().connection_lost(exc)

    # What the client sends.

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        # The parser keeps what it has of an unfinished header, so its size is counted outside.
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > request_head.MAX_BYTES:
            self._refuse(request_head.TOO_LARGE)
        self._await_request()

    @override
    def on_message_begin(self) -> None:
        self._in_head = self._in_message = True
        self._lines = self._size = 0
        self.idle_since = self.loop.time()
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self._size += len(url)
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        self._size += len(name) + len(value) + 4
        if self._lines > request_head.MAX_LINES or self._size > request_head.MAX_BYTES:
            self._stop(request_head.TOO_LARGE)
        if self._in_head:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._in_head, self._has_read, self._unparsed = False, True, 0
        self._cancel_deadline()
        if problem := request_head.contradiction(self.headers, self.parser.get_http_version()):
            self._stop(problem)
        super().on_headers_complete()
        # The parser reads no further request after one that asks for another protocol.
        if self._draining or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._in_message, self._unparsed = False, 0
        super().on_message_complete()

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Another protocol that a client offers is not used, as RFC 9110 (7.8) allows; the log need not tell."""

    # What the client is sent.

    async def _answer_a_reader(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request once the client has read its earlier answers, so that no slow reader holds a place."""
        await self.flow.drain()
        await self._application(scope, receive, send)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.idle_since = self.loop.time()
        if self._in_message:
            self._await_request()

    @override
    def resume_writing(self) -> None:
        self._has_read = True
        super().resume_writing()

    def _check_reading(self, before: int) -> None:
        """Cuts off a client that read too little since the last check, when `before` bytes were left for it."""
        left = self.transport.get_write_buffer_size()
        if left and before and before - left < MIN_READ and not self._has_read:
            self.cut_off()
            return
        self._has_read = False
        self._reading = self.loop.call_later(READ_SECONDS, self._check_reading, left)

    # How it closes.

    @override
    def shutdown(self) -> None:
        if self.transport.is_closing():
            return
        if self._answer_is_pending():
            self.cycle.keep_alive = False
        else:
            if self._draining and self._is_idle():
                self._close_unless_read()
            self.loop.call_later(_GRACE_SECONDS, self.shutdown)
        self._draining = True

    @override
    def timeout_keep_alive_handler(self) -> None:
        self._close_unless_read()

    def _close_unless_read(self) -> None:
        """Closes the idle connection, unless a request has arrived that the loop has not read yet."""
        if self.transport.is_closing():
            return
        arrived = select.poll()
        arrived.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        if not arrived.poll(0):
            self.transport.close()

    def _await_request(self) -> None:
        """Starts the time in which the client must send its headers, or what else it owes, unless it is owed itself."""
        if self._deadline is None and self._is_answered() and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._expire)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self._in_head:
            self.logger.warning("a request was refused with 408: its headers did not arrive in time")
            self._refuse(_LATE)
        elif self._in_message:
            self.transport.close()
        else:
            self._close_unless_read()

    def _make_room(self) -> None:
        """Cuts off the client that is owed nothing for the longest time, so that a new one, or a probe, is heard."""
        others: set[Any] = self.connections - {self}
        idle = [each for each in others if each.is_owed_nothing() and not each.is_cut_off]
        if idle:
            min(idle, key=lambda each: each.idle_since).cut_off()
        else:
            self._refuse(_FULL)

    def is_owed_nothing(self) -> bool:
        """Whether no request has arrived whole that is not answered yet."""
        return self._is_answered() or (self.cycle.more_body and not self.pipeline)

    def cut_off(self) -> None:
        """Closes the connection at once."""
        self.is_cut_off = True
        self.transport.abort()

    # How it refuses.

    @override
    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are not HTTP, or headers that are refused, with a problem."""
        self._refuse(self._refusal)

    def _stop(self, problem: Problem) -> None:
        """Makes the parser stop; uvicorn then calls `send_400_response`."""
        self._refusal = problem
        raise Refused

    def _refuse(self, problem: Problem) -> None:
        """Answers with a problem, the form of every other refusal, and closes the connection.

        Earlier requests that are not answered yet are answered instead, the last of them with `Connection: close`.
        """
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._cancel_deadline()
        if self.is_owed_nothing() and (self._is_answered() or not self.cycle.response_started):
            self._say(problem)
        else:
            self.cycle.keep_alive = False

    def _say(self, problem: Problem) -> None:
        body = json.dumps(problem.content).encode()
        more = "".join(f"{name.lower()}: {value}\r\n" for name, value in problem.headers.items())
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\n{more}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # A closed socket would reset a client that still sends, before the client reads the refusal.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _is_idle(self) -> bool:
        return not self._in_head and self._is_answered()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _answer_is_pending(self) -> bool:
        return self.cycle is not None and not self.cycle.response_started
