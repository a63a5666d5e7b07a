"""Kill the service again and again while facts and leads come in: nothing acknowledged may be lost, nothing doubled.

The service runs as a process (`benchmarks.evidence.failing`) that is killed with SIGKILL, in turn at a random moment
and at each named failpoint. The clients keep what was acknowledged in a log that is synced before they go on; what was
not acknowledged they send again, as a CRM would, until it is. In the end the store must hold each record, lead,
decision and event exactly once.
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
_DIES_WITHIN = 4.0
"""Seconds after which a process that did not come to its failpoint is killed there and then."""
_LATEST = 0.6
"""Seconds within which a random kill comes, some of them before the service is up."""
_CHANCE = 0.08


@dataclass
class Clients:
    """Threads that send requests and keep what was acknowledged.

    Attributes:
        port: of the service.
        key: of the API.
        log: the file of acknowledgements, synced after each.
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
        """Begins to send."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Sends nothing new, and what was not acknowledged until it is."""
        self._draining.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = connect(self.port)
        while (wanted := self._next()) is not None:
            self._keep(wanted, send_until_answered(connection, self.key, wanted))
        connection.close()

    def _next(self) -> WriteRequest | None:
        if self._draining.is_set():
            return None
        with self._lock:
            return write_request(next(self._numbers))

    def _keep(self, wanted: WriteRequest, answer: FinalAnswer) -> None:
        with self._lock, self.log.open("ab") as log:
            self.repeated += answer.sent_again
            if answer.status not in (200, 201):
                self.refused.append((answer.status, answer.body))
                return
            log.write(b"%d\n" % wanted.number)
            log.flush()
            os.fsync(log.fileno())
            self.acknowledged[wanted.number] = (wanted, answer.body)


@dataclass
class KillableService:
    """The service, started anew after each death."""

    process: "subprocess.Popen[str]"
    port: int
    deaths: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def die(self, failpoint: str, chance: random.Random) -> None:
        """Starts it and sees it die: at the failpoint, or at a random moment."""
        pid = self.start(failpoint)
        ended = threading.Thread(target=self.ended)
        ended.start()
        ended.join(chance.uniform(0, _LATEST) if failpoint == RANDOM else _DIES_WITHIN)
        if ended.is_alive():
            self.late += failpoint != RANDOM
            os.kill(pid, signal.SIGKILL)
            ended.join()
        self.deaths[failpoint] += 1

    def start(self, failpoint: str = "none") -> int:
        """Its process's id."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{self.port} {failpoint} {_CHANCE}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> None:
        """Waits for the process's end."""
        assert self.process.stdout
        self.process.stdout.readline()


@contextmanager
def killable_service(url: str, home: Path) -> Iterator[KillableService]:
    """The service on a store, to be started and killed."""
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
    """Kills the service so often on a new store of a database, and says what was lost or doubled.

    Args:
        kind: of database.
        kills: how many.
        seed: of the random moments.
    """
    chance = random.Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "admin", None, at=STARTS, tokens=secrets.token_bytes)
        with killable_service(url, Path(name)) as service:
            clients = Clients(service.port, key, Path(name, "acknowledged"))
            clients.start()
            for failpoint in islice(cycle((RANDOM, *FAILPOINTS)), kills):
                service.die(failpoint, chance)
            pid = service.start()
            clients.drain()
            os.kill(pid, signal.SIGTERM)
            service.ended()
        logged = Path(name, "acknowledged").read_text().split()
        assert len(logged) == len(clients.acknowledged)
        faults = differences(store, [*clients.acknowledged.values()])
    return {
        "kills": sum(service.deaths.values()),
        "deaths": dict(service.deaths),
        "not_at_their_failpoint": service.late,
        "acknowledged": len(clients.acknowledged),
        "sent_again": clients.repeated,
        "refused": len(clients.refused),
        **{name: sum(counted.values()) for name, counted in faults.items()},
        "examples": {name: list(counted)[:3] for name, counted in faults.items() if counted},
        "seconds": round(time.monotonic() - began, 1),
    }


def differences(store: Engine, acknowledged: Sequence[tuple[WriteRequest, bytes]]) -> dict[str, Counter[str]]:
    """What of the acknowledged the store has not, has more than once, and what it has that nobody sent."""
    expected = Counter(name for wanted, content in acknowledged for name in _expected(wanted, content))
    found = _found(store)
    lost = expected - found
    doubled = Counter({name: found[name] - 1 for name in expected if found[name] > 1})
    unknown = Counter({name: found[name] for name in found.keys() - expected.keys()})
    return {"lost": lost, "doubled": doubled, "unknown": unknown}


def _expected(wanted: WriteRequest, content: bytes) -> Iterator[str]:
    """What a request leaves in the store."""
    if wanted.path == "/v1/records":
        yield from (f"touchpoints B-{wanted.number}-{line}" for line in range(LINES))
    elif wanted.lead_id is not None:
        decision = json.loads(content)["decision"]["decision_id"]
        yield from (f"leads {wanted.lead_id}", f"decision {decision}")
        yield from (f"current {decision}", f"lead.created {wanted.lead_id}", f"lead.scored {wanted.lead_id}")
    else:
        yield f"{wanted.path.split('/')[2]} {json.loads(content)['id']}"


def _found(store: Engine) -> Counter[str]:
    records = {name: RECORDS[name] for name in ("touchpoints", "buying_signals", "leads")}
    with reading(store) as connection:
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        found: Counter[str] = Counter()
        for name, table in records.items():
            found.update(f"{name} {row[0]}" for row in connection.execute(select(table.c[_ID[name]])))
        found.update(f"decision {row[0]}" for row in connection.execute(select(decisions.c.decision_id)))
        found.update(f"{a} {b}" for a, b in connection.execute(select(outbox.c.kind, outbox.c.lead_id)))
        found.update(f"current {row[0]}" for row in connection.execute(select(current_score.c.decision_id)))
    return found


_ID = {"touchpoints": "touchpoint_id", "buying_signals": "buying_signal_id", "leads": "lead_id"}
