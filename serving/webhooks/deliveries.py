"""What has to be delivered to which webhook: made once for each event, claimed by one worker, tried until it is taken.

A claim runs out, so what a worker that died was sending is sent anew: at least once, under the same event id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Due:
    """A delivery that a worker claimed.

    Attributes:
        id: the delivery's.
        event_id: what is sent: its id,
        content: and its body.
        url: where it goes.
        secrets: that sign it.
        attempts: how many were made before.
    """

    id: int
    event_id: str
    content: str
    url: str
    secrets: tuple[str, ...]
    attempts: int


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt; without `fault` it was taken, else `next_at` says when to try again, if ever."""

    due: Due
    at: int
    status: int | None
    fault: str | None
    next_at: int | None


@dataclass(frozen=True)
class Logged:
    """A delivery with its attempts (at, status, fault), for the log; `due_at` while it waits."""

    id: int
    event_id: str
    kind: str
    at: int
    state: str
    due_at: int | None
    attempts: tuple[tuple[int, int | None, str | None], ...]


def fan_out(connection: Connection, limit: int) -> int:
    """Makes the deliveries of up to `limit` events that have none yet; returns of how many events."""
    free = outbox.c.fanned_out == false()
    columns = (outbox.c.id, outbox.c.event_id, outbox.c.kind, outbox.c.at)
    oldest = select(*columns).where(free).order_by(outbox.c.id).limit(limit).with_for_update(skip_locked=True)
    events = connection.execute(oldest).all()
    claimed = outbox.c.id.in_([event.id for event in events])
    connection.execute(update(outbox).where(claimed).values(fanned_out=True))
    wanted = webhooks.enabled(connection) if events else []
    made = [_new(e.event_id, webhook.id, e.at) for webhook in wanted for e in events if webhook.takes(e.kind)]
    if made:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), made)
    return len(events)


def add(connection: Connection, event_id: str, webhook_id: int, at: int) -> None:
    """Makes one delivery, of an event for this webhook alone."""
    connection.execute(update(outbox).where(outbox.c.event_id == event_id).values(fanned_out=True))
    connection.execute(insert(table), _new(event_id, webhook_id, at))


def _new(event_id: str, webhook_id: int, at: int) -> dict[str, object]:
    row = {"event_id": event_id, "webhook_id": webhook_id, "state": WAITING, "attempts": 0, "due_at": at}
    return row | {"claimed_until": _UNCLAIMED}


def receivers_due(connection: Connection, now: int) -> list[int]:
    """The enabled webhooks that something is due for and unclaimed."""
    waits = _free(now) & (table.c.webhook_id == receivers.c.id)
    wanted = select(receivers.c.id).where(receivers.c.enabled, select(table.c.id).where(waits).exists())
    return list(connection.execute(wanted.order_by(receivers.c.id)).scalars())


def claim(connection: Connection, webhook_id: int, limit: int, *, now: int, until: int) -> list[Due]:
    """Takes up to `limit` deliveries of an enabled webhook for oneself until `until`, those longest due first."""
    mine = and_(table.c.webhook_id == webhook_id, _free(now))
    running = select(receivers.c.id).where(receivers.c.id == webhook_id, receivers.c.enabled).exists()
    oldest = select(table.c.id).where(mine, running).order_by(table.c.due_at, table.c.id).limit(limit)
    # Not as a subquery of the update, which PostgreSQL may run more than once and then claims more than the limit.
    ids = list(connection.execute(oldest.with_for_update(skip_locked=True, of=table)).scalars())
    connection.execute(update(table).where(table.c.id.in_(ids)).values(claimed_until=until))
    joined = table.join(outbox, outbox.c.event_id == table.c.event_id).join(
        receivers, receivers.c.id == table.c.webhook_id
    )
    columns = (table.c.id, table.c.event_id, table.c.attempts, outbox.c.content, receivers.c.url)
    secrets = (receivers.c.secret, receivers.c.former_secret, receivers.c.former_until)
    found = select(*columns, *secrets).select_from(joined).where(table.c.id.in_(ids)).order_by(table.c.id)
    return [
        Due(
            row.id,
            row.event_id,
            row.content,
            row.url,
            (row.secret, row.former_secret) if (row.former_until or 0) > now else (row.secret,),
            row.attempts,
        )
        for row in connection.execute(found)
    ]


