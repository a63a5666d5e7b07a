"""The partner history job: it derives the history of partners and tiers from all matured leads."""

from sqlalchemy import Connection

from features.partner_history import HORIZON_DAYS, histories
from features.records import KINDS
from serving.records import versions


def derive_partner_history(connection: Connection) -> int:
    """Replaces the history of partners and tiers inside the caller's write transaction; returns the number of rows."""
    versions.lock_records(connection)
    leads, partners, events = (
        list(versions.versions(connection, KINDS[name])) for name in ("leads", "partners", "lead_events")
    )
    derived = {kind: list(rows) for kind, rows in histories(leads, partners, events, HORIZON_DAYS).items()}
    versions.replace_derived(connection, derived)
    return sum(map(len, derived.values()))
