"""Deliveries: each sends one event to one webhook, and is retried until the webhook accepts it.

A worker claims a delivery before it sends it. A claim expires, so another worker sends the deliveries of a worker that
died. An event is delivered at least once, always with the same id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, false, func, insert, literal, or_, select, true, update

from serving.store.database import inserting
from serving.store.outbox import TEST
from serving.store.tables import outbox
from serving.webhooks import receivers as webhooks
from serving.webhooks.receivers import Webhook
from serving.webhooks.tables import deliveries as table
from serving.webhooks.tables import delivery_attempts as attempts
from serving.webhooks.tables import webhooks as receivers

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
_UNCLAIMED = 0


@dataclass(frozen=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that a worker claimed.

    Attributes:
        id: the delivery's id.
        event_id: the event's id.
        content: the body to send.
        url: the webhook's address.
        secrets: the secrets that sign the body.
        attempts: the number of earlier attempts.
    """

    id: int
    event_id: str
    content: str
    url: str
    secrets: tuple[str, ...]
    attempts: int


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt:
    """The result of an attempt.

    Attributes:
        delivery: the claimed delivery.
        at: the time of the attempt, microseconds.
        status: the status of the answer; None without an answer.
        error: why the attempt failed; None where it succeeded.
        next_at: the time of the next attempt; None where there is none.
    """

    delivery: ClaimedDelivery
    at: int
    status: int | None
    error: str | None
    next_at: int | None


class LoggedAttempt(NamedTuple):
    """An attempt in the log: its time, the status of the answer, and the error; None where there is none."""

    at: int
    status: int | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class LoggedDelivery:
    """A delivery in the log, with its attempts; `due_at` is set while the delivery waits."""

    id: int
    event_id: str
    kind: str
    at: int
    state: str
    due_at: int | None
    attempts: tuple[LoggedAttempt, ...]


def fan_out(connection: Connection, limit: int) -> int:
    """Creates the deliveries of up to `limit` new events; returns the number of events."""
    free = outbox.c.fanned_out == false()
    columns = (outbox.c.id, outbox.c.event_id, outbox.c.kind, outbox.c.at)
    oldest = select(*columns).where(free).order_by(outbox.c.id).limit(limit).with_for_update(skip_locked=True)
    events = connection.execute(oldest).all()
    claimed = outbox.c.id.in_([event.id for event in events])
    connection.execute(update(outbox).where(claimed).values(fanned_out=True))
    enabled = webhooks.enabled(connection) if events else []
    rows = [_new(e.event_id, webhook.id, e.at) for webhook in enabled for e in events if webhook.takes(e.kind)]
    if rows:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), rows)
    return len(events)


def add(connection: Connection, event_id: str, webhook_id: int, at: int) -> None:
    """Creates the delivery of an event to this webhook only."""
    connection.execute(update(outbox).where(outbox.c.event_id == event_id).values(fanned_out=True))
    connection.execute(insert(table), _new(event_id, webhook_id, at))


def _new(event_id: str, webhook_id: int, at: int) -> dict[str, object]:
    row = {"event_id": event_id, "webhook_id": webhook_id, "state": WAITING, "attempts": 0, "due_at": at}
    return row | {"claimed_until": _UNCLAIMED}


def receivers_due(connection: Connection, now: int) -> list[int]:
    """The ids of enabled webhooks with an unclaimed delivery that is due."""
    due = _free(now) & (table.c.webhook_id == receivers.c.id)
    wanted = select(receivers.c.id).where(receivers.c.enabled, select(table.c.id).where(due).exists())
    return list(connection.execute(wanted.order_by(receivers.c.id)).scalars())


def claim(connection: Connection, webhook_id: int, limit: int, *, now: int, until: int) -> list[ClaimedDelivery]:
    """Claims up to `limit` deliveries of an enabled webhook until `until`; the longest due come first."""
    free = and_(table.c.webhook_id == webhook_id, _free(now))
    running = select(receivers.c.id).where(receivers.c.id == webhook_id, receivers.c.enabled).exists()
    oldest = select(table.c.id).where(free, running).order_by(table.c.due_at, table.c.id).limit(limit)
    # A query of its own: PostgreSQL may run a subquery of the update twice, and then claim more than the limit.
    ids = list(connection.execute(oldest.with_for_update(skip_locked=True, of=table)).scalars())
    connection.execute(update(table).where(table.c.id.in_(ids)).values(claimed_until=until))
    joined = table.join(outbox, outbox.c.event_id == table.c.event_id).join(
        receivers, receivers.c.id == table.c.webhook_id
    )
    columns = (table.c.id, table.c.event_id, table.c.attempts, outbox.c.content, receivers.c.url)
    secrets = (receivers.c.secret, receivers.c.former_secret, receivers.c.former_until)
    claimed = select(*columns, *secrets).select_from(joined).where(table.c.id.in_(ids)).order_by(table.c.id)
    return [
        ClaimedDelivery(
            id=row.id,
            event_id=row.event_id,
            content=row.content,
            url=row.url,
            secrets=(row.secret, row.former_secret) if (row.former_until or 0) > now else (row.secret,),
            attempts=row.attempts,
        )
        for row in connection.execute(claimed)
    ]


