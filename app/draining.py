"""How the service ends: no new connections, whoever has connected is answered, and no process is left behind."""

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from threading import Thread

from typing_extensions import override
from uvicorn import Server
from uvicorn.supervisors import Multiprocess

from app import listening


class Single(Server):
    """One process that serves; whoever has connected is taken before its socket closes."""

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for pause in listening.ending(sockets or []):
            await asyncio.sleep(pause)
        await super().shutdown(sockets)


class Workers(Multiprocess):
    """Worker processes that share a socket: they go on taking connections until nobody waits, then they are to end.

    Nobody listens from then on. uvicorn's first process keeps the socket open until the last worker has ended, and
    whoever connects meanwhile waits in vain; and the last worker to close it cuts off those whom none has taken.
    """

    @override
    def terminate_all(self) -> None:
        for pause in listening.ending(self.sockets):
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
