"""What the world outside shall learn: events, written in the transaction of what they tell of, sent later by a worker.

An event of a transaction that was rolled back was never there; one that was committed is sent at least once.
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

EventKind = Literal["lead.created", "lead.scored", "lead.merged", "model.promoted", "webhook.test"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
TEST: EventKind = "webhook.test"
"""Goes to the one webhook that is tested, and to no other."""


@dataclass(frozen=True)
class Event:
    """Something that happened here.

    Attributes:
        event_id: names it for good; receivers tell repetitions by it.
        kind: what happened.
        lead_id: the lead it is about, if any; erasing the lead erases the event.
        at: when, microseconds.
        data: what receivers learn, JSON types only; ids and scores, never an e-mail address.
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
    return Event(f"evt_{uuid.UUID(bytes=tokens(16), version=4).hex}", kind, lead_id, at, data)


def add(connection: Connection, events: Iterable[Event]) -> None:
    """Puts events into the outbox."""
    rows = [
        {"event_id": e.event_id, "kind": e.kind, "lead_id": e.lead_id, "at": e.at, "content": e.content} for e in events
    ]
    if rows:
        connection.execute(insert(table), rows)
