import http.client
import socket
import threading
import time
from collections.abc import Iterator

import anyio
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.http.middleware.body_limit import MAX_BYTES, MIB, BodyLimit


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await Response(body)(scope, receive, send)


def exchange(parts: list[bytes], limit: int, drained: int, *, leaves: bool = False) -> tuple[list[Message], int]:
    """The messages sent in answer to a body of `parts`, and how many of the parts were read."""
    more = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    last: Message = {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b"", "more_body": False}
    incoming = [*more, last]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    anyio.run(BodyLimit(echo, limit, drained), scope, receive, send)
    return sent, len(parts) + 1 - len(incoming)


chunks = st.lists(st.binary(max_size=4), max_size=12)


@given(chunks, st.integers(0, 20))
def test_a_body_arrives_whole_or_is_refused_after_it_was_read(parts: list[bytes], limit: int) -> None:
    (start, answer), read = exchange(parts, limit, 1000)
    assert read == len(parts) + 1
    if len(b"".join(parts)) <= limit:
        assert (start["status"], answer["body"]) == (200, b"".join(parts))
    else:
        assert start["status"] == 413
        assert (b"connection", b"close") not in start["headers"]


def test_beyond_what_is_drained_the_answer_comes_and_the_connection_ends() -> None:
    (start, _), read = exchange([b"12345"] * 100, 10, 50)
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]
    assert read == 11


@given(chunks)
def test_a_client_that_leaves_gets_nothing(parts: list[bytes]) -> None:
    assert exchange(parts, 1000, 1000, leaves=True)[0] == []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(BodyLimit(echo), log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield b"x" * MIB
    yield b"x" * (size % MIB)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 200), (MAX_BYTES + 1, 413), (40 * MIB, 413)])
def test_over_a_real_connection_large_bodies_are_answered_not_reset(
    port: int, size: int, status: int, chunked: bool
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {} if chunked else {"Content-Length": str(size)}
    connection.request("POST", "/", pieces(size), headers, encode_chunked=chunked)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == status
    assert len(content) == size if status == 200 else b"must not be larger than 2 MiB" in content
    connection.request("POST", "/", b"still here")
    assert connection.getresponse().read() == b"still here"
    connection.close()