def _free(now: int) -> ColumnElement[bool]:
    return and_(table.c.state == WAITING, table.c.due_at <= now, table.c.claimed_until <= now)


def note(connection: Connection, made: Iterable[DeliveryAttempt], until: int) -> None:
    """Records attempts made under the claim `until`. Where the claim was lost meanwhile, the delivery's state stays."""
    for attempt in made:
        delivery = attempt.delivery
        state = DELIVERED if attempt.error is None else WAITING if attempt.next_at is not None else FAILED
        held = (table.c.id == delivery.id, table.c.claimed_until == until)
        values = {"state": state, "attempts": delivery.attempts + 1, "claimed_until": _UNCLAIMED}
        due_at = {} if attempt.next_at is None else {"due_at": attempt.next_at}
        connection.execute(update(table).where(*held).values(values | due_at))
        # From a select, so that a delivery that was removed meanwhile gets no attempt.
        row = select(table.c.id, literal(attempt.at), literal(attempt.status), literal(attempt.error))
        columns = ["delivery_id", "at", "status", "fault"]
        connection.execute(insert(attempts).from_select(columns, row.where(table.c.id == delivery.id)))


def replay(connection: Connection, webhook: Webhook, event_id: str, at: int) -> bool:
    """Makes an event due again for a webhook, from the first attempt on; False where there is no such event."""
    return _renew(connection, webhook, at, outbox.c.event_id == event_id) == 1


def replay_since(connection: Connection, webhook: Webhook, since: int, at: int) -> int:
    """Makes the deliveries of a webhook's events since a moment due again; returns the number of events."""
    kinds = true() if webhook.events is None else outbox.c.kind.in_(webhook.events)
    return _renew(connection, webhook, at, and_(outbox.c.at >= since, kinds))


def _renew(connection: Connection, webhook: Webhook, at: int, wanted: ColumnElement[bool]) -> int:
    # The test events of other webhooks are excluded.
    own = select(table.c.event_id).where(table.c.webhook_id == webhook.id)
    visible = or_(outbox.c.kind != TEST, outbox.c.event_id.in_(own))
    values = (literal(webhook.id), literal(WAITING), literal(0), literal(at), literal(_UNCLAIMED))
    rows = select(outbox.c.event_id, *values).where(wanted, visible).order_by(outbox.c.event_id)
    columns = ["event_id", "webhook_id", "state", "attempts", "due_at", "claimed_until"]
    statement = inserting(connection, table).from_select(columns, rows)
    renewed = {name: statement.excluded[name] for name in columns[2:]}
    renewing = statement.on_conflict_do_update(index_elements=columns[:2], set_=renewed)
    return connection.execute(renewing, execution_options={"preserve_rowcount": True}).rowcount


def log(connection: Connection, webhook_id: int, before: int | None, limit: int) -> list[LoggedDelivery]:
    """The deliveries of a webhook with ids below `before`, newest first."""
    below = true() if before is None else table.c.id < before
    columns = (table.c.id, table.c.event_id, outbox.c.kind, outbox.c.at, table.c.state, table.c.due_at)
    wanted = select(*columns).join_from(table, outbox, outbox.c.event_id == table.c.event_id)
    rows = connection.execute(
        wanted.where(table.c.webhook_id == webhook_id, below).order_by(table.c.id.desc()).limit(limit)
    ).all()
    made = _attempts(connection, [row.id for row in rows])
    return [
        LoggedDelivery(
            id=row.id,
            event_id=row.event_id,
            kind=row.kind,
            at=row.at,
            state=row.state,
            due_at=row.due_at if row.state == WAITING else None,
            attempts=made[row.id],
        )
        for row in rows
    ]


def _attempts(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[LoggedAttempt, ...]]:
    logged = select(attempts).where(attempts.c.delivery_id.in_(ids)).order_by(attempts.c.id)
    made: dict[int, tuple[LoggedAttempt, ...]] = dict.fromkeys(ids, ())
    for row in connection.execute(logged):
        made[row.delivery_id] += (LoggedAttempt(row.at, row.status, row.fault),)
    return made


def waiting(connection: Connection) -> int:
    """The number of waiting deliveries to enabled webhooks, due or not, and of events without deliveries yet."""
    running = select(receivers.c.id).where(receivers.c.enabled)
    held = select(func.count()).select_from(table).where(table.c.state == WAITING, table.c.webhook_id.in_(running))
    new = select(func.count()).select_from(outbox).where(outbox.c.fanned_out == false())
    return connection.execute(held).scalar_one() + connection.execute(new).scalar_one()
