"""How the service shuts down: new connections are refused, open requests are answered, every process ends."""

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


class SingleProcessServer(Server):
    """A server in one process. It accepts every connection that is already made before it closes its socket."""

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for pause in listening.drain(sockets or []):
            await asyncio.sleep(pause)
        await super().shutdown(sockets)


class WorkerProcesses(Multiprocess):
    """Worker processes that share a socket. They accept connections until the queue is empty; then they end.

    The socket closes before the workers end. uvicorn's parent process would keep it open until the last worker has
    ended: a client that connects meanwhile would wait in vain, and the last worker would reset the connections that no
    process has accepted.
    """

    @override
    def terminate_all(self) -> None:
        for pause in listening.drain(self.sockets):
            time.sleep(pause)
        for shared in self.sockets:
            shared.close()
        super().terminate_all()


def stop_with_parent() -> None:
    """In a worker process: end it when the parent process asks for it or is gone.

    The worker ignores Ctrl+C, which reaches every process at once; the parent decides when its workers end.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=follow, name="parent process", daemon=True).start()
