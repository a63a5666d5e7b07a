"""Events put into the outbox while two workers send them to a receiver that fails, and the workers are killed.

A part of the transactions is rolled back. In the end the receiver must have acknowledged every committed event, under
one webhook-id and with one body, and seen none of a transaction that was rolled back.
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
FAILS = 0.3
ROLLED_BACK = 0.2
_AT_ONCE = 200
_LIVES = (5.0, 20.0)
"""Seconds after which a worker is killed."""


@dataclass
class _Receiver:
    """What came, by webhook-id."""

    acknowledged: set[str] = field(default_factory=set)
    bodies: dict[str, bytes] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def take(self, name: str, body: bytes) -> int:
        """The status to answer."""
        digest = hashlib.sha256(body).digest()
        self.counted["requests"] += 1
        self.counted["other_bodies"] += self.bodies.setdefault(name, digest) != digest
        if self.chance.random() < FAILS:
            self.counted["failed"] += 1
            return self.chance.choice((500, 502, 404))
        self.counted["again"] += name in self.acknowledged
        self.acknowledged.add(name)
        return 204


def deliveries(kind: str, count: int) -> dict[str, Any]:
    """So many events on a new store of a database, and what became of them."""
    began, receiver = time.monotonic(), _Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                # The worker was killed amid sending.
                self.close_connection = True
                return
            self.send_response(receiver.take(self.headers["webhook-id"], body))
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
        # Forked before there are threads here.
        keeper = _Keeper(url, random.Random(2))
        keeper.start()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            committed, rolled_back = _put(store, count)
            while _waiting(store):
                time.sleep(0.5)
        finally:
            keeper.stop()
    server.shutdown()
    return {
        "events": len(committed),
        "rolled_back": len(rolled_back),
        "workers_killed": keeper.kills,
        **receiver.counted,
        "missing": len(committed - receiver.acknowledged),
        "of_rolled_back": len(rolled_back & receiver.bodies.keys()),
        "unknown": len(receiver.bodies.keys() - committed),
        "seconds": round(time.monotonic() - began, 1),
    }


class _Server(ThreadingHTTPServer):
    """A server to which a killed worker's broken connection is nothing to tell of."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@dataclass
class _Keeper:
    """A process that keeps workers running and kills them; it tells how many when it ends."""

    url: str
    chance: random.Random
    kills: int = 0
    _pid: int = 0
    _told: int = 0

    def start(self) -> None:
        """Forks it."""
        self._told, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.write(write, b"%d" % self._keep())
            os._exit(0)
        os.close(write)

    def stop(self) -> None:
        """Ends it and its workers."""
        os.kill(self._pid, signal.SIGTERM)
        self.kills = int(os.read(self._told, 20))
        os.waitpid(self._pid, 0)

    def _keep(self) -> int:
        ended: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
        workers, kills = [self._worker() for _ in range(WORKERS)], 0
        while True:
            ends = time.monotonic() + self.chance.uniform(*_LIVES)
            while time.monotonic() < ends and not ended:
                time.sleep(0.05)
            for worker in workers[:1] if not ended else workers:
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
            if ended:
                return kills
            workers, kills = [*workers[1:], self._worker()], kills + 1

    def _worker(self) -> int:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _work(self.url)
        return pid


def _work(url: str) -> None:
    """A worker without patience: what waits for minutes waits for a second here."""
    retries.DELAYS = tuple(min(delay, SECOND) for delay in retries.DELAYS)
    delivering.CLAIM = 5 * SECOND
    engine = database.connect(url)
    stop, hosts = threading.Event(), AllowedHosts(frozenset({"127.0.0.1"}))
    Worker(tasks(service_on(engine).scoring, [], stop.is_set, hosts), stop, stop.wait).run()


def _put(store: Engine, count: int) -> tuple[set[str], set[str]]:
    """The ids of events that were committed, and of those that were rolled back."""
    chance, committed, rolled_back = random.Random(3), set[str](), set[str]()
    while len(committed) < count:
        size = min(_AT_ONCE, count - len(committed))
        made = [
            outbox.event("lead.scored", f"L-{n}", {"n": n}, at=clock(), tokens=secrets.token_bytes) for n in range(size)
        ]
        names = {event.event_id for event in made}
        if _added(store, made, rolled_back=chance.random() < ROLLED_BACK):
            committed |= names
        else:
            rolled_back |= names
    return committed, rolled_back


def _added(store: Engine, made: Sequence[Event], *, rolled_back: bool) -> bool:
    """Whether these events were committed: on SQLite others may keep the lock longer than one waits for it."""
    try:
        with store.connect() as connection, connection.begin() as transaction:
            outbox.add(connection, made)
            if rolled_back:
                transaction.rollback()
            return not rolled_back
    except OperationalError:
        return False


def _waiting(store: Engine) -> bool:
    with database.reading(store) as connection:
        unspread = connection.execute(select(func.count()).where(events.c.fanned_out.is_(False))).scalar_one()
        return bool(unspread or connection.execute(select(func.count()).where(rows.c.state == "waiting")).scalar_one())
