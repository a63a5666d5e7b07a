"""What is derived from all leads together, and kept as records of its own: the partners' history."""

from sqlalchemy import Connection

from features.partner_history import HORIZON_DAYS, histories
from features.records import KINDS
from serving.records import versions as records


def derive_histories(connection: Connection) -> int:
    """Derives the partners' and tiers' history anew inside the caller's write transaction; returns its rows."""
    records.alone(connection)
    leads, partners, events = (
        list(records.versions(connection, KINDS[name])) for name in ("leads", "partners", "lead_events")
    )
    derived = {kind: list(rows) for kind, rows in histories(leads, partners, events, HORIZON_DAYS).items()}
    records.replace_derived(connection, derived)
    return sum(map(len, derived.values()))
