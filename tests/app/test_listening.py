"""A listening socket that drains waits for the connections in its queue, however slowly a process accepts them."""

import socket
import sys
from itertools import islice

import pytest

from app import listening

PAUSES_OF_A_SLOW_PROCESS = 400


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux turns connections away before the queue is empty")
def test_a_queue_is_waited_for_until_it_is_empty() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"sent before the end")
        pauses = listening.drain([server])
        assert len(list(islice(pauses, PAUSES_OF_A_SLOW_PROCESS))) == PAUSES_OF_A_SLOW_PROCESS
        accepted, _ = server.accept()
        with accepted:
            assert sum(pauses) < 1
            assert accepted.recv(100) == b"sent before the end"


def test_a_queue_that_never_empties_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert sum(listening.drain([server])) < 10
