"""Ingesting records: new content becomes a version, known content does not, and the affected leads are queued for
scoring.

Every write of single records or bulks goes through this module. Imports of whole exports write versions directly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from features.records import Kind, Row, Stored
from features.rows import stored
from features.value_types import SECOND
from serving.decisions import current_scores, rescore_queue
from serving.identity import TokenSource
from serving.records import aliases, closes, versions

CLOCKS_DIFFER = 60 * SECOND
"""Microseconds by which the clock of another process, or of a CRM, may be ahead of this one."""

IngestOutcome = Literal["new", "changed", "equal"]

_RecordKey: TypeAlias = tuple[str, str]
_MAX_LEADS_OF_PARTNER = 1_000
"""Leads that are queued because a partner changed; the nightly rescoring takes the rest."""


@dataclass(frozen=True)
class Ingested:
    """The result of ingesting one record.

    Attributes:
        stored: the valid version, with the moment it was recorded.
        outcome: `new` where there was no such record, or it had been removed; `changed` where it became a further
            version; `equal` where the content was known and nothing was written.
    """

    stored: Stored
    outcome: IngestOutcome


def ingest(
    connection: Connection, given: Sequence[Stored], now: int, tokens: TokenSource | None = None
) -> list[Ingested]:
    """Ingests records one after another, and queues the affected leads for scoring.

    A record without `recorded_at` is recorded now and compared with the valid version. A record with `recorded_at` is
    history: it becomes a version of that moment, unless an equal version of the same moment exists. Either way,
    sending a record again changes nothing.

    Args:
        connection: the store's, in a write transaction; no records may have been read in it before
            `versions.lock_records`, which this function calls.
        given: the records in the order they were sent; a tombstone removes its record.
        now: the moment to record them at, microseconds.
        tokens: gives the ids of the events that announce closed leads; without it none is announced.
    """
    versions.lock_records(connection)
    given = _under_own_ids(connection, given)
    comparison = _Comparison(connection, given, now)
    ingested = [comparison.ingest(each) for each in given]
    versions.add(connection, (each.stored for each in ingested if each.outcome != "equal"))
    # Current scores are marked first: their counter is locked before any of their rows, as in every transaction.
    if ended := {str(row["lead_id"]) for kind, row in comparison.changed if kind.name == "lead_events"}:
        closes.refresh(connection, ended, now + CLOCKS_DIFFER, tokens)
    _queue_affected(connection, comparison.changed, now)
    return ingested


def _under_own_ids(connection: Connection, given: Sequence[Stored]) -> list[Stored]:
    """The records, with each alias of a lead replaced by the lead's own id."""
    named = {lead_named(each) for each in given}
    own = {name: lead for name, lead in aliases.resolve_all(connection, named).items() if name != lead}
    return [_of_lead(each, own[name]) if (name := lead_named(each)) in own else each for each in given]


def lead_named(given: Stored) -> str:
    """The id of the lead that a record is, or is about; empty, which no id is, for other records."""
    if given.kind.name == "leads":
        return given.id
    return given.parent or "" if given.kind.parent == "lead_id" else ""


def _of_lead(given: Stored, lead_id: str) -> Stored:
    if given.kind.name != "leads":
        return replace(given, parent=lead_id)
    return replace(given, id=lead_id, record=given.record.model_copy(update={"lead_id": lead_id}))


def own_id(connection: Connection, kind: Kind, identity: str) -> str:
    """The id of a record; of a lead its own id, where an alias was given."""
    return aliases.resolve(connection, identity) if kind.name == "leads" else identity


def remove(connection: Connection, kind: Kind, identity: str, now: int) -> bool:
    """Removes a record by a tombstone; returns whether the record was there."""
    versions.lock_records(connection)
    identity = own_id(connection, kind, identity)
    row = valid_versions(connection, kind, [identity], now).get(identity)
    if row is None or row["deleted"]:
        return False
    held = stored(kind, row, kept=True)
    ingest(connection, [replace(held, record=held.record.model_copy(update={"recorded_at": None}), deleted=True)], now)
    return True


def valid_versions(connection: Connection, kind: Kind, ids: Iterable[str], now: int) -> Mapping[str, Row]:
    """The valid version of each of these records, by id; of a removed record the tombstone.

    A version that another process recorded by a clock ahead of this one is valid: it was acknowledged.
    """
    return versions.latest_versions(connection, kind, ids, now + CLOCKS_DIFFER)


