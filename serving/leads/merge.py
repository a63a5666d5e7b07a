"""Ids of a lead that change: another id for a lead, and two leads that turn out to be one.

Nothing is rewritten. A merged lead's facts get new versions that speak of the other lead, so what was known before the
merge is still known as of then.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from features.records import KINDS, Kind, Lead, Row, Stored
from features.rows import stored as from_row
from serving.decisions import rescore_queue as due
from serving.decisions import stored_decisions as decisions
from serving.leads.submission import since
from serving.records import aliases
from serving.records import versions as records
from serving.records.aliases import Alias
from serving.records.bodies import fact_id
from serving.records.visible import EVER, about, latest
from serving.service import Service
from serving.store import outbox

_LEADS = KINDS["leads"]
_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "lead_id")


class UnknownLead(LookupError):
    """The store has no lead of that id."""


class AliasOfItself(ValueError):
    """An alias is the very lead it shall lead to, maybe by way of an alias."""


class AliasTaken(ValueError):
    """An alias leads to another lead already."""


@dataclass(frozen=True)
class Named:
    """An alias, and whether it is new."""

    alias: Alias
    new: bool


def also_known_as(service: Service, connection: Connection, lead_id: str, alias: str) -> Named:
    """Makes `alias` another id of a lead; where it is a lead with a history of its own, that is merged into the lead.

    Args:
        service: the running service.
        connection: the store's, in a write transaction.
        lead_id: the lead that stays, by any of its ids.
        alias: its other id.

    Raises:
        UnknownLead: there is no lead to name.
        AliasOfItself: `alias` is the lead itself.
        AliasTaken: `alias` leads to another lead.
    """
    records.alone(connection)
    own = aliases.resolve(connection, lead_id)
    if own not in latest(connection, _LEADS, [own], EVER):
        raise UnknownLead
    if alias == own:
        raise AliasOfItself
    held = aliases.get(connection, alias)
    if held is not None and held.lead_id != own:
        raise AliasTaken
    return Named(held, False) if held else Named(_name(service, connection, own, alias), True)


def _name(service: Service, connection: Connection, own: str, alias: str) -> Alias:
    now = service.clock()
    moved = [*_moved(connection, alias, own, now), *_removed(connection, alias, now)]
    named = Alias(alias, own, bool(moved), now)
    aliases.add(connection, named)
    if moved:
        records.add(connection, moved)
        decisions.unset_current(connection, [alias])
        # The merged one too: a worker that is scoring it now would bring its score back, and finds it gone then.
        due.mark(connection, [own, alias], now)
        told = {"lead_id": own, "merged_lead_id": alias}
        outbox.add(connection, [outbox.event("lead.merged", own, told, at=now, tokens=service.tokens)])
    return named


def _moved(connection: Connection, alias: str, own: str, now: int) -> Iterator[Stored]:
    """New versions of the facts of `alias` that speak of `own`; what both leads were told counts once."""
    for kind in _FACTS:
        facts = about(connection, kind, [alias, own], EVER)
        told = {_content(kind, row) for row in facts if row["lead_id"] == own}
        for row in facts:
            if row["lead_id"] == alias:
                told_already = _content(kind, row) in told
                version = {"lead_id": own, "recorded_at": since(now, row), "deleted": told_already}
                yield from_row(kind, {**row, **version})


def _content(kind: Kind, row: Row) -> str:
    return fact_id(kind, None, from_row(kind, row).record)


def _removed(connection: Connection, alias: str, now: int) -> Iterator[Stored]:
    for row in latest(connection, _LEADS, [alias], EVER).values():
        yield Stored(_LEADS, alias, Lead(lead_id=alias, recorded_at=since(now, row)), deleted=True)