def _free(now: int) -> ColumnElement[bool]:
    return and_(table.c.state == WAITING, table.c.due_at <= now, table.c.claimed_until <= now)


def note(connection: Connection, made: Iterable[Attempt], until: int) -> None:
    """Notes what came of attempts made under the claim `until`; where it was lost meanwhile, only that they were."""
    for each in made:
        state = DELIVERED if each.fault is None else WAITING if each.next_at is not None else FAILED
        held = (table.c.id == each.due.id, table.c.claimed_until == until)
        values = {"state": state, "attempts": each.due.attempts + 1, "claimed_until": _UNCLAIMED}
        due_at = {} if each.next_at is None else {"due_at": each.next_at}
        connection.execute(update(table).where(*held).values(values | due_at))
        there = select(table.c.id, literal(each.at), literal(each.status), literal(each.fault))
        row = insert(attempts).from_select(
            ["delivery_id", "at", "status", "fault"], there.where(table.c.id == each.due.id)
        )
        connection.execute(row)


def replay(connection: Connection, webhook: Webhook, event_id: str, at: int) -> bool:
    """Makes an event due again for a webhook, from the first attempt on; False where there is no such event."""
    return _renew(connection, webhook, at, outbox.c.event_id == event_id) == 1


def replay_since(connection: Connection, webhook: Webhook, since: int, at: int) -> int:
    """Makes all events of its kinds since a moment due again for a webhook; returns how many."""
    kinds = true() if webhook.events is None else outbox.c.kind.in_(webhook.events)
    return _renew(connection, webhook, at, and_(outbox.c.at >= since, kinds))


def _renew(connection: Connection, webhook: Webhook, at: int, wanted: ColumnElement[bool]) -> int:
    # Tests of other webhooks are none of its business.
    own = select(table.c.event_id).where(table.c.webhook_id == webhook.id)
    visible = or_(outbox.c.kind != TEST, outbox.c.event_id.in_(own))
    values = (literal(webhook.id), literal(WAITING), literal(0), literal(at), literal(_UNCLAIMED))
    found = select(outbox.c.event_id, *values).where(wanted, visible).order_by(outbox.c.event_id)
    columns = ["event_id", "webhook_id", "state", "attempts", "due_at", "claimed_until"]
    statement = inserting(connection, table).from_select(columns, found)
    anew = {name: statement.excluded[name] for name in columns[2:]}
    renewing = statement.on_conflict_do_update(index_elements=columns[:2], set_=anew)
    return connection.execute(renewing, execution_options={"preserve_rowcount": True}).rowcount


def log(connection: Connection, webhook_id: int, before: int | None, limit: int) -> list[Logged]:
    """The deliveries of a webhook with ids below `before`, newest first."""
    below = true() if before is None else table.c.id < before
    columns = (table.c.id, table.c.event_id, outbox.c.kind, outbox.c.at, table.c.state, table.c.due_at)
    wanted = select(*columns).join_from(table, outbox, outbox.c.event_id == table.c.event_id)
    rows = connection.execute(
        wanted.where(table.c.webhook_id == webhook_id, below).order_by(table.c.id.desc()).limit(limit)
    ).all()
    made = _attempts(connection, [row.id for row in rows])
    return [
        Logged(
            row.id,
            row.event_id,
            row.kind,
            row.at,
            row.state,
            row.due_at if row.state == WAITING else None,
            made[row.id],
        )
        for row in rows
    ]


def _attempts(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[tuple[int, int | None, str | None], ...]]:
    found = select(attempts).where(attempts.c.delivery_id.in_(ids)).order_by(attempts.c.id)
    made: dict[int, tuple[tuple[int, int | None, str | None], ...]] = dict.fromkeys(ids, ())
    for row in connection.execute(found):
        made[row.delivery_id] += ((row.at, row.status, row.fault),)
    return made


def waiting(connection: Connection) -> int:
    """How many deliveries to enabled webhooks wait, due or not, and how many events were not looked at yet."""
    running = select(receivers.c.id).where(receivers.c.enabled)
    held = select(func.count()).select_from(table).where(table.c.state == WAITING, table.c.webhook_id.in_(running))
    new = select(func.count()).select_from(outbox).where(outbox.c.fanned_out == false())
    return connection.execute(held).scalar_one() + connection.execute(new).scalar_one()
