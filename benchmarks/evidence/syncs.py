"""Syncs of the disk while facts, leads and decisions arrive: a sync must come between each request and its answer.

`strace` traces the process that commits: the service on SQLite, the server and its backends on PostgreSQL. Concurrent
requests may share a commit and its sync, so with several connections there are fewer syncs than answers. But no answer
may come without a sync that began after its request was sent.
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
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Span:
    """The time from sending a request until its answer, seconds since the epoch."""

    sent: float
    answered: float


def syncs(kind: str, count: int) -> dict[str, Any]:
    """Sends `count` writes at each number of connections to a new store, and returns the counts of syncs."""
    figures: dict[str, Any] = {"acknowledged": 0, "without_a_sync": 0}
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "admin", None, at=1, tokens=secrets.token_bytes)
        with killable_service(url, Path(name)) as service:
            for turn, connections in enumerate(CONNECTIONS):
                trace = Path(name, f"trace-{connections}")
                with _traced(service.process.pid if kind == "sqlite" else _postmaster(store), trace):
                    pid = service.start()
                    requests = [_mixed_write(turn * count + number) for number in range(count)]
                    spans = _send_all(service.port, key, requests, connections)
                    os.kill(pid, signal.SIGTERM)
                    service.wait_for_end()
                times = sorted(map(float, _SYNC.findall(trace.read_text())))
                figures["acknowledged"] += len(spans)
                figures["without_a_sync"] += sum(not _synced_within(times, span) for span in spans)
                figures[f"syncs_per_acknowledged_{connections}"] = round(len(times) / len(spans), 3)
    return figures


def _mixed_write(number: int) -> WriteRequest:
    """A decision on a lead in the request, or else a fact, a lead or several lines."""
    scored = WriteRequest(number=number, method="POST", path="/v1/score", body=body(), with_key=False)
    return scored if number % 5 == 0 else write_request(number)


def _send_all(port: int, key: str, requests: Sequence[WriteRequest], connections: int) -> list[Span]:
    def send(share: Sequence[WriteRequest]) -> list[Span]:
        connection = connect(port)
        spans = [_send(connection, key, each) for each in share]
        connection.close()
        return spans

    # The first request waits until the service is up.
    first = send(requests[:1])
    with ThreadPoolExecutor(connections) as threads:
        shares = [requests[1 + number :: connections] for number in range(connections)]
        return [*first, *(span for spans in threads.map(send, shares) for span in spans)]


def _send(connection: HTTPConnection, key: str, request: WriteRequest) -> Span:
    sent = time.time()
    answer = send_until_answered(connection, key, request)
    if answer.status not in (200, 201):
        raise RuntimeError(f"{request.method} {request.path} was answered {answer.status}")
    return Span(sent, time.time())


def _synced_within(times: Sequence[float], span: Span) -> bool:
    position = bisect_left(times, span.sent)
    return position < len(times) and times[position] <= span.answered


def _postmaster(store: Engine) -> int:
    with reading(store) as connection:
        backend: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        postmaster: int = psutil.Process(backend).ppid()
        return postmaster


@contextmanager
def _traced(pid: int, into: Path) -> Iterator[None]:
    """Logs each sync of a process, its threads and its new children, while the block runs.

    Raises:
        RuntimeError: strace is not installed, or may not trace the process.
    """
    command = ["strace", "-f", "-qq", "-ttt", "-e", "trace=fsync,fdatasync", "-o", str(into), "-p", str(pid)]
    try:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RuntimeError("strace is not installed, but counts the syncs; install it") from None
    try:
        while not _is_traced(pid):
            if process.poll() is not None:
                raise RuntimeError(
                    f"strace may not trace process {pid}; run this as the user of that process, with ptrace allowed"
                )
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _is_traced(pid: int) -> bool:
    """Whether each thread of a process has a tracer."""
    return all("TracerPid:\t0\n" not in each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/status"))
