"""Webhooks, the receivers of events: their addresses, the kinds of events they get, and their signing secrets.

The store keeps the secrets in plain text, because signing needs them. A reader of the store can sign in this service's
name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from features.value_types import DAY
from serving.webhooks.tables import webhooks as table

FORMER_SECRET_LASTS = DAY
"""Microseconds for which a replaced secret still signs, beside the new one."""
_SECRETS = ("secret", "former_secret")


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A receiver of events; times are microseconds.

    Attributes:
        id: its id.
        url: the address that events are sent to.
        events: the kinds of its events; None for all.
        description: the description from its registration.
        enabled: whether events are sent.
        disabled_because: why this service disabled it; None where it did not.
        failing_since: the time of the first failed attempt since the last success; None where none failed.
        created_at: the time of its registration.
        former_until: the time until which the former secret signs too.
    """

    id: int
    url: str
    events: tuple[str, ...] | None
    description: str | None
    enabled: bool
    disabled_because: str | None
    failing_since: int | None
    created_at: int
    former_until: int | None

    def takes(self, kind: str) -> bool:
        """Whether the webhook gets events of this kind."""
        return self.events is None or kind in self.events


_COLUMNS = [column for column in table.c if column.name not in _SECRETS]


def create(
    connection: Connection, url: str, events: Sequence[str] | None, description: str | None, secret: str, at: int
) -> Webhook:
    """Registers a webhook, enabled."""
    row = {"url": url, "events": events, "description": description, "enabled": True, "secret": secret}
    created = connection.execute(insert(table).returning(*_COLUMNS), row | {"created_at": at})
    return _webhook(created.mappings().one())


def get(connection: Connection, webhook_id: int) -> Webhook | None:
    """The webhook of that id, None where there is none."""
    found = connection.execute(select(*_COLUMNS).where(table.c.id == webhook_id)).mappings().first()
    return None if found is None else _webhook(found)


def listed(connection: Connection, after: int, limit: int) -> list[Webhook]:
    """At most `limit` webhooks with an id above `after`, in the order of their ids."""
    wanted = select(*_COLUMNS).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return [_webhook(row) for row in connection.execute(wanted).mappings()]


def enabled(connection: Connection) -> list[Webhook]:
    """The enabled webhooks. No other transaction removes one before this transaction ends."""
    wanted = select(*_COLUMNS).where(table.c.enabled).with_for_update(read=True, key_share=True)
    return [_webhook(row) for row in connection.execute(wanted).mappings()]


def change(connection: Connection, webhook_id: int, values: Mapping[str, Any]) -> Webhook | None:
    """Changes some of `url`, `events`, `description` and `enabled`; None where the webhook does not exist.

    A change of `enabled` clears the record of failed attempts.
    """
    fresh = {"disabled_because": None, "failing_since": None} if "enabled" in values else {}
    changed = update(table).where(table.c.id == webhook_id).values({"id": webhook_id, **values, **fresh})
    found = connection.execute(changed.returning(*_COLUMNS)).mappings().first()
    return None if found is None else _webhook(found)


def remove(connection: Connection, webhook_id: int) -> bool:
    """Removes a webhook with its deliveries; False where the webhook does not exist."""
    return connection.execute(delete(table).where(table.c.id == webhook_id)).rowcount == 1


def rotate(connection: Connection, webhook_id: int, secret: str, at: int) -> Webhook | None:
    """Replaces the secret; the former one still signs for a while. None where the webhook does not exist."""
    values = {"secret": secret, "former_secret": table.c.secret, "former_until": at + FORMER_SECRET_LASTS}
    changed = update(table).where(table.c.id == webhook_id).values(values)
    found = connection.execute(changed.returning(*_COLUMNS)).mappings().first()
    return None if found is None else _webhook(found)


def succeeded(connection: Connection, webhook_id: int) -> None:
    """Records a successful attempt, which ends a series of failures."""
    failing = (table.c.id == webhook_id, table.c.failing_since.is_not(None))
    connection.execute(update(table).where(*failing).values(failing_since=None))


def failed(connection: Connection, webhook_id: int, at: int) -> int | None:
    """Records a failed attempt; returns when the series of failures began, None where the webhook was removed."""
    first = (table.c.id == webhook_id, table.c.failing_since.is_(None))
    connection.execute(update(table).where(*first).values(failing_since=at))
    since: int | None = connection.execute(
        select(table.c.failing_since).where(table.c.id == webhook_id)
    ).scalar_one_or_none()
    return since


def disable(connection: Connection, webhook_id: int, because: str) -> bool:
    """Disables a webhook; False where it was disabled already."""
    running = (table.c.id == webhook_id, table.c.enabled)
    return (
        connection.execute(update(table).where(*running).values(enabled=False, disabled_because=because)).rowcount == 1
    )


def _webhook(row: Mapping[Any, Any]) -> Webhook:
    events = row["events"]
    return Webhook(**{**row, "events": None if events is None else tuple(events)})
