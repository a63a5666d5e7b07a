"""The service that dies when told to: `python -m benchmarks.evidence.failing`, for `benchmarks.evidence.crashes`.

It reads `PORT FAILPOINT PROBABILITY` from standard input, line by line, and for each serves in a process of its own,
which it forks with everything imported, so that the next one is up in a moment. With a failpoint that process kills
itself there, with that probability; there is none of this in the service itself.
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
"""Where it may die: at a statement that writes, before and after the database commits, before and amid the answer."""

Die = Callable[[], None]


def installed(app: FastAPI, failpoint: str, probability: float) -> Any:
    """The app, which dies at the failpoint with that probability."""
    chance = random.SystemRandom()

    def die() -> None:
        if chance.random() < probability:
            os.kill(os.getpid(), signal.SIGKILL)

    if failpoint in ("before_answer", "within_answer"):
        return _answering(app, die, "http.response.start" if failpoint == "before_answer" else "http.response.body")
    _in_store(part(app, Store).engine, failpoint, die)
    return app


def _in_store(engine: Engine, failpoint: str, die: Die) -> None:
    if failpoint == "within_transaction":

        @event.listens_for(engine, "after_cursor_execute")
        def _(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith(("INSERT", "UPDATE", "DELETE")):
                die()

        return
    commit = engine.dialect.do_commit

    def dying(connection: Any) -> None:
        if failpoint == "before_commit":
            die()
        commit(connection)
        if failpoint == "after_commit":
            die()

    engine.dialect.do_commit = dying  # type: ignore[assignment, method-assign]


def _answering(app: FastAPI, die: Die, moment: str) -> Any:
    async def dying(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == moment and scope.get("method") in ("POST", "PUT"):
                die()
            await send(message)

        await app(scope, receive, sending)

    return dying


def _serve(port: int, failpoint: str, probability: float) -> None:
    app: Any = asgi.create()
    if failpoint in FAILPOINTS:
        app = installed(app, failpoint, probability)
    uvicorn.run(app, port=port, log_level="error", access_log=False)


def main() -> None:
    """Serves once for each line, until there are none; tells of each process by its id."""
    # What is made once and shared is then there before the first fork; no connection is.
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
