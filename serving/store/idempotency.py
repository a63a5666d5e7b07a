"""The answers to requests that carry an Idempotency-Key, so that a repetition gets the first answer and does nothing.

A key is claimed first in the transaction of what the request writes, and its answer kept last in it: both are there, or
neither. Who claims a key that another transaction holds waits for that one to end.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from features.value_types import DAY
from serving.store.database import inserting
from serving.store.tables import idempotency_keys as table

MIN_KEPT = DAY
"""Microseconds that an answer is kept at least."""


@dataclass(frozen=True)
class KeptAnswer:
    """The answer to the first request with a key.

    Attributes:
        fingerprint: SHA-256, in hex, of that request's body.
        status: of HTTP.
        location: the Location header, if there was one.
        media_type: the Content-Type header.
        body: as it was sent.
    """

    fingerprint: str
    status: int
    location: str | None
    media_type: str
    body: bytes


def claim(connection: Connection, sha256: str, fingerprint: str, at: int) -> bool:
    """Takes a key for this transaction; False where it has an answer already.

    Args:
        connection: the store's, in a write transaction.
        sha256: names caller, method, address and key.
        fingerprint: SHA-256 of the request's body.
        at: now, microseconds.

    Raises:
        sqlalchemy.exc.OperationalError: another transaction held the key for longer than the lock timeout.
    """
    row = {"sha256": sha256, "fingerprint": fingerprint, "created_at": at}
    unless_there = inserting(connection, table).values(row).on_conflict_do_nothing().returning(table.c.sha256)
    return connection.execute(unless_there).first() is not None


def keep(connection: Connection, sha256: str, kept: KeptAnswer, lead_ids: Collection[str]) -> None:
    """Keeps the answer under a key claimed in this transaction, and the leads it is about, for their erasure."""
    values = {"status": kept.status, "location": kept.location, "media_type": kept.media_type, "body": kept.body}
    about = json.dumps(sorted({*lead_ids}), ensure_ascii=False)
    connection.execute(update(table).where(table.c.sha256 == sha256).values(**values, lead_ids=about))


def find(connection: Connection, sha256: str) -> KeptAnswer | None:
    """The answer kept under a key."""
    row = connection.execute(select(table).where(table.c.sha256 == sha256)).first()
    return (
        None if row is None else KeptAnswer(row.fingerprint, row.status, row.location, row.media_type, bytes(row.body))
    )


def purge(connection: Connection, before: int) -> int:
    """Removes the answers given before a moment (microseconds), which must be `MIN_KEPT` ago; returns how many."""
    return connection.execute(delete(table).where(table.c.created_at < before)).rowcount


def forget(connection: Connection, lead_ids: Collection[str]) -> int:
    """Removes every answer about one of these leads, and returns how many."""
    about = connection.execute(select(table.c.sha256, table.c.lead_ids).where(table.c.lead_ids.is_not(None)))
    gone = [row.sha256 for row in about if not {*lead_ids}.isdisjoint(json.loads(row.lead_ids))]
    for sha256 in gone:
        connection.execute(delete(table).where(table.c.sha256 == sha256))
    return len(gone)
