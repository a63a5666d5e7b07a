"""Closed leads: what the lead events say of a lead now, kept beside its current score in the same transaction."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from features.batched import batched
from features.outcomes import closed_leads
from features.records import KINDS, Row
from features.value_types import rfc3339
from serving.decisions import current_scores
from serving.identity import TokenSource
from serving.records.tables import RECORDS
from serving.records.versions import flat
from serving.store import outbox

_EVENTS = KINDS["lead_events"]
_BATCH = 500


def closes(connection: Connection, lead_ids: Iterable[str], as_of: int) -> Mapping[str, Row]:
    """The event that closed each of these leads that is closed at a moment (microseconds), by lead."""
    table, found = RECORDS[_EVENTS.name], dict[str, Row]()
    for chunk in batched(sorted({*lead_ids}), _BATCH):
        # Every version of an event counts that ever named one of the leads: a correction may name another.
        naming = select(table.c[_EVENTS.id]).where(table.c.lead_id.in_(chunk))
        rows = connection.execute(select(table).where(table.c[_EVENTS.id].in_(naming)).order_by(table.c.ingest))
        found |= closed_leads([flat(_EVENTS.name, row) for row in rows.mappings()], as_of)
    return found


def leads_of(connection: Connection, event_ids: Iterable[str]) -> set[str]:
    """The leads that any version of these lead events names."""
    table, found = RECORDS[_EVENTS.name], set[str]()
    for chunk in batched(sorted({*event_ids}), _BATCH):
        found.update(connection.execute(select(table.c.lead_id).where(table.c[_EVENTS.id].in_(chunk))).scalars())
    return found


def refresh(connection: Connection, lead_ids: Iterable[str], now: int, tokens: TokenSource | None = None) -> None:
    """Marks the current scores of these leads as closed or open, and announces each lead that closed.

    Args:
        connection: the store's, in a write transaction.
        lead_ids: the leads whose events changed.
        now: the moment, microseconds.
        tokens: gives the ids of events; without it nothing is announced, as for an import of history.
    """
    for leads in batched(sorted({*lead_ids}), _BATCH):
        closed = closes(connection, leads, now)
        moments = {lead: (row["event"], row["occurred_at"]) for lead, row in closed.items()}
        changed = current_scores.set_closed(connection, {lead: moments.get(lead) for lead in leads}, now)
        if tokens is not None:
            told = [(lead, _data(lead, closed[lead])) for lead in changed if lead in closed]
            events = [outbox.event("lead.closed", lead, data, at=now, tokens=tokens) for lead, data in told]
            outbox.add(connection, events)


def _data(lead_id: str, close: Row) -> dict[str, Any]:
    return {"lead_id": lead_id, **closed_content(close)}


def closed_content(close: Row) -> dict[str, Any]:
    """The close of a lead as JSON types: the outcome, the moment and the amount, each null where it is unknown."""
    at, minor = close["occurred_at"], close["amount_minor"]
    return {
        "outcome": close["event"],
        "at": None if at is None else rfc3339(at),
        "amount": None if minor is None else {"minor": minor, "currency": close["amount_currency"]},
    }
