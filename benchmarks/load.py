"""Load on an HTTP server over raw keep-alive sockets, so that the client costs little: closed loop and open loop."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

import uvloop

_HOST = "127.0.0.1"
_WAITS = 30.0
"""Seconds after which a request counts as lost."""


@dataclass(frozen=True)
class Answered:
    """One request: when it was sent (seconds of a clock), how long its answer took, and what it was."""

    sent: float
    seconds: float
    status: int
    retry_after: bool


@dataclass
class Load:
    """What came of a load.

    Attributes:
        answers: in the order they came.
        lost: requests that were sent and got no answer: reset, or too late.
        unsent: requests for which there was no connection.
        seconds: how long it was put on.
    """

    answers: list[Answered] = field(default_factory=list)
    lost: int = 0
    unsent: int = 0
    seconds: float = 0.0

    def of(self, status: int) -> list[Answered]:
        """The answers of that status."""
        return [answer for answer in self.answers if answer.status == status]

    def a_second(self, status: int = 200) -> float:
        """Answers of that status a second."""
        return len(self.of(status)) / self.seconds

    def milliseconds(self, part: float, status: int = 200) -> float:
        """A quantile of the time to an answer of that status."""
        ordered = sorted(answer.seconds for answer in self.of(status))
        return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def request(port: int, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    """An HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {_HOST}:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in {"Content-Type": "application/json", **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def loopback_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def healthy(port: int, path: str = "/healthz") -> bool:
    """Whether the server answers 200 there."""
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(request(port, path, b"", {"Connection": "close"}, "GET"))
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


class _Connection:
    """A keep-alive connection, opened when first needed and anew where the server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent = False

    async def ask(self, content: bytes) -> tuple[int, bool]:
        """The status of the answer, and whether it says when to come again."""
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


async def _asked(connection: _Connection, content: bytes, load: Load, since: float) -> bool:
    try:
        status, retry_after = await asyncio.wait_for(connection.ask(content), _WAITS)
    except (OSError, EOFError, TimeoutError):
        load.lost += connection.sent
        load.unsent += not connection.sent
        return False
    load.answers.append(Answered(since, time.perf_counter() - since, status, retry_after))
    return True


def closed_loop(
    port: int, contents: Sequence[bytes], connections: int, seconds: float, *, until_lost: bool = False
) -> Load:
    """So many connections, each sending its next request as soon as it has its answer.

    Args:
        port: of the server.
        contents: requests, sent in turn.
        connections: how many.
        seconds: for how long.
        until_lost: whether a connection ends with the first request that gets no answer.
    """
    return uvloop.run(_closed_loop(port, contents, connections, seconds, until_lost))


async def _closed_loop(
    port: int, contents: Sequence[bytes], connections: int, seconds: float, until_lost: bool
) -> Load:
    load, following = Load(), cycle(contents)
    start = time.perf_counter()

    async def client() -> None:
        connection = _Connection(port)
        answered = True
        while time.perf_counter() - start < seconds and (answered or not until_lost):
            answered = await _asked(connection, next(following), load, time.perf_counter())
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    load.seconds = time.perf_counter() - start
    return load


def open_loop(port: int, contents: Sequence[bytes], a_second: float, seconds: float) -> Load:
    """Requests at even intervals, whether or not earlier ones are answered; each counts from when it was due."""
    return uvloop.run(_open_loop(port, contents, a_second, seconds))


async def _open_loop(port: int, contents: Sequence[bytes], a_second: float, seconds: float) -> Load:
    load, following, idle = Load(), cycle(contents), list[_Connection]()
    tasks: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        connection = idle.pop() if idle else _Connection(port)
        await _asked(connection, next(following), load, due)
        idle.append(connection)

    start = time.perf_counter()
    for number in range(int(a_second * seconds)):
        due = start + number / a_second
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    load.seconds = time.perf_counter() - start
    if tasks:
        await asyncio.wait(tasks)
    for connection in idle:
        connection.close()
    return load
