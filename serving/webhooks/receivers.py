"""Webhooks: where events go, which of them, and the secrets that sign them.

Secrets are kept as they are, for signing takes them: whoever reads the store can sign in this service's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from features.value_types import DAY
from serving.webhooks.tables import webhooks as table

FORMER_SIGNS_FOR = DAY
"""How long a secret that was replaced signs too, microseconds."""
_SECRETS = ("secret", "former_secret")


@dataclass(frozen=True)
class Webhook:
    """A receiver of events; times are microseconds.

    Attributes:
        id: names it.
        url: where events are sent.
        events: their kinds; None for all.
        description: whatever it was registered with.
        enabled: whether anything is sent.
        disabled_because: why this service stopped sending; None where it did not.
        failing_since: when the first of the latest attempts failed, none of which succeeded.
        created_at: when it was registered.
        former_until: until when the secret before this one signs too.
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
        """Whether events of this kind are sent to it."""
        return self.events is None or kind in self.events


_COLUMNS = [column for column in table.c if column.name not in _SECRETS]


def create(
    connection: Connection, url: str, events: Sequence[str] | None, description: str | None, secret: str, at: int
) -> Webhook:
    """Registers a webhook, enabled."""
    row = {"url": url, "events": events, "description": description, "enabled": True, "secret": secret}
    found = connection.execute(insert(table).returning(*_COLUMNS), row | {"created_at": at})
    return _webhook(found.mappings().one())


def get(connection: Connection, webhook_id: int) -> Webhook | None:
    """The webhook of that id, None where there is none."""
    found = connection.execute(select(*_COLUMNS).where(table.c.id == webhook_id)).mappings().first()
    return None if found is None else _webhook(found)


def listed(connection: Connection, after: int, limit: int) -> list[Webhook]:
    """The webhooks with ids beyond `after`, in their order."""
    wanted = select(*_COLUMNS).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return [_webhook(row) for row in connection.execute(wanted).mappings()]


def enabled(connection: Connection) -> list[Webhook]:
    """Those that events are sent to; none of them is removed before the transaction ends."""
    wanted = select(*_COLUMNS).where(table.c.enabled).with_for_update(read=True, key_share=True)
    return [_webhook(row) for row in connection.execute(wanted).mappings()]


def change(connection: Connection, webhook_id: int, values: Mapping[str, Any]) -> Webhook | None:
    """Sets these of `url`, `events`, `description`, `enabled`; None where there is no such webhook.

    One that is enabled or disabled by hand starts anew: what failed before is forgotten.
    """
    fresh = {"disabled_because": None, "failing_since": None} if "enabled" in values else {}
    changed = update(table).where(table.c.id == webhook_id).values({"id": webhook_id, **values, **fresh})
    found = connection.execute(changed.returning(*_COLUMNS)).mappings().first()
    return None if found is None else _webhook(found)


def remove(connection: Connection, webhook_id: int) -> bool:
    """Removes a webhook with its deliveries; False where there is none."""
    return connection.execute(delete(table).where(table.c.id == webhook_id)).rowcount == 1


def rotate(connection: Connection, webhook_id: int, secret: str, at: int) -> Webhook | None:
    """Replaces the secret; the one before signs too for a while. None where there is no such webhook."""
    values = {"secret": secret, "former_secret": table.c.secret, "former_until": at + FORMER_SIGNS_FOR}
    changed = update(table).where(table.c.id == webhook_id).values(values)
    found = connection.execute(changed.returning(*_COLUMNS)).mappings().first()
    return None if found is None else _webhook(found)


def succeeded(connection: Connection, webhook_id: int) -> None:
    """An attempt succeeded: whatever failed before is over."""
    over = (table.c.id == webhook_id, table.c.failing_since.is_not(None))
    connection.execute(update(table).where(*over).values(failing_since=None))


def failed(connection: Connection, webhook_id: int, at: int) -> int | None:
    """An attempt failed; returns since when all have, None where the webhook was removed."""
    first = (table.c.id == webhook_id, table.c.failing_since.is_(None))
    connection.execute(update(table).where(*first).values(failing_since=at))
    since: int | None = connection.execute(
        select(table.c.failing_since).where(table.c.id == webhook_id)
    ).scalar_one_or_none()
    return since


def disable(connection: Connection, webhook_id: int, because: str) -> bool:
    """Stops sending to a webhook; False where that was so already."""
    running = (table.c.id == webhook_id, table.c.enabled)
    return (
        connection.execute(update(table).where(*running).values(enabled=False, disabled_because=because)).rowcount == 1
    )


def _webhook(row: Mapping[Any, Any]) -> Webhook:
    events = row["events"]
    return Webhook(**{**row, "events": None if events is None else tuple(events)})
