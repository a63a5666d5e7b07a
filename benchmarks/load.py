"""Load on an HTTP server, closed loop and open loop. Raw keep-alive sockets keep the cost of the client low."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

import uvloop

_HOST = "127.0.0.1"
_TIMEOUT = 30.0
"""Seconds after which a request counts as lost."""


@dataclass(frozen=True)
class TimedAnswer:
    """The answer to one request.

    Attributes:
        sent: when the request was sent, or was due in an open loop, seconds of a clock.
        seconds: the time until the answer was complete.
        status: the HTTP status.
        retry_after: whether the answer has a Retry-After header.
    """

    sent: float
    seconds: float
    status: int
    retry_after: bool


@dataclass
class Load:
    """A load on a server and its answers.

    Attributes:
        answers: the answers, in the order of their arrival.
        lost: requests that were sent and got no answer: the connection was reset, or the time was over.
        unsent: requests for which no connection could be opened.
        seconds: the duration of the load.
    """

    answers: list[TimedAnswer] = field(default_factory=list)
    lost: int = 0
    unsent: int = 0
    seconds: float = 0.0

    def of(self, status: int) -> list[TimedAnswer]:
        """The answers with a status."""
        return [answer for answer in self.answers if answer.status == status]

    def a_second(self, status: int = 200) -> float:
        """Answers with a status, a second."""
        return len(self.of(status)) / self.seconds

    def milliseconds(self, level: float, status: int = 200) -> float:
        """A quantile, by its level from 0 to 1, of the time to an answer with a status; NaN without any."""
        ordered = sorted(answer.seconds for answer in self.of(status))
        return 1000 * ordered[min(len(ordered) - 1, int(level * len(ordered)))] if ordered else float("nan")


def request(port: int, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    """An HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {_HOST}:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def loopback_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def healthy(port: int, path: str = "/healthz") -> bool:
    """Whether the server answers 200 at a path."""
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(request(port, path, b"", {"Connection": "close"}, "GET"))
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


class _Connection:
    """A keep-alive connection. It opens at its first use, and again after the server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent = False

    async def send(self, content: bytes) -> tuple[int, bool]:
        """Sends a request; returns the status of the answer, and whether it has a Retry-After header."""
        self.sent = False
        if self.streams is None:
            self.streams = await asyncio.open_connection(_HOST, self.port)
        reader, writer = self.streams
        try:
            writer.write(content)
            self.sent = True
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), b"retry-after: " in head

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def _send(connection: _Connection, content: bytes, load: Load, since: float) -> bool:
    try:
        status, retry_after = await asyncio.wait_for(connection.send(content), _TIMEOUT)
    except (OSError, EOFError, TimeoutError):
        load.lost += connection.sent
        load.unsent += not connection.sent
        return False
    load.answers.append(TimedAnswer(since, time.perf_counter() - since, status, retry_after))
    return True


def closed_loop(
    port: int, contents: Sequence[bytes], connections: int, seconds: float, *, until_lost: bool = False
) -> Load:
    """A closed loop: each connection sends its next request when it has the answer to the last one.

    Args:
        port: the port of the server.
        contents: the requests, sent in turn.
        connections: the number of connections.
        seconds: the duration.
        until_lost: whether a connection stops at the first request without an answer.
    """
    return uvloop.run(_closed_loop(port, contents, connections, seconds, until_lost))


async def _closed_loop(
    port: int, contents: Sequence[bytes], connections: int, seconds: float, until_lost: bool
) -> Load:
    load, requests = Load(), cycle(contents)
    start = time.perf_counter()

    async def client() -> None:
        connection = _Connection(port)
        answered = True
        while time.perf_counter() - start < seconds and (answered or not until_lost):
            answered = await _send(connection, next(requests), load, time.perf_counter())
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    load.seconds = time.perf_counter() - start
    return load


def open_loop(port: int, contents: Sequence[bytes], a_second: float, seconds: float) -> Load:
    """An open loop: requests at even intervals, whether or not earlier requests have an answer yet.

    The time to an answer counts from the moment at which its request was due.
    """
    return uvloop.run(_open_loop(port, contents, a_second, seconds))


async def _open_loop(port: int, contents: Sequence[bytes], a_second: float, seconds: float) -> Load:
    load, requests, idle = Load(), cycle(contents), list[_Connection]()
    tasks: set[asyncio.Task[None]] = set()

    async def send_at(due: float) -> None:
        connection = idle.pop() if idle else _Connection(port)
        await _send(connection, next(requests), load, due)
        idle.append(connection)

    start = time.perf_counter()
    for number in range(int(a_second * seconds)):
        due = start + number / a_second
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(send_at(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    load.seconds = time.perf_counter() - start
    if tasks:
        await asyncio.wait(tasks)
    for connection in idle:
        connection.close()
    return load
