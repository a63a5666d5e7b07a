"""Which leads ever had an e-mail address. Of the address only a hash is kept, which is enough to look it up.

`serving.records.versions` notes the addresses of every version of a lead; rows are only added, and go with an erasure.
"""

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from features.records import Lead, Stored
from operations.emails import email_key
from serving.records.tables import lead_emails as table
from serving.store.database import inserting


def digest(email: str) -> str:
    """The SHA-256, in hex, by which an address is kept: the same however somebody typed it."""
    return hashlib.sha256(email_key(email).encode()).hexdigest()


def note(connection: Connection, records: Iterable[Stored]) -> None:
    """Keeps which addresses the leads among these records have."""
    leads = [(stored.id, stored.record.email) for stored in records if isinstance(stored.record, Lead)]
    add(connection, [(lead_id, email) for lead_id, email in leads if email is not None])


def add(connection: Connection, known: Iterable[tuple[str, str]]) -> None:
    """Keeps which lead has which address."""
    if rows := [{"email_sha256": digest(email), "lead_id": lead_id} for lead_id, email in known]:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), rows)


def leads_with(connection: Connection, email: str) -> list[str]:
    """Ids, in order, of the leads that ever had this address."""
    found = select(table.c.lead_id).where(table.c.email_sha256 == digest(email)).order_by(table.c.lead_id)
    return list(connection.execute(found).scalars())


def forget(connection: Connection, lead_ids: Iterable[str]) -> None:
    """Removes what is known of these leads' addresses."""
    connection.execute(delete(table).where(table.c.lead_id.in_([*lead_ids])))
