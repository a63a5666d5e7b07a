"""Which kinds of facts the sources of the store deliver: those that an import declares, and those recorded so far."""

from dataclasses import replace

from sqlalchemy import Connection, func, or_, select

from features.catalogue.entry import FACTS
from features.delivery import absent_kinds
from features.provenance import Provenance
from serving.records import provenance
from serving.records.tables import RECORDS

_ALWAYS = 0
"""The moment of facts that were recorded without a time: before every other."""


def absent(connection: Connection, as_of: int) -> tuple[str, ...]:
    """The kinds of facts of which nothing was recorded by `as_of` (microseconds), from any source.

    A store without an import holds what its callers send, and there an absent fact means none.
    """
    declared = provenance.read(connection).since
    if declared is None:
        return ()
    return tuple(kind for kind in absent_kinds(declared, as_of) if not _recorded(connection, kind, as_of))


def with_recorded(connection: Connection, stored: Provenance) -> Provenance:
    """The provenance with the first recording of each kind that the store has facts of, for an export."""
    if stored.since is None:
        return stored
    since = dict(stored.since)
    for kind in FACTS:
        first = _first(connection, kind)
        if first is not None:
            since[kind] = min(first, since.get(kind, first))
    return replace(stored, since=since)


def _recorded(connection: Connection, kind: str, as_of: int) -> bool:
    at = RECORDS[kind].c.recorded_at
    found = select(at).where(or_(at.is_(None), at <= as_of)).limit(1)
    return connection.execute(found).first() is not None


def _first(connection: Connection, kind: str) -> int | None:
    at = func.coalesce(RECORDS[kind].c.recorded_at, _ALWAYS)
    first: int | None = connection.execute(select(func.min(at))).scalar_one()
    return first
