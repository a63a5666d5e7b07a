"""The service with failpoints: `python -m benchmarks.evidence.failing`, for `benchmarks.evidence.crashes`.

It reads lines of `PORT FAILPOINT PROBABILITY` from standard input. For each line it forks a process that serves; all
modules are imported already, so the service is up in a moment. The process kills itself at the failpoint with the
given probability. The service itself contains no failpoints.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, event
from starlette.types import Message, Receive, Scope, Send

from app import asgi
from serving.http.dependencies import part
from serving.store.store import Store

FAILPOINTS = ("within_transaction", "before_commit", "after_commit", "before_answer", "within_answer")
"""At a writing statement, before and after the commit of the database, before the answer, and within it."""

Crash = Callable[[], None]


def with_failpoint(app: FastAPI, failpoint: str, probability: float) -> Any:
    """The app, which crashes at the failpoint with a probability."""
    rng = random.SystemRandom()

    def crash() -> None:
        if rng.random() < probability:
            os.kill(os.getpid(), signal.SIGKILL)

    if failpoint in ("before_answer", "within_answer"):
        return _crash_in_answer(
            app, crash, "http.response.start" if failpoint == "before_answer" else "http.response.body"
        )
    _crash_in_store(part(app, Store).engine, failpoint, crash)
    return app


def _crash_in_store(engine: Engine, failpoint: str, crash: Crash) -> None:
    if failpoint == "within_transaction":

        @event.listens_for(engine, "after_cursor_execute")
        def _(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith(("INSERT", "UPDATE", "DELETE")):
                crash()

        return
    commit = engine.dialect.do_commit

    def crashing(connection: Any) -> None:
        if failpoint == "before_commit":
            crash()
        commit(connection)
        if failpoint == "after_commit":
            crash()

    engine.dialect.do_commit = crashing  # type: ignore[assignment, method-assign]


def _crash_in_answer(app: FastAPI, crash: Crash, moment: str) -> Any:
    async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
        async def crashing_send(message: Message) -> None:
            if message["type"] == moment and scope.get("method") in ("POST", "PUT"):
                crash()
            await send(message)

        await app(scope, receive, crashing_send)

    return crashing


def _serve(port: int, failpoint: str, probability: float) -> None:
    app: Any = asgi.create()
    if failpoint in FAILPOINTS:
        app = with_failpoint(app, failpoint, probability)
    uvicorn.run(app, port=port, log_level="error", access_log=False)


def main() -> None:
    """Serves once for each line; prints the id of each process, and `ended` when it has ended."""
    # The shared parts are built before the first fork; connections must not cross a fork.
    part(asgi.create(), Store).engine.dispose()
    for line in sys.stdin:
        port, failpoint, probability = line.split()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            _serve(int(port), failpoint, float(probability))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
