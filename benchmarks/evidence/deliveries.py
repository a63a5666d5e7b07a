"""Deliveries of events by two workers that are killed again and again, to a receiver that often fails.

A share of the transactions with events is rolled back. At the end, the receiver must have acknowledged every committed
event under one webhook-id with one body, and must have got no event of a transaction that was rolled back.
"""

import hashlib
import os
import random
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError

from benchmarks.evidence.contract import clock, service_on
from benchmarks.evidence.stores import new_store, open_store
from features.value_types import SECOND
from serving.store import database, outbox
from serving.store.outbox import Event
from serving.store.tables import outbox as events
from serving.webhooks import delivery as delivering
from serving.webhooks import receivers, retries
from serving.webhooks.addresses import AllowedHosts
from serving.webhooks.signing import new_secret
from serving.webhooks.tables import deliveries as rows
from serving.worker.tasks import tasks
from serving.worker.worker import Worker

WORKERS = 2
FAILURE_PROBABILITY = 0.3
ROLLBACK_PROBABILITY = 0.2
_BATCH_SIZE = 200
_LIFETIME = (5.0, 20.0)
"""The range of seconds after which a worker is killed."""


@dataclass
class _Receiver:
    """The receiver.

    Attributes:
        acknowledged: the webhook-ids of acknowledged events.
        bodies: the digest of the first body of each webhook-id.
        counted: the counts of requests, failures and repetitions.
        rng: the source of the failures.
    """

    acknowledged: set[str] = field(default_factory=set)
    bodies: dict[str, bytes] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def receive(self, name: str, body: bytes) -> int:
        """Records a delivery; returns the status of the answer."""
        digest = hashlib.sha256(body).digest()
        self.counted["requests"] += 1
        self.counted["other_bodies"] += self.bodies.setdefault(name, digest) != digest
        if self.rng.random() < FAILURE_PROBABILITY:
            self.counted["failed"] += 1
            return self.rng.choice((500, 502, 404))
        self.counted["again"] += name in self.acknowledged
        self.acknowledged.add(name)
        return 204


def deliveries(kind: str, count: int) -> dict[str, Any]:
    """Adds `count` events to a new store, waits for their delivery, and returns the figures."""
    started, receiver = time.monotonic(), _Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                # The worker was killed while it sent.
                self.close_connection = True
                return
            self.send_response(receiver.receive(self.headers["webhook-id"], body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    with new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            address = f"http://127.0.0.1:{server.server_port}/"
            receivers.create(connection, address, None, None, new_secret(secrets.token_bytes), clock())
        store.dispose()
        # The fork must come before this process starts threads.
        killer = _WorkerKiller(url, random.Random(2))
        killer.start()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            committed, rolled_back = _add_events(store, count)
            while _waiting(store):
                time.sleep(0.5)
        finally:
            killer.stop()
    server.shutdown()
    return {
        "events": len(committed),
        "rolled_back": len(rolled_back),
        "workers_killed": killer.kills,
        **receiver.counted,
        "missing": len(committed - receiver.acknowledged),
        "of_rolled_back": len(rolled_back & receiver.bodies.keys()),
        "unknown": len(receiver.bodies.keys() - committed),
        "seconds": round(time.monotonic() - started, 1),
    }


class _Server(ThreadingHTTPServer):
    """A server that does not log the broken connections of killed workers."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@dataclass
class _WorkerKiller:
    """A process that runs workers and kills them; at its end it reports the number of kills through a pipe."""

    url: str
    rng: random.Random
    kills: int = 0
    _pid: int = 0
    _kills_pipe: int = 0

    def start(self) -> None:
        """Forks the process."""
        self._kills_pipe, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.write(write, b"%d" % self._run())
            os._exit(0)
        os.close(write)

    def stop(self) -> None:
        """Ends the process and its workers."""
        os.kill(self._pid, signal.SIGTERM)
        self.kills = int(os.read(self._kills_pipe, 20))
        os.waitpid(self._pid, 0)

    def _run(self) -> int:
        ended: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
        workers, kills = [self._fork_worker() for _ in range(WORKERS)], 0
        while True:
            deadline = time.monotonic() + self.rng.uniform(*_LIFETIME)
            while time.monotonic() < deadline and not ended:
                time.sleep(0.05)
            for worker in workers[:1] if not ended else workers:
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
            if ended:
                return kills
            workers, kills = [*workers[1:], self._fork_worker()], kills + 1

    def _fork_worker(self) -> int:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _run_worker(self.url)
        return pid


def _run_worker(url: str) -> None:
    """Runs a worker with short retry delays: at most a second instead of minutes."""
    retries.DELAYS = tuple(min(delay, SECOND) for delay in retries.DELAYS)
    delivering.CLAIM = 5 * SECOND
    engine = database.connect(url)
    stop, hosts = threading.Event(), AllowedHosts(frozenset({"127.0.0.1"}))
    Worker(tasks(service_on(engine).scoring, [], stop.is_set, hosts), stop, stop.wait).run()


def _add_events(store: Engine, count: int) -> tuple[set[str], set[str]]:
    """Adds events; returns the ids of committed events, and the ids of events that were rolled back."""
    rng, committed, rolled_back = random.Random(3), set[str](), set[str]()
    while len(committed) < count:
        size = min(_BATCH_SIZE, count - len(committed))
        new_events = [
            outbox.event("lead.scored", f"L-{n}", {"n": n}, at=clock(), tokens=secrets.token_bytes) for n in range(size)
        ]
        names = {event.event_id for event in new_events}
        if _commit(store, new_events, roll_back=rng.random() < ROLLBACK_PROBABILITY):
            committed |= names
        else:
            rolled_back |= names
    return committed, rolled_back


def _commit(store: Engine, new_events: Sequence[Event], *, roll_back: bool) -> bool:
    """Adds events in a transaction; returns whether it was committed. On SQLite, the wait for the lock may fail."""
    try:
        with store.connect() as connection, connection.begin() as transaction:
            outbox.add(connection, new_events)
            if roll_back:
                transaction.rollback()
            return not roll_back
    except OperationalError:
        return False


def _waiting(store: Engine) -> bool:
    with database.reading(store) as connection:
        not_fanned_out = connection.execute(select(func.count()).where(events.c.fanned_out.is_(False))).scalar_one()
        return bool(
            not_fanned_out or connection.execute(select(func.count()).where(rows.c.state == "waiting")).scalar_one()
        )
