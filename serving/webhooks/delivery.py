"""Delivering what is due: one task for each webhook, so that a slow receiver delays nobody but itself."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
from anyio import to_thread
from sqlalchemy import Connection

from features.value_types import DAY, SECOND
from serving.store.database import reading
from serving.store.store import Store
from serving.webhooks import deliveries
from serving.webhooks import receivers as webhooks
from serving.webhooks.deliveries import Attempt, Due
from serving.webhooks.retries import next_due
from serving.webhooks.sending import GONE, Result, Sender

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
BATCH = 16
"""Deliveries to one webhook that are sent at once."""
CLAIM = 60 * SECOND
"""How long a worker may take to send and note a batch, before another may."""
GIVE_UP = 5 * DAY
"""A webhook of which no attempt succeeded for so long is disabled, microseconds."""
_LOOK_EVERY = 0.2


@dataclass(frozen=True)
class Delivery:
    """Sends what is due and notes what came of it.

    Attributes:
        store: keeps the deliveries; its randomness gives the jitter of retries.
        sender: makes the attempts.
        stopping: whether to start no further attempt.
    """

    store: Store
    sender: Sender
    stopping: Callable[[], bool] = lambda: False

    async def run(self) -> None:
        """Delivers until nothing is due; while a receiver is slow the others get what becomes due for them."""
        busy: set[int] = set()
        finished = anyio.Semaphore(0)
        async with anyio.create_task_group() as tasks:
            while True:
                due = [] if self.stopping() else await self._read(deliveries.receivers_due, self.store.clock())
                for webhook_id in {*due} - busy:
                    busy.add(webhook_id)
                    tasks.start_soon(self._serve, webhook_id, busy, finished)
                if not busy:
                    return
                with anyio.move_on_after(_LOOK_EVERY):
                    await finished.acquire()

    async def _serve(self, webhook_id: int, busy: set[int], finished: anyio.Semaphore) -> None:
        try:
            while not self.stopping() and await self.batch(webhook_id):
                pass
        finally:
            busy.discard(webhook_id)
            finished.release()

    async def batch(self, webhook_id: int) -> int:
        """Sends some of what is due for a webhook, all at once, and notes it; returns how much."""
        now = self.store.clock()
        until = now + CLAIM
        claimed = await self._write(partial(deliveries.claim, webhook_id=webhook_id, limit=BATCH, now=now, until=until))
        made: list[Attempt] = []

        async def attempt(due: Due) -> None:
            made.append(self._attempt(due, await self.sender.send(due)))

        async with anyio.create_task_group() as tasks:
            for due in claimed:
                tasks.start_soon(attempt, due)
        if made:
            await self._write(partial(self._note, webhook_id=webhook_id, made=made, until=until))
        return len(made)

    def _attempt(self, due: Due, result: Result) -> Attempt:
        now = self.store.clock()
        again = None if result.fault is None else next_due(due.attempts + 1, now, result.asked, self.store.tokens)
        return Attempt(due, now, result.status, result.fault, again)

    def _note(self, connection: Connection, webhook_id: int, made: list[Attempt], until: int) -> None:
        deliveries.note(connection, sorted(made, key=lambda each: each.due.id), until)
        if any(each.status == GONE for each in made):
            self._disable(connection, webhook_id, "it answered 410 Gone")
        elif any(each.fault is None for each in made):
            webhooks.succeeded(connection, webhook_id)
        else:
            now = self.store.clock()
            since = webhooks.failed(connection, webhook_id, now)
            if since is not None and now - since >= GIVE_UP:
                self._disable(connection, webhook_id, f"every attempt failed for {GIVE_UP // DAY} days")

    def _disable(self, connection: Connection, webhook_id: int, because: str) -> None:
        if webhooks.disable(connection, webhook_id, because):
            _LOG.warning("webhook %d is disabled: %s", webhook_id, because)

    async def _read(self, query: Callable[[Connection, int], _T], now: int) -> _T:
        def run() -> _T:
            with reading(self.store.engine) as connection:
                return query(connection, now)

        return await to_thread.run_sync(run)

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        def run() -> _T:
            with self.store.engine.begin() as connection:
                return work(connection)

        return await to_thread.run_sync(run)
