"""A connection's client is bounded in size, number and time; trailers are no headers; new clients are heard."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from app import connection, request_head

LARGE = b"a" * 20_000_000
"""More than the kernel keeps for a client that does not read."""
Send = Callable[..., bytes]


class Application:
    """Answers what it is told by the path, and knows how many requests it works on."""

    working = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.working += 1
        if scope["path"] != "/early":
            while (await receive()).get("more_body"):
                pass
        answers = {"/large": LARGE, "/working": b"%d" % (self.working - 1)}
        names = json.dumps(sorted(name.decode() for name, _ in scope["headers"])).encode()
        body = answers.get(scope["path"], names)
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})
        self.working -= 1


@dataclass
class Served:
    """A server that runs, and its address."""

    server: uvicorn.Server
    address: tuple[str, int]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=60)

    def is_left_by_all(self) -> bool:
        """Waits until the server holds no connection."""
        while self.server.server_state.connections:
            time.sleep(0.01)
        return True


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    # A client of a slow machine still reads why it was refused.
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 60.0)
    config = uvicorn.Config(Application(), http=connection.Connection, ws="none", log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield Served(server, listening.getsockname())
    server.should_exit = server.force_exit = True
    thread.join()


@pytest.fixture
def send(served: Served) -> Send:
    def one(*parts: bytes) -> bytes:
        with served.connect() as client:
            for part in parts:
                client.sendall(part)
            return rest(client)

    return one


def rest(client: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    return b"".join(iter(lambda: client.recv(1 << 20), b""))


def request(*lines: bytes, path: bytes = b"/", version: bytes = b"1.1", close: bool = True) -> bytes:
    closing = (b"Connection: close",) if close and version == b"1.1" else ()
    return b"\r\n".join((b"GET " + path + b" HTTP/" + version, *lines, *closing, b"", b""))


def kept(path: bytes = b"/") -> bytes:
    return request(b"Host: a", path=path, close=False)


def status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTED = b'["connection", "host", "transfer-encoding"]'


def test_a_request_within_the_limits_is_answered(send: Send) -> None:
    lines = [b"x-%d: 1" % number for number in range(request_head.MAX_LINES - 2)]
    assert status(send(request(b"Host: a", *lines))) == 200
    assert status(send(request(b"Host: a", b"x: " + b"a" * 65_000))) == 200
    assert status(send(request(version=b"1.0"))) == 200


@pytest.mark.parametrize(
    "sent",
    [
        [request(b"Host: a", *(b"x-%d: 1" % number for number in range(99)))],
        [request(b"Host: a", b"x: " + b"a" * 70_000)],
        [request(b"Host: a", b"x: " + b"a" * 40_000, path=b"/" + b"a" * 40_000)],
        [b"GET / HTTP/1.1\r\nHost: a\r\nx: ", *(b"a" * 20_000 for _ in range(8))],
        [b"GET /" + b"a" * 200_000],
        [b"\r\n" * 40_000],
        [CHUNKED, b"1\r\nx\r\n0\r\nx: ", *(b"a" * 20_000 for _ in range(60))],
        [CHUNKED, b"0\r\n", *(b"x: 1\r\n" for _ in range(100))],
        [CHUNKED, b"1;" + b"a" * 200_000],
    ],
    ids=[
        "lines",
        "bytes",
        "address and headers",
        "never ended",
        "a long address",
        "blank lines",
        "a trailer never ended",
        "trailers",
        "a chunk's extension",
    ],
)
def test_what_is_larger_than_the_limits_is_refused(send: Send, sent: list[bytes]) -> None:
    received = send(*sent)
    assert status(received) == 431
    assert b"application/problem+json" in received


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], b"needs the header Host"),
        ([b"Host: a", b"Host: a"], b"Host"),
        ([b"Host: a", b"X-Api-Key: 1", b"X-Api-Key: 2"], b"X-Api-Key"),
        ([b"Host: a", b"Authorization: Bearer 1", b"authorization: Bearer 2"], b"Authorization"),
        ([b"Host: a", b"Idempotency-Key: 1", b"Idempotency-Key: 2"], b"Idempotency-Key"),
        ([b"Host: a", b"Content-Type: text/plain", b"Content-Type: application/json"], b"Content-Type"),
        ([b"Host: a", b"Eql-Dry-Run: true", b"Eql-Dry-Run: false"], b"Eql-Dry-Run"),
        ([b"Host: a", b"Content-Length: 1", b"Content-Length: 2"], b"not valid HTTP"),
        ([b"Host: a", b"Content-Length: 1", b"Transfer-Encoding: chunked"], b"not valid HTTP"),
        ([b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"], b""),
    ],
)
def test_missing_and_contradictory_headers_are_refused(send: Send, lines: list[bytes], named: bytes) -> None:
    received = send(request(*lines))
    assert status(received) == 400
    assert named in received
    assert b"application/problem+json" in received


def test_a_header_that_is_there_twice_alike_is_no_contradiction(send: Send) -> None:
    assert status(send(request(b"Host: a", b"X-Api-Key: 1", b"X-Api-Key: 1"))) == 200


def test_trailers_are_no_headers(send: Send) -> None:
    received = send(CHUNKED, b"1\r\nx\r\n", b"0\r\nX-Api-Key: 1\r\nCookie: a=b\r\nEql-Dry-Run: true\r\n\r\n")
    assert received.rpartition(b"\r\n\r\n")[2] == EXPECTED


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_sends_no_end_is_cut_off(send: Send, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)
    received = send(sent)
    assert status(received) == 408 if sent.startswith(b"GET") else received == b""


@pytest.mark.parametrize("more", [b"\r\n", b"GET / HTTP/1.1\r\n"])
def test_a_kept_connection_is_cut_off_like_a_new_one(
    served: Served, monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    with served.connect() as client:
        client.sendall(kept())
        assert client.recv(65536).endswith(b'["host"]')
        monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)
        client.sendall(more)
        received = rest(client)
    assert status(received) == 408 if more.startswith(b"GET") else received == b""


def test_a_body_that_is_answered_early_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)
    with served.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert status(rest(client)) == 200


@pytest.mark.parametrize("close", [True, False])
def test_a_client_that_does_not_read_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch, close: bool) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.05)
    with served.connect() as client:
        client.sendall(request(b"Host: a", path=b"/large", close=close))
        assert client.recv(1) == b"H"
        assert served.is_left_by_all()


def test_a_client_that_reads_gets_all_of_a_large_answer(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MIN_READ", 1)
    assert send(request(b"Host: a", path=b"/large")).endswith(LARGE)


def test_a_client_that_reads_slowly_holds_no_place_of_the_application(served: Served, send: Send) -> None:
    with served.connect() as slow:
        slow.sendall(kept(b"/large") + kept(b"/large"))
        assert slow.recv(1) == b"H"
        assert send(request(b"Host: a", path=b"/working")).endswith(b"\r\n\r\n0")


def test_requests_before_a_refused_one_are_answered(send: Send) -> None:
    received = send(kept() + kept() + b"no HTTP\r\n\r\n")
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.count(b"HTTP/1.1") == 2
    assert received.count(b"connection: close") == 1


def test_another_protocol_is_not_used(send: Send) -> None:
    lines = (b"Host: a", b"Connection: Upgrade", b"Upgrade: h2c")
    received = send(request(*lines, close=False))
    assert status(received) == 200
    assert b"connection: close" in received


def test_idle_connections_make_room_for_new_ones(served: Served, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "max_connections", lambda: 3)
    with ExitStack() as held:
        idle = [held.enter_context(served.connect()) for _ in range(3)]
        for client, sent in zip(idle, (b"", b"GET / HTTP/1.1\r\n", kept()), strict=True):
            client.sendall(sent)
        assert status(idle[2].recv(65536)) == 200
        for _ in range(20):
            assert status(send(request(b"Host: a", path=b"/healthz"))) == 200
        assert idle[0].recv(1) == b""


def test_the_connections_fit_into_the_limit_of_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, expected in ((256, 128), (1024, 896), (1 << 20, 2000), (resource.RLIM_INFINITY, 2000), (64, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert connection.max_connections() == expected


def test_a_request_that_arrives_as_its_connection_closes_is_answered(served: Served) -> None:
    loop_waits, sent = threading.Event(), threading.Event()
    with served.connect() as client:
        client.sendall(kept())
        client.recv(65536)
        [held] = served.server.server_state.connections

        def close() -> None:
            held.shutdown()
            loop_waits.set()
            sent.wait()
            held.shutdown()

        held.loop.call_soon_threadsafe(close)
        loop_waits.wait()
        client.sendall(kept())
        sent.set()
        received = rest(client)
    assert status(received) == 200
    assert b"connection: close" in received
