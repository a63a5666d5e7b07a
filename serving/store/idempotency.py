"""The answers to requests with an Idempotency-Key. A repeated request gets the first answer and changes nothing.

A request claims its key at the start of its write transaction and stores its answer at the end. So both exist, or
neither does. A request whose key another transaction holds waits for that transaction.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from features.value_types import DAY
from serving.store.database import inserting
from serving.store.tables import idempotency_keys as table

MIN_KEPT = DAY
"""Microseconds for which an answer is kept at least."""


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """The answer to the first request with a key.

    Attributes:
        fingerprint: SHA-256, in hex, of that request's body.
        status: the HTTP status.
        location: the Location header; None without one.
        media_type: the Content-Type header.
        body: the bytes of the answer.
    """

    fingerprint: str
    status: int
    location: str | None
    media_type: str
    body: bytes


def claim(connection: Connection, sha256: str, fingerprint: str, at: int) -> bool:
    """Claims a key for this transaction; False where the key has an answer already.

    Args:
        connection: the store's, in a write transaction.
        sha256: the hash of caller, method, address and key.
        fingerprint: SHA-256 of the request's body.
        at: the current time, microseconds.

    Raises:
        sqlalchemy.exc.OperationalError: another transaction held the key for longer than the lock timeout.
    """
    row = {"sha256": sha256, "fingerprint": fingerprint, "created_at": at}
    insertion = inserting(connection, table).values(row).on_conflict_do_nothing().returning(table.c.sha256)
    return connection.execute(insertion).first() is not None


def keep(connection: Connection, sha256: str, kept: KeptAnswer, lead_ids: Collection[str]) -> None:
    """Stores the answer of a key claimed in this transaction, with the ids of its leads for their erasure."""
    values = {"status": kept.status, "location": kept.location, "media_type": kept.media_type, "body": kept.body}
    about = json.dumps(sorted({*lead_ids}), ensure_ascii=False)
    connection.execute(update(table).where(table.c.sha256 == sha256).values(**values, lead_ids=about))


def find(connection: Connection, sha256: str) -> KeptAnswer | None:
    """The stored answer of a key; None where there is none."""
    row = connection.execute(select(table).where(table.c.sha256 == sha256)).first()
    if row is None:
        return None
    return KeptAnswer(
        fingerprint=row.fingerprint,
        status=row.status,
        location=row.location,
        media_type=row.media_type,
        body=bytes(row.body),
    )


def purge(connection: Connection, before: int) -> int:
    """Deletes the answers from before a moment (microseconds), at least `MIN_KEPT` ago; returns their number."""
    return connection.execute(delete(table).where(table.c.created_at < before)).rowcount


def forget(connection: Connection, lead_ids: Collection[str]) -> int:
    """Deletes the answers about one of these leads; returns their number."""
    answers = connection.execute(select(table.c.sha256, table.c.lead_ids).where(table.c.lead_ids.is_not(None)))
    about = [row.sha256 for row in answers if not {*lead_ids}.isdisjoint(json.loads(row.lead_ids))]
    for sha256 in about:
        connection.execute(delete(table).where(table.c.sha256 == sha256))
    return len(about)
