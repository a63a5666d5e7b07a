"""The leads that ever had an e-mail address. The store keeps a hash of the address, which is enough to look it up.

`serving.records.versions` adds the addresses of every version of a lead. Only an erasure deletes rows.
"""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, Select, delete, select

from features.records import Lead, Stored
from operations.emails import email_key
from serving.records.tables import lead_emails as table
from serving.store.database import inserting


def digest(email: str) -> str:
    """The SHA-256 of an address in hex; the same for every spelling of the address."""
    return hashlib.sha256(email_key(email).encode()).hexdigest()


def note(connection: Connection, records: Iterable[Stored]) -> None:
    """Stores the addresses of the leads among these records."""
    leads = [(stored.id, stored.record.email) for stored in records if isinstance(stored.record, Lead)]
    add(connection, [(lead_id, email) for lead_id, email in leads if email is not None])


def add(connection: Connection, known: Iterable[tuple[str, str]]) -> None:
    """Stores pairs of a lead's id and its address."""
    if rows := [{"email_sha256": digest(email), "lead_id": lead_id} for lead_id, email in known]:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), rows)


def having(email: str) -> Select[tuple[str]]:
    """The query of the ids of leads that ever had this address."""
    return select(table.c.lead_id).where(table.c.email_sha256 == digest(email))


def leads_with(connection: Connection, email: str) -> list[str]:
    """The ids, in order, of the leads that ever had this address."""
    wanted = select(table.c.lead_id).where(table.c.email_sha256 == digest(email)).order_by(table.c.lead_id)
    return list(connection.execute(wanted).scalars())


def forget(connection: Connection, lead_ids: Iterable[str]) -> None:
    """Deletes the addresses of these leads."""
    connection.execute(delete(table).where(table.c.lead_id.in_([*lead_ids])))
