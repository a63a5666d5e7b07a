"""The delivery of due events: one task for each webhook, so that a slow receiver delays no other one."""

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
from serving.webhooks.deliveries import ClaimedDelivery, DeliveryAttempt
from serving.webhooks.retries import next_due
from serving.webhooks.sending import GONE, Result, Sender

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
BATCH = 16
"""Deliveries to one webhook that are sent at once."""
CLAIM = 60 * SECOND
"""Microseconds that a worker has to send and record a batch; then another worker may claim it."""
GIVE_UP = 5 * DAY
"""Microseconds of failing attempts after which a webhook is disabled."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Delivery:
    """Sends due deliveries and records the attempts.

    Attributes:
        store: keeps the deliveries; its randomness gives the jitter of retries.
        sender: makes the attempts.
        stopping: returns True once no further attempt may start.
    """

    store: Store
    sender: Sender
    stopping: Callable[[], bool] = lambda: False

    async def run(self) -> None:
        """Delivers until nothing is due. While one receiver is slow, the others still get their new deliveries."""
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
                with anyio.move_on_after(_POLL_SECONDS):
                    await finished.acquire()

    async def _serve(self, webhook_id: int, busy: set[int], finished: anyio.Semaphore) -> None:
        try:
            while not self.stopping() and await self.batch(webhook_id):
                pass
        finally:
            busy.discard(webhook_id)
            finished.release()

    async def batch(self, webhook_id: int) -> int:
        """Sends a batch of due deliveries of a webhook concurrently and records the attempts; returns their number."""
        now = self.store.clock()
        until = now + CLAIM
        claimed = await self._write(partial(deliveries.claim, webhook_id=webhook_id, limit=BATCH, now=now, until=until))
        made: list[DeliveryAttempt] = []

        async def attempt(delivery: ClaimedDelivery) -> None:
            made.append(self._attempt(delivery, await self.sender.send(delivery)))

        async with anyio.create_task_group() as tasks:
            for delivery in claimed:
                tasks.start_soon(attempt, delivery)
        if made:
            await self._write(partial(self._note, webhook_id=webhook_id, made=made, until=until))
        return len(made)

    def _attempt(self, delivery: ClaimedDelivery, result: Result) -> DeliveryAttempt:
        now, next_at = self.store.clock(), None
        if result.error is not None:
            next_at = next_due(delivery.attempts + 1, now, result.retry_after, self.store.tokens)
        return DeliveryAttempt(delivery=delivery, at=now, status=result.status, error=result.error, next_at=next_at)

    def _note(self, connection: Connection, webhook_id: int, made: list[DeliveryAttempt], until: int) -> None:
        deliveries.note(connection, sorted(made, key=lambda attempt: attempt.delivery.id), until)
        if any(attempt.status == GONE for attempt in made):
            self._disable(connection, webhook_id, "it answered 410 Gone")
        elif any(attempt.error is None for attempt in made):
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
