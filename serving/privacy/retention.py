"""What is kept no longer than it is needed: deleted day by day, as a policy says (GDPR, article 5(1)(e))."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from features.value_types import DAY
from serving.privacy import erasures, expiry
from serving.privacy.expiry import Step
from serving.store import idempotency

_AT_ONCE = 1_000


@dataclass(frozen=True)
class Retention:
    """How long what is kept, in days; None for as long as the store is.

    Attributes:
        scored: decisions on facts that were sent along with a request.
        idle: leads that are open, counted from the last that was recorded of them.
        events: events that were delivered, or will not be, with the log of their deliveries.
    """

    scored: int | None = None
    idle: int | None = None
    events: int | None = 90


def purge(engine: Engine, retention: Retention, now: int) -> Mapping[str, int]:
    """Deletes what is over at `now` (microseconds), some at a time; returns how many of what."""
    done = {name: _exhaust(engine, step) for name, step in _steps(retention, now)}
    erasures.checkpoint(engine)
    return done


def rehearse(engine: Engine, retention: Retention, now: int) -> Mapping[str, int]:
    """How many of what `purge` would delete; nothing is."""
    with engine.connect() as connection, connection.begin() as transaction:
        found = {name: _repeated(partial(step, connection, _AT_ONCE)) for name, step in _steps(retention, now)}
        transaction.rollback()
    return found


def _steps(retention: Retention, now: int) -> Iterator[tuple[str, Step]]:
    """What is to be deleted, by what it is called."""
    wanted: list[tuple[str, int | None, Callable[[int], Step]]] = [
        ("decisions on facts sent along", retention.scored, expiry.scored),
        ("open leads without activity", retention.idle, lambda before: expiry.idle(before, now)),
        ("events with their deliveries", retention.events, expiry.events),
    ]
    yield from ((name, make(now - days * DAY)) for name, days, make in wanted if days is not None)
    yield (
        "answers to requests with a key",
        lambda connection, _: idempotency.purge(connection, now - idempotency.MIN_KEPT),
    )
    yield "sessions and sign-in links", lambda connection, _: expiry.sign_ins(connection, now)
    yield "rows of leads that are no more", expiry.orphans


def _exhaust(engine: Engine, step: Step) -> int:
    def once() -> int:
        with engine.begin() as connection:
            erasures.overwrite(connection)
            return step(connection, _AT_ONCE)

    return _repeated(once)


def _repeated(some: Callable[[], int]) -> int:
    """Does some at a time until that is less than it may be; returns how many in all."""
    total = done = some()
    while done >= _AT_ONCE:
        total += (done := some())
    return total
