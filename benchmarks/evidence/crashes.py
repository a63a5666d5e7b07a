"""Crashes of the service while facts and leads arrive: no acknowledged write may be lost or doubled.

The service runs as a process (`benchmarks.evidence.failing`) that is killed with SIGKILL, in turn at a random moment
and at each failpoint. The clients log acknowledged requests and sync the log before they go on. They send every other
request again, as a CRM does, until it is acknowledged. At the end, the store must hold each record, lead, decision and
event exactly once.
"""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, text

from benchmarks.evidence.failing import FAILPOINTS
from benchmarks.evidence.sending import (
    LINES,
    STARTS,
    FinalAnswer,
    WriteRequest,
    connect,
    send_until_answered,
    write_request,
)
from benchmarks.evidence.stores import new_store, open_store
from benchmarks.load import loopback_port
from serving.access import keys
from serving.decisions.tables import current_score, decisions
from serving.records.tables import RECORDS
from serving.store.database import reading
from serving.store.tables import outbox

RANDOM = "random"
CLIENTS = 3
_MAX_SECONDS_TO_FAILPOINT = 4.0
"""A process that does not reach its failpoint in this time is killed."""
_MAX_SECONDS_TO_RANDOM_KILL = 0.6
"""A random kill comes within this time, in some cases before the service is up."""
_FAILPOINT_PROBABILITY = 0.08


@dataclass
class Clients:
    """Threads that send requests and record the acknowledged ones.

    Attributes:
        port: the port of the service.
        key: the API key.
        log: the file of acknowledged requests, synced after each.
        acknowledged: the acknowledged requests by number, each with the body of its answer.
        refused: the status and the body of each other final answer.
        repeated: how often requests were sent again.
    """

    port: int
    key: str
    log: Path
    acknowledged: dict[int, tuple[WriteRequest, bytes]] = field(default_factory=dict)
    refused: list[tuple[int, bytes]] = field(default_factory=list)
    repeated: int = 0
    _numbers: Iterator[int] = field(default_factory=count)
    _draining: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts the threads."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Stops new requests, and waits until every open request has its final answer."""
        self._draining.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = connect(self.port)
        while (request := self._next()) is not None:
            self._record(request, send_until_answered(connection, self.key, request))
        connection.close()

    def _next(self) -> WriteRequest | None:
        if self._draining.is_set():
            return None
        with self._lock:
            return write_request(next(self._numbers))

    def _record(self, request: WriteRequest, answer: FinalAnswer) -> None:
        with self._lock, self.log.open("ab") as log:
            self.repeated += answer.sent_again
            if answer.status not in (200, 201):
                self.refused.append((answer.status, answer.body))
                return
            log.write(b"%d\n" % request.number)
            log.flush()
            os.fsync(log.fileno())
            self.acknowledged[request.number] = (request, answer.body)


