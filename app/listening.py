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
_MAX_POLLS = 500
"""A queue that takes no more connections empties; a process on a loaded machine may need seconds for it."""
_MAX_POLLS_OF_GROWING_QUEUE = 100
"""A queue that takes more connections may never empty. The connections left in it at the end are reset."""


def _drop_new_connections(listening: socket.socket) -> bool:
    """Makes the kernel drop new connection attempts, for all processes that share the socket; returns whether it does.

    Existing connections go on. This works on Linux, if the process may attach a filter. Elsewhere a connection may
    still be made in the moment before the socket closes.
    """
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN_PROGRAM))
    attached = struct.pack("HP", len(_DROP_SYN_PROGRAM), ctypes.addressof(program))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
        return True
    return False


def drain(sockets: Sequence[socket.socket]) -> Iterator[float]:
    """Turns new connections away, then yields pauses in seconds until the accept queues are empty.

    The last pause lets the event loop begin with the connections that it accepted last.
    """
    turned_away = [_drop_new_connections(listening) for listening in sockets]
    yield _HANDSHAKE_SECONDS
    for _ in range(_MAX_POLLS if all(turned_away) else _MAX_POLLS_OF_GROWING_QUEUE):
        if not _any_connection_queued(sockets):
            break
        yield _POLL_SECONDS
    yield _POLL_SECONDS


def _any_connection_queued(sockets: Iterable[socket.socket]) -> bool:
    poll = select.poll()
    for listening in sockets:
        poll.register(listening, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
