"""How the service shuts down: new connections are refused, open requests are answered, every process ends."""

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from threading import Thread

from typing_extensions import override
from uvicorn import Server
from uvicorn.server import HANDLED_SIGNALS
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
    def init_processes(self) -> None:
        with _signals_held_back():
            super().init_processes()

    @override
    def keep_subprocess_alive(self) -> None:
        with _signals_held_back():
            super().keep_subprocess_alive()

    @override
    def restart_all(self) -> None:
        with _signals_held_back():
            super().restart_all()

    @override
    def terminate_all(self) -> None:
        for pause in listening.drain(self.sockets):
            time.sleep(pause)
        for shared in self.sockets:
            shared.close()
        super().terminate_all()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Holds signals back while the block starts processes, which inherit this until `stop_with_parent`.

    A signal to the whole group would otherwise end a process that is just starting, for which uvicorn waits in vain.
    """
    # Its own start, with the first process, would let the signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_with_parent() -> None:
    """In a worker process: end it when the parent process asks for it or is gone.

    The worker leaves the group of its parent, because Ctrl+C and supervisors send signals to a whole group at once. The
    parent decides when its workers end: a worker that ended first would accept nothing of what is in the queue.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED_SIGNALS)

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=follow, name="parent process", daemon=True).start()