@dataclass
class KillableService:
    """The service, which is started again after each crash.

    Attributes:
        process: the process that forks the service.
        port: the port of the service.
        deaths: the number of crashes by failpoint.
        late: the number of processes that did not reach their failpoint in time.
    """

    process: "subprocess.Popen[str]"
    port: int
    deaths: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def crash(self, failpoint: str, rng: random.Random) -> None:
        """Starts the service and lets it crash: at the failpoint, or at a random moment."""
        pid = self.start(failpoint)
        ended = threading.Thread(target=self.wait_for_end)
        ended.start()
        ended.join(rng.uniform(0, _MAX_SECONDS_TO_RANDOM_KILL) if failpoint == RANDOM else _MAX_SECONDS_TO_FAILPOINT)
        if ended.is_alive():
            self.late += failpoint != RANDOM
            os.kill(pid, signal.SIGKILL)
            ended.join()
        self.deaths[failpoint] += 1

    def start(self, failpoint: str = "none") -> int:
        """Starts the service; returns the id of its process."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{self.port} {failpoint} {_FAILPOINT_PROBABILITY}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait_for_end(self) -> None:
        """Waits until the process of the service has ended."""
        assert self.process.stdout
        self.process.stdout.readline()


@contextmanager
def killable_service(url: str, home: Path) -> Iterator[KillableService]:
    """The service on a store, ready to be started and killed."""
    environment = {**os.environ, "EQL_DATABASE_URL": url, "EQL_HOME": str(home), "EQL_RATE_LIMIT": "0"}
    command = [sys.executable, "-m", "benchmarks.evidence.failing"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin
        try:
            yield KillableService(process, loopback_port())
        finally:
            process.stdin.close()


def crashes(kind: str, kills: int, seed: int = 1) -> dict[str, Any]:
    """Kills the service `kills` times on a new store, and returns the counts of lost and doubled writes.

    Args:
        kind: the kind of database.
        kills: the number of kills.
        seed: the seed of the random moments.
    """
    rng = random.Random(seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "admin", None, at=STARTS, tokens=secrets.token_bytes)
        with killable_service(url, Path(name)) as service:
            clients = Clients(service.port, key, Path(name, "acknowledged"))
            clients.start()
            for failpoint in islice(cycle((RANDOM, *FAILPOINTS)), kills):
                service.crash(failpoint, rng)
            pid = service.start()
            clients.drain()
            os.kill(pid, signal.SIGTERM)
            service.wait_for_end()
        logged = Path(name, "acknowledged").read_text().split()
        assert len(logged) == len(clients.acknowledged)
        errors = differences(store, [*clients.acknowledged.values()])
    return {
        "kills": sum(service.deaths.values()),
        "deaths": dict(service.deaths),
        "not_at_their_failpoint": service.late,
        "acknowledged": len(clients.acknowledged),
        "sent_again": clients.repeated,
        "refused": len(clients.refused),
        **{name: sum(counts.values()) for name, counts in errors.items()},
        "examples": {name: list(counts)[:3] for name, counts in errors.items() if counts},
        "seconds": round(time.monotonic() - started, 1),
    }


def differences(store: Engine, acknowledged: Sequence[tuple[WriteRequest, bytes]]) -> dict[str, Counter[str]]:
    """The acknowledged rows that the store lacks or holds twice, and the rows that no client sent."""
    expected = Counter(name for request, content in acknowledged for name in _expected(request, content))
    stored = _stored(store)
    lost = expected - stored
    doubled = Counter({name: stored[name] - 1 for name in expected if stored[name] > 1})
    unknown = Counter({name: stored[name] for name in stored.keys() - expected.keys()})
    return {"lost": lost, "doubled": doubled, "unknown": unknown}


def _expected(request: WriteRequest, content: bytes) -> Iterator[str]:
    """The rows that a request leaves in the store."""
    if request.path == "/v1/records":
        yield from (f"touchpoints B-{request.number}-{line}" for line in range(LINES))
    elif request.lead_id is not None:
        decision = json.loads(content)["decision"]["decision_id"]
        yield from (f"leads {request.lead_id}", f"decision {decision}")
        yield from (f"current {decision}", f"lead.created {request.lead_id}", f"lead.scored {request.lead_id}")
    else:
        yield f"{request.path.split('/')[2]} {json.loads(content)['id']}"


def _stored(store: Engine) -> Counter[str]:
    records = {name: RECORDS[name] for name in ("touchpoints", "buying_signals", "leads")}
    with reading(store) as connection:
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        stored: Counter[str] = Counter()
        for name, table in records.items():
            stored.update(f"{name} {row[0]}" for row in connection.execute(select(table.c[_ID[name]])))
        stored.update(f"decision {row[0]}" for row in connection.execute(select(decisions.c.decision_id)))
        stored.update(f"{a} {b}" for a, b in connection.execute(select(outbox.c.kind, outbox.c.lead_id)))
        stored.update(f"current {row[0]}" for row in connection.execute(select(current_score.c.decision_id)))
    return stored


_ID = {"touchpoints": "touchpoint_id", "buying_signals": "buying_signal_id", "leads": "lead_id"}
