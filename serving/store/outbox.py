"""The outbox: events for webhooks, written in the transaction of their cause and sent later by a worker.

A rollback of the transaction also removes its events. A committed event is sent at least once.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import Connection, insert

from features.value_types import rfc3339
from serving.identity import TokenSource
from serving.store.tables import outbox as table

EventKind = Literal["lead.created", "lead.scored", "lead.merged", "lead.closed", "model.promoted", "webhook.test"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
TEST: EventKind = "webhook.test"
"""The kind of a test event, which goes to the tested webhook only."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event for webhooks.

    Attributes:
        event_id: its id, which never changes; receivers recognise repetitions by it.
        kind: its kind.
        lead_id: the lead it is about, if any; an erasure of the lead deletes the event.
        at: the time of its cause, microseconds.
        data: the content for receivers, as JSON types: ids and scores, never an e-mail address.
    """

    event_id: str
    kind: EventKind
    lead_id: str | None
    at: int
    data: Mapping[str, Any]

    @property
    def content(self) -> str:
        """The body that is sent, the same bytes at every attempt (Standard Webhooks: type, timestamp, data)."""
        body = {"type": self.kind, "timestamp": rfc3339(self.at), "data": self.data}
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def event(kind: EventKind, lead_id: str | None, data: Mapping[str, Any], *, at: int, tokens: TokenSource) -> Event:
    """A new event with an id of its own."""
    event_id = f"evt_{uuid.UUID(bytes=tokens(16), version=4).hex}"
    return Event(event_id=event_id, kind=kind, lead_id=lead_id, at=at, data=data)


def add(connection: Connection, events: Iterable[Event]) -> None:
    """Puts events into the outbox."""
    rows = [
        {"event_id": e.event_id, "kind": e.kind, "lead_id": e.lead_id, "at": e.at, "content": e.content} for e in events
    ]
    if rows:
        connection.execute(insert(table), rows)
