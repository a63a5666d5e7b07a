"""How a listening socket drains: new connections are turned away, and the accept queue is emptied before it closes.

Closing a listening socket resets the connections in its accept queue: the kernel has made them, no process has accepted
them yet, and their clients may have sent a request already. So the kernel first drops new connection attempts. Once the
socket has closed, it refuses them.
"""

import ctypes
import select
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

_SO_ATTACH_FILTER = 26
"""From socket(7); Python has no name for it."""
_DROP_SYN_PROGRAM = (
    (0x30, 0, 0, 13),  # load the byte at 13, the flags of the TCP header
    (0x45, 0, 1, 0x02),  # without SYN, skip one instruction
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # let the packet pass
)
"""A classic BPF program that drops every packet with SYN, the first packet of a connection. The fields of each
instruction are code, jump if true, jump if false, operand."""
_HANDSHAKE_SECONDS = 0.05
"""How long a handshake that has begun may take to finish."""
_POLL_SECONDS = 0.01
_MAX_POLLS = 100
"""After a second the socket closes in any case; the connections left in the queue are then reset."""


def _drop_new_connections(listening: socket.socket) -> None:
    """Makes the kernel drop new connection attempts, for all processes that share the socket.

    Existing connections go on. This works on Linux, if the process may attach a filter. Elsewhere a connection may
    still be made in the moment before the socket closes.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN_PROGRAM))
    attached = struct.pack("HP", len(_DROP_SYN_PROGRAM), ctypes.addressof(program))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)


def drain(sockets: Sequence[socket.socket]) -> Iterator[float]:
    """Turns new connections away, then yields pauses in seconds until the accept queues are empty."""
    for listening in sockets:
        _drop_new_connections(listening)
    yield _HANDSHAKE_SECONDS
    for _ in range(_MAX_POLLS):
        if not _any_connection_queued(sockets):
            return
        yield _POLL_SECONDS


def _any_connection_queued(sockets: Iterable[socket.socket]) -> bool:
    poll = select.poll()
    for listening in sockets:
        poll.register(listening, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
