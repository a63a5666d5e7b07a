"""Watches the disk while facts, leads and decisions come in: each was synced between its request and its answer.

`strace` watches the process that commits: the service on SQLite, the server and its backends on PostgreSQL. Requests
at the same time may share a commit and its sync, so at several connections there are fewer syncs than answers; none may
be answered without one that began after it was sent.
"""

import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, text

from benchmarks.bodies import body
from benchmarks.evidence.crashes import killable_service
from benchmarks.evidence.sending import WriteRequest, connect, send_until_answered, write_request
from benchmarks.evidence.stores import new_store, open_store
from serving.access import keys
from serving.store.database import reading

CONNECTIONS = (1, 8)
_SYNC = re.compile(r"^\d+ +([0-9.]+) (?:fsync|fdatasync)\(", re.MULTILINE)
Span = tuple[float, float]
"""When a request was sent and its answer had come, seconds since the epoch."""


def syncs(kind: str, count: int) -> dict[str, Any]:
    """So many writes at each number of connections on a new store of a database, and how often the disk was synced."""
    figures: dict[str, Any] = {"acknowledged": 0, "without_a_sync": 0}
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "admin", None, at=1, tokens=secrets.token_bytes)
        with killable_service(url, Path(name)) as served:
            for turn, connections in enumerate(CONNECTIONS):
                trace = Path(name, f"trace-{connections}")
                with _traced(served.process.pid if kind == "sqlite" else _postmaster(store), trace):
                    pid = served.start()
                    wanted = [_write(turn * count + number) for number in range(count)]
                    spans = _sent(served.port, key, wanted, connections)
                    os.kill(pid, signal.SIGTERM)
                    served.ended()
                times = sorted(map(float, _SYNC.findall(trace.read_text())))
                figures["acknowledged"] += len(spans)
                figures["without_a_sync"] += sum(not _within(times, span) for span in spans)
                figures[f"syncs_per_acknowledged_{connections}"] = round(len(times) / len(spans), 3)
    return figures


def _write(number: int) -> WriteRequest:
    """A fact, a lead, several lines, or a decision on a lead sent along."""
    scored = WriteRequest(number, "POST", "/v1/score", body(), named=False)
    return scored if number % 5 == 0 else write_request(number)


def _sent(port: int, key: str, wanted: Sequence[WriteRequest], connections: int) -> list[Span]:
    def sent(share: Sequence[WriteRequest]) -> list[Span]:
        connection = connect(port)
        spans = [_span(connection, key, each) for each in share]
        connection.close()
        return spans

    # The first one waits for the service to be up.
    first = sent(wanted[:1])
    with ThreadPoolExecutor(connections) as threads:
        shares = [wanted[1 + number :: connections] for number in range(connections)]
        return [*first, *(span for spans in threads.map(sent, shares) for span in spans)]


def _span(connection: HTTPConnection, key: str, wanted: WriteRequest) -> Span:
    began = time.time()
    answer = send_until_answered(connection, key, wanted)
    if answer.status not in (200, 201):
        raise RuntimeError(f"{wanted.method} {wanted.path} was answered {answer.status}")
    return began, time.time()


def _within(times: Sequence[float], span: Span) -> bool:
    place = bisect_left(times, span[0])
    return place < len(times) and times[place] <= span[1]


def _postmaster(store: Engine) -> int:
    with reading(store) as connection:
        backend: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        postmaster: int = psutil.Process(backend).ppid()
        return postmaster


@contextmanager
def _traced(pid: int, into: Path) -> Iterator[None]:
    """Notes each sync of a process, its threads and those it starts from here on.

    Raises:
        RuntimeError: strace is not installed, or may not watch the process.
    """
    command = ["strace", "-f", "-qq", "-ttt", "-e", "trace=fsync,fdatasync", "-o", str(into), "-p", str(pid)]
    try:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RuntimeError("strace is needed to count syncs: install it") from None
    try:
        while not _watched(pid):
            if process.poll() is not None:
                raise RuntimeError(f"strace may not watch process {pid}: run this as its user, with ptrace allowed")
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _watched(pid: int) -> bool:
    """Whether each thread of a process has a tracer."""
    return all("TracerPid:\t0\n" not in each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/status"))
