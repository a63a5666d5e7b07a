"""How the service ends: no new connections, and the kept ones with an answer that says so."""

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from threading import Thread
from typing import Any

from typing_extensions import override
from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from app import listening

_SECONDS = 1.0


class Draining(HttpToolsProtocol):
    """A connection that is closed after its next answer, or when none was asked for within a second.

    uvicorn closes idle connections at once, and a request that is on its way then gets no answer; and it closes one
    whose answer has begun without having said so, and the next request may be on its way.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._draining = False
        self._arriving = False

    @override
    def shutdown(self) -> None:
        if self._draining and self._idle():
            self.transport.close()
        elif self._to_be_answered():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_SECONDS, self.shutdown)
        self._draining = True

    @override
    def on_message_begin(self) -> None:
        self._arriving = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._arriving = False
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    def _idle(self) -> bool:
        return not self._arriving and (self.cycle is None or self.cycle.response_complete)

    def _to_be_answered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_started


class Single(Server):
    """One process that serves; whoever has connected is taken before its socket closes."""

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listened in sockets or []:
            listening.turn_away(listened)
        for pause in listening.pauses(sockets or []):
            await asyncio.sleep(pause)
        await super().shutdown(sockets)


class Workers(Multiprocess):
    """Worker processes that share a socket: they go on taking connections until nobody waits, then they are to end.

    Nobody listens from then on. uvicorn's first process keeps the socket open until the last worker has ended, and
    whoever connects meanwhile waits in vain; and the last worker to close it cuts off those whom none has taken.
    """

    @override
    def terminate_all(self) -> None:
        for shared in self.sockets:
            listening.turn_away(shared)
        for pause in listening.pauses(self.sockets):
            time.sleep(pause)
        for shared in self.sockets:
            shared.close()
        super().terminate_all()


def end_with_the_first() -> None:
    """In a worker process: ends when the first process says so or is gone; not by Ctrl+C, which reaches them all."""
    first = multiprocessing.parent_process()
    if first is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        first.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=follow, name="first process", daemon=True).start()
