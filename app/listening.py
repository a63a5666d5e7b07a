"""How a listening socket ends: nobody else comes in, and whoever is in is taken before it closes.

Closing it resets the connections that the kernel has made but no process has taken yet, although their callers may have
sent a request already. So those who would connect are turned away first; they are refused once the socket has closed.
"""

import ctypes
import select
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER of socket(7), which Python does not name."""
_INSTRUCTIONS = (
    (0x30, 0, 0, 13),  # load the byte at 13, the flags of the TCP header
    (0x45, 0, 1, 0x02),  # without SYN skip one
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # let it pass
)
"""A filter in the kernel's classic BPF (code, jump if true, jump if false, operand) that drops who would connect."""
_HANDSHAKE = 0.05
"""Seconds that a handshake which has begun may take to end."""
_LOOKS_EVERY = 0.01
_LOOKS = 100
"""At a second the socket closes in any case: nobody takes what waits."""


def _turn_away(listening: socket.socket) -> None:
    """Lets nobody begin to connect any more, through whichever process; made connections are not touched.

    Linux can, where it is allowed; elsewhere some may still come in the moment before the socket closes.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _INSTRUCTIONS))
    attached = struct.pack("HP", len(_INSTRUCTIONS), ctypes.addressof(program))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, attached)


def ending(sockets: Sequence[socket.socket]) -> Iterator[float]:
    """Turns others away from these sockets, then gives seconds to wait, again and again, until nobody waits at them."""
    for listening in sockets:
        _turn_away(listening)
    yield _HANDSHAKE
    for _ in range(_LOOKS):
        if not _somebody_waits(sockets):
            return
        yield _LOOKS_EVERY


def _somebody_waits(sockets: Iterable[socket.socket]) -> bool:
    poll = select.poll()
    for listening in sockets:
        poll.register(listening, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
