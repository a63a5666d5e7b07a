"""The headers of a connection are bounded in size, number and time; trailers are no headers; probes have spare room."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn

from app import connection

Send = Callable[..., bytes]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the names of the headers that the application sees once the body has arrived."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    body = json.dumps(sorted(name.decode() for name, _ in scope["headers"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    server = uvicorn.Server(uvicorn.Config(echo, http=connection.Connection, log_level="critical", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join()


@pytest.fixture
def send(address: tuple[str, int]) -> Send:
    def one(*parts: bytes) -> bytes:
        with socket.create_connection(address, timeout=30) as client:
            try:
                for part in parts:
                    client.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer(client)

    return one


def answer(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def request(*lines: bytes, version: bytes = b"1.1", body: bytes = b"") -> bytes:
    close = () if version == b"1.0" else (b"Connection: close",)
    return b"\r\n".join((b"GET /healthz HTTP/" + version, *lines, *close, b"", body))


def status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def test_a_request_within_the_limits_is_answered(send: Send) -> None:
    lines = [b"x-%d: 1" % number for number in range(97)]
    assert status(send(request(b"Host: a", *lines))) == 200
    assert status(send(request(version=b"1.0"))) == 200


@pytest.mark.parametrize(
    "sent",
    [
        [request(b"Host: a", *(b"x-%d: 1" % number for number in range(100)))],
        [request(b"Host: a", b"x: " + b"a" * 70_000)],
        [b"GET / HTTP/1.1\r\nHost: a\r\nx: ", *(b"a" * 20_000 for _ in range(8))],
        [b"GET /" + b"a" * 200_000],
    ],
    ids=["lines", "bytes", "never ended", "a long address"],
)
def test_headers_beyond_the_limits_are_refused(send: Send, sent: list[bytes]) -> None:
    received = send(*sent)
    # The client may be cut off while it sends; what it then reads is the beginning of the refusal, or nothing.
    assert received == b"" or status(received) == 431


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Host: a", b"Host: a"],
        [b"Host: a", b"X-Api-Key: 1", b"X-Api-Key: 2"],
        [b"Host: a", b"Authorization: Bearer 1", b"authorization: Bearer 2"],
        [b"Host: a", b"Idempotency-Key: 1", b"Idempotency-Key: 2"],
        [b"Host: a", b"Content-Type: text/plain", b"Content-Type: application/json"],
    ],
)
def test_missing_and_contradictory_headers_are_refused(send: Send, lines: list[bytes]) -> None:
    received = send(request(*lines))
    assert status(received) == 400
    assert b"application/problem+json" in received


def test_a_header_that_is_there_twice_alike_is_no_contradiction(send: Send) -> None:
    assert status(send(request(b"Host: a", b"X-Api-Key: 1", b"X-Api-Key: 1"))) == 200


def test_trailers_are_no_headers(send: Send) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = send(head, b"1\r\nx\r\n", b"0\r\nX-Api-Key: 1\r\nCookie: a=b\r\nEql-Dry-Run: true\r\n\r\n")
    assert json.loads(received.rpartition(b"\r\n\r\n")[2]) == ["connection", "host", "transfer-encoding"]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_sends_no_end_is_cut_off(send: Send, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)
    received = send(sent)
    assert received == b"" if not sent else status(received) == 408


def test_idle_connections_leave_room_for_probes(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "max_connections", lambda: 2)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(socket.create_connection(address)).sendall(b"GET / HTTP/1.1\r\n")
        for path, expected in ((b"/", 503), (b"/healthz?x=1", 200)):
            client = held.enter_context(socket.create_connection(address, timeout=30))
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert status(answer(client)) == expected
