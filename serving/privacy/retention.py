"""Retention: data that are no longer needed are deleted every day (GDPR, article 5(1)(e))."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from features.value_types import DAY
from serving.privacy import erasures, expiry
from serving.privacy.expiry import PurgeStep
from serving.store import idempotency

_BATCH = 1_000
"""Items that one step deletes at most."""


@dataclass(frozen=True)
class Retention:
    """The days for which data are kept; None keeps them without limit.

    Attributes:
        scored: decisions on facts in a request.
        idle: open leads, counted from their last record.
        events: events without a waiting delivery, with the log of their deliveries.
    """

    scored: int | None = None
    idle: int | None = None
    events: int | None = 90


def purge(engine: Engine, retention: Retention, now: int) -> Mapping[str, int]:
    """Deletes the data that have expired at `now` (microseconds), in batches; returns the number of each sort."""
    counts = {name: _run(engine, step) for name, step in _steps(retention, now)}
    erasures.checkpoint(engine)
    return counts


def rehearse(engine: Engine, retention: Retention, now: int) -> Mapping[str, int]:
    """The numbers that `purge` would return; the transaction is rolled back."""
    with engine.connect() as connection, connection.begin() as transaction:
        counts = {name: _repeat(partial(step, connection, _BATCH)) for name, step in _steps(retention, now)}
        transaction.rollback()
    return counts


def _steps(retention: Retention, now: int) -> Iterator[tuple[str, PurgeStep]]:
    """The steps of a purge with the names of the data that they delete."""
    limited: list[tuple[str, int | None, Callable[[int], PurgeStep]]] = [
        ("decisions on facts sent along", retention.scored, expiry.scored),
        ("open leads without activity", retention.idle, lambda before: expiry.idle(before, now)),
        ("events with their deliveries", retention.events, expiry.events),
    ]
    yield from ((name, make(now - days * DAY)) for name, days, make in limited if days is not None)
    yield (
        "answers to requests with a key",
        lambda connection, _: idempotency.purge(connection, now - idempotency.MIN_KEPT),
    )
    yield "sessions and sign-in links", lambda connection, _: expiry.sign_ins(connection, now)
    yield "rows of leads that are no more", expiry.orphans


def _run(engine: Engine, step: PurgeStep) -> int:
    def run_batch() -> int:
        with engine.begin() as connection:
            erasures.overwrite(connection)
            return step(connection, _BATCH)

    return _repeat(run_batch)


def _repeat(run_batch: Callable[[], int]) -> int:
    """Runs batches until one is not full; returns the total."""
    total = done = run_batch()
    while done >= _BATCH:
        total += (done := run_batch())
    return total