class _Comparison:
    """Records compared with the versions before them.

    Attributes:
        changed: the new versions, and the versions that were valid before them.
    """

    def __init__(self, connection: Connection, given: Sequence[Stored], now: int) -> None:
        self.changed: list[tuple[Kind, Row]] = []
        self._now = now
        self._current: dict[_RecordKey, Row] = {}
        self._recorded: dict[tuple[_RecordKey, int], list[Row]] = {}
        for kind in {each.kind: None for each in given}:
            ids = {each.id: None for each in given if each.kind is kind}
            for identity, row in valid_versions(connection, kind, ids, now).items():
                self._current[kind.name, identity] = row
            dated = ((each.id, each.record.recorded_at) for each in given if each.kind is kind)
            moments = [(identity, at) for identity, at in dated if at is not None]
            for row in versions.recorded_at(connection, kind, moments):
                self._recorded.setdefault(((kind.name, row[kind.id]), row["recorded_at"]), []).append(row)

    def ingest(self, given: Stored) -> Ingested:
        before = self._current.get((given.kind.name, given.id))
        if given.record.recorded_at is None:
            return self._ingest_live(given, before)
        return self._ingest_history(given, given.record.recorded_at, before)

    def _ingest_live(self, given: Stored, before: Row | None) -> Ingested:
        held: int | None = before["recorded_at"] if before else None
        # Never before the version it corrects, which would then stay valid.
        version = _recorded_at(_with_import_columns(given, before), self._now if held is None else max(self._now, held))
        row = version.row()
        if _equal(row, before):
            return Ingested(version if held is None else _recorded_at(version, held), "equal")
        self._set_current(version, row, before)
        return Ingested(version, "new" if before is None or before["deleted"] else "changed")

    def _ingest_history(self, given: Stored, at: int, before: Row | None) -> Ingested:
        row = given.row()
        same_moment = self._recorded.setdefault(((given.kind.name, given.id), at), [])
        if any(_equal(row, other) for other in same_moment):
            return Ingested(given, "equal")
        same_moment.append(row)
        self._set_current(given, row, before)
        return Ingested(given, "new" if before is None else "changed")

    def _set_current(self, version: Stored, row: Row, before: Row | None) -> None:
        self.changed += [(version.kind, each) for each in (row, before) if each is not None]
        if before is None or (row["recorded_at"] or 0) >= (before["recorded_at"] or 0):
            self._current[version.kind.name, version.id] = row


def _with_import_columns(given: Stored, before: Row | None) -> Stored:
    """A lead keeps the columns that only an import sets."""
    if before is None or given.kind.name != "leads":
        return given
    order = before["order"] if given.order is None else given.order
    return replace(given, order=order, group=before["group"] if given.group is None else given.group)


def _recorded_at(version: Stored, at: int) -> Stored:
    return replace(version, record=version.record.model_copy(update={"recorded_at": at}))


def _equal(row: Row, other: Row | None) -> bool:
    """Whether two versions have equal content; a removed record equals one that never was."""
    if other is None or other["deleted"] or row["deleted"]:
        return bool(row["deleted"]) and (other is None or bool(other["deleted"]))
    return _content(row) == _content(other)


def _content(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None and name not in ("ingest", "recorded_at")}


@dataclass(frozen=True)
class _Affected:
    """The ids that changes are about."""

    leads: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    partners: set[str] = field(default_factory=set)


def _queue_affected(connection: Connection, changed: Sequence[tuple[Kind, Row]], now: int) -> None:
    """Queues the existing leads that changes affect for scoring, and takes removed leads off the lists."""
    affected, as_of = _affected(changed), now + CLOCKS_DIFFER
    removed = {str(row["lead_id"]) for kind, row in changed if kind.name == "leads" and row["deleted"]}
    existing = versions.leads_naming(connection, "lead_id", affected.leads, as_of)
    current_scores.remove(connection, removed - existing, now)
    by_account = versions.leads_naming(connection, "account_id", affected.accounts, as_of)
    by_partner = versions.leads_naming(connection, "source_partner_id", affected.partners, as_of, _MAX_LEADS_OF_PARTNER)
    rescore_queue.enqueue(connection, existing | by_account | by_partner, now)


def _affected(changed: Iterable[tuple[Kind, Row]]) -> _Affected:
    affected = _Affected()
    ids = {"lead_id": affected.leads, "account_id": affected.accounts, "partner_id": affected.partners}
    for kind, row in changed:
        column = kind.parent or (kind.id if kind.entity else None)
        if column is not None:
            ids[column].add(str(row[column]))
    return affected
