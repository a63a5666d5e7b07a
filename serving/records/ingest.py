"""Taking records in: what is new becomes a version, what is known already does not, and leads it bears on become due.

Everything that writes records one by one or in bulk comes through here; imports of whole exports have their own way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from features.records import Kind, Row, Stored
from features.rows import stored
from features.value_types import SECOND
from serving.decisions import rescore_queue as due
from serving.decisions import stored_decisions as decisions
from serving.records import aliases
from serving.records import versions as records

CLOCKS_DIFFER = 60 * SECOND
"""Microseconds that the clock of another process, or of a CRM, may be ahead of ours."""

Outcome = Literal["new", "changed", "equal"]

_Key: TypeAlias = tuple[str, str]
_LEADS_OF_A_PARTNER = 1_000
"""How many leads become due at once because a partner changed; the nightly scoring takes the rest."""


@dataclass(frozen=True)
class Accepted:
    """What became of one record.

    Attributes:
        stored: the version that holds, with the moment it was recorded.
        outcome: it is `new` where there was no such record, or none any more; `changed` where it became a further
            version; `equal` where it says what was known and nothing was written.
    """

    stored: Stored
    outcome: Outcome


def accept(connection: Connection, given: Sequence[Stored], now: int) -> list[Accepted]:
    """Takes records in one after another, and marks as due the leads that changes bear on.

    A record without `recorded_at` is recorded now, and compared with the version that holds. One with it is history:
    it becomes a version of that moment, unless there is an equal one of that very moment. So in either way sending
    something again changes nothing.

    Args:
        connection: the store's, in a write transaction; nothing about records may have been read in it before
            `records.alone`, which this calls.
        given: the records in the order they were sent; tombstones among them remove.
        now: the moment to record them at, microseconds.
    """
    records.alone(connection)
    given = _under_own_ids(connection, given)
    taking = _Taking(connection, given, now)
    accepted = [taking.take(each) for each in given]
    records.add(connection, (each.stored for each in accepted if each.outcome != "equal"))
    _follow_up(connection, taking.changed, now)
    return accepted


def _under_own_ids(connection: Connection, given: Sequence[Stored]) -> list[Stored]:
    """The records with the own ids of leads that were named by an alias."""
    named = {lead_named(each) for each in given}
    own = {name: lead for name, lead in aliases.resolve_all(connection, named).items() if name != lead}
    return [_of_lead(each, own[name]) if (name := lead_named(each)) in own else each for each in given]


def lead_named(given: Stored) -> str:
    """The id of the lead that a record is, or speaks of; empty, which no id is, where there is none."""
    if given.kind.name == "leads":
        return given.id
    return given.parent or "" if given.kind.parent == "lead_id" else ""


def _of_lead(given: Stored, lead_id: str) -> Stored:
    if given.kind.name != "leads":
        return replace(given, parent=lead_id)
    return replace(given, id=lead_id, record=given.record.model_copy(update={"lead_id": lead_id}))


def own_id(connection: Connection, kind: Kind, identity: str) -> str:
    """The id of a record of a kind; of a lead its own, where an alias was named."""
    return aliases.resolve(connection, identity) if kind.name == "leads" else identity


def remove(connection: Connection, kind: Kind, identity: str, now: int) -> bool:
    """Removes a record by a tombstone; returns whether there was one to remove."""
    records.alone(connection)
    identity = own_id(connection, kind, identity)
    row = current(connection, kind, [identity], now).get(identity)
    if row is None or row["deleted"]:
        return False
    held = stored(kind, row)
    accept(connection, [replace(held, record=held.record.model_copy(update={"recorded_at": None}), deleted=True)], now)
    return True


def current(connection: Connection, kind: Kind, ids: Iterable[str], now: int) -> Mapping[str, Row]:
    """The version of each of these records that holds, by id; a removed one's is its tombstone.

    What another process recorded by a clock ahead of ours holds: it was acknowledged.
    """
    return records.latest(connection, kind, ids, now + CLOCKS_DIFFER)


class _Taking:
    """Records being taken in: what holds before each of them, and what changed.

    Attributes:
        changed: the new versions, and those that held before them.
    """

    def __init__(self, connection: Connection, given: Sequence[Stored], now: int) -> None:
        self.changed: list[tuple[Kind, Row]] = []
        self._now = now
        self._current: dict[_Key, Row] = {}
        self._recorded: dict[tuple[_Key, int], list[Row]] = {}
        for kind in {each.kind: None for each in given}:
            ids = {each.id: None for each in given if each.kind is kind}
            for identity, row in current(connection, kind, ids, now).items():
                self._current[kind.name, identity] = row
            dated = ((each.id, each.record.recorded_at) for each in given if each.kind is kind)
            moments = [(identity, at) for identity, at in dated if at is not None]
            for row in records.recorded(connection, kind, moments):
                self._recorded.setdefault(((kind.name, row[kind.id]), row["recorded_at"]), []).append(row)

    def take(self, given: Stored) -> Accepted:
        before = self._current.get((given.kind.name, given.id))
        if given.record.recorded_at is None:
            return self._take_live(given, before)
        return self._take_history(given, given.record.recorded_at, before)

    def _take_live(self, given: Stored, before: Row | None) -> Accepted:
        held: int | None = before["recorded_at"] if before else None
        # Never below what it corrects: that would then go on holding.
        version = _recorded_at(_upheld(given, before), self._now if held is None else max(self._now, held))
        row = version.row()
        if _equal(row, before):
            return Accepted(version if held is None else _recorded_at(version, held), "equal")
        self._hold(version, row, before)
        return Accepted(version, "new" if before is None or before["deleted"] else "changed")

    def _take_history(self, given: Stored, at: int, before: Row | None) -> Accepted:
        row = given.row()
        of_then = self._recorded.setdefault(((given.kind.name, given.id), at), [])
        if any(_equal(row, other) for other in of_then):
            return Accepted(given, "equal")
        of_then.append(row)
        self._hold(given, row, before)
        return Accepted(given, "new" if before is None else "changed")

    def _hold(self, version: Stored, row: Row, before: Row | None) -> None:
        self.changed += [(version.kind, each) for each in (row, before) if each is not None]
        if before is None or (row["recorded_at"] or 0) >= (before["recorded_at"] or 0):
            self._current[version.kind.name, version.id] = row


def _upheld(given: Stored, before: Row | None) -> Stored:
    """A lead keeps what only an import can say of it."""
    if before is None or given.kind.name != "leads":
        return given
    order = before["order"] if given.order is None else given.order
    return replace(given, order=order, group=before["group"] if given.group is None else given.group)


def _recorded_at(version: Stored, at: int) -> Stored:
    return replace(version, record=version.record.model_copy(update={"recorded_at": at}))


def _equal(row: Row, other: Row | None) -> bool:
    """Whether two versions say the same; removed and never there are the same."""
    if other is None or other["deleted"] or row["deleted"]:
        return bool(row["deleted"]) and (other is None or bool(other["deleted"]))
    return _content(row) == _content(other)


def _content(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None and name not in ("ingest", "recorded_at")}


@dataclass(frozen=True)
class _Borne:
    """Ids of what changes bear on."""

    leads: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    partners: set[str] = field(default_factory=set)


def _follow_up(connection: Connection, changed: Sequence[tuple[Kind, Row]], now: int) -> None:
    """Marks the leads that exist and have to be scored anew; those removed go off the lists."""
    borne, as_of = _borne(changed), now + CLOCKS_DIFFER
    removed = {str(row["lead_id"]) for kind, row in changed if kind.name == "leads" and row["deleted"]}
    there = records.leads_naming(connection, "lead_id", borne.leads, as_of)
    by_account = records.leads_naming(connection, "account_id", borne.accounts, as_of)
    by_partner = records.leads_naming(connection, "source_partner_id", borne.partners, as_of, _LEADS_OF_A_PARTNER)
    due.mark(connection, there | by_account | by_partner, now)
    decisions.unset_current(connection, removed - there)


def _borne(changed: Iterable[tuple[Kind, Row]]) -> _Borne:
    borne = _Borne()
    ids = {"lead_id": borne.leads, "account_id": borne.accounts, "partner_id": borne.partners}
    for kind, row in changed:
        column = kind.parent or (kind.id if kind.entity else None)
        if column is not None:
            ids[column].add(str(row[column]))
    return borne
