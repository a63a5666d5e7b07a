"""Aliases of a lead, and merging: an alias that names a lead with records of its own is merged into the lead.

Nothing is rewritten. The facts of a merged lead get new versions about the other lead, so decisions as of a moment
before the merge still see them where they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from features.records import KINDS, Kind, Lead, Row, Stored
from features.rows import stored as from_row
from serving.decisions import current_scores, rescore_queue
from serving.leads.submission import recording_time
from serving.records import aliases, closes, versions
from serving.records.aliases import Alias
from serving.records.bodies import fact_id
from serving.records.visible import EVER, visible, visible_about
from serving.store import outbox
from serving.store.store import Store

_LEADS = KINDS["leads"]
_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "lead_id")


class UnknownLead(LookupError):
    """The store has no lead of that id."""


class AliasOfItself(ValueError):
    """An alias is the id of the lead that it shall lead to, or another alias of it."""


class AliasTaken(ValueError):
    """An alias leads to another lead already."""


@dataclass(frozen=True)
class AddedAlias:
    """An alias, and whether it is new."""

    alias: Alias
    new: bool


def add_alias(store: Store, connection: Connection, lead_id: str, alias: str) -> AddedAlias:
    """Makes `alias` another id of a lead; a lead of that id with records of its own is merged into the lead.

    Args:
        store: gives clock and randomness.
        connection: the store's, in a write transaction.
        lead_id: the lead that stays, by any of its ids.
        alias: its other id.

    Raises:
        UnknownLead: there is no lead of the id `lead_id`.
        AliasOfItself: `alias` is the lead itself.
        AliasTaken: `alias` leads to another lead.
    """
    versions.lock_records(connection)
    own = aliases.resolve(connection, lead_id)
    if own not in visible(connection, _LEADS, [own], EVER):
        raise UnknownLead
    if alias == own:
        raise AliasOfItself
    known = aliases.get(connection, alias)
    if known is not None and known.lead_id != own:
        raise AliasTaken
    return AddedAlias(known, False) if known else AddedAlias(_add(store, connection, own, alias), True)


def _add(store: Store, connection: Connection, own: str, name: str) -> Alias:
    now = store.clock()
    moved = [*_moved_facts(connection, name, own, now), *_tombstone(connection, name, now)]
    alias = Alias(name, own, bool(moved), now)
    aliases.add(connection, alias)
    if moved:
        versions.add(connection, moved)
        closes.refresh(connection, [own, name], now, store.tokens)
        current_scores.remove(connection, [name], now)
        # The merged lead too: a worker that scores it now would set its current score again, and then finds it gone.
        rescore_queue.enqueue(connection, [own, name], now)
        data = {"lead_id": own, "merged_lead_id": name}
        outbox.add(connection, [outbox.event("lead.merged", own, data, at=now, tokens=store.tokens)])
    return alias


def _moved_facts(connection: Connection, alias: str, own: str, now: int) -> Iterator[Stored]:
    """New versions of the facts of `alias` that are about `own`; a fact that both leads have counts once."""
    for kind in _FACTS:
        facts = visible_about(connection, kind, [alias, own], EVER)
        known = {_content(kind, row) for row in facts if row["lead_id"] == own}
        for row in facts:
            if row["lead_id"] == alias:
                repeated = _content(kind, row) in known
                version = {"lead_id": own, "recorded_at": recording_time(now, row), "deleted": repeated}
                yield from_row(kind, {**row, **version}, kept=True)


def _content(kind: Kind, row: Row) -> str:
    return fact_id(kind, None, from_row(kind, row, kept=True).record)


def _tombstone(connection: Connection, alias: str, now: int) -> Iterator[Stored]:
    for row in visible(connection, _LEADS, [alias], EVER).values():
        yield Stored(_LEADS, alias, Lead(lead_id=alias, recorded_at=recording_time(now, row)), deleted=True)
