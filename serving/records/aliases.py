"""Aliases, the other ids of a lead: for example after a CRM converted the lead or merged two leads.

An alias names its lead directly. Where that lead becomes an alias itself, its aliases are moved to the new lead. Write
under `versions.lock_records`, because a write depends on reading whether an id is free.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select, update

from serving.records.tables import lead_aliases as table


@dataclass(frozen=True)
class Alias:
    """Another id of a lead.

    Attributes:
        alias: the other id.
        lead_id: the lead's own id.
        merged: whether `alias` was a lead with records of its own, which were moved to this lead.
        recorded_at: the time when the alias was recorded, microseconds.
    """

    alias: str
    lead_id: str
    merged: bool
    recorded_at: int


def resolve(connection: Connection, lead_id: str, as_of: int | None = None) -> str:
    """The own id of the lead with the alias `lead_id`; an id that is no alias is returned unchanged.

    With `as_of` (microseconds) only aliases recorded by then count, because a lead was separate before its merge.
    """
    return resolve_all(connection, [lead_id], as_of)[lead_id]


def resolve_all(connection: Connection, lead_ids: Collection[str], as_of: int | None = None) -> Mapping[str, str]:
    """The result of `resolve` for each id, by that id."""
    wanted = select(table.c.alias, table.c.lead_id).where(table.c.alias.in_(lead_ids))
    if as_of is not None:
        wanted = wanted.where(table.c.recorded_at <= as_of)
    return {lead_id: lead_id for lead_id in lead_ids} | {row.alias: row.lead_id for row in connection.execute(wanted)}


def get(connection: Connection, alias: str) -> Alias | None:
    """The alias with this name; None where there is none."""
    row = connection.execute(select(table).where(table.c.alias == alias)).mappings().first()
    return None if row is None else Alias(**row)


def of_lead(connection: Connection, lead_id: str, *, after: str = "", limit: int | None = None) -> list[Alias]:
    """The aliases of a lead in their order, at most `limit` of those after `after`."""
    wanted = select(table).where(table.c.lead_id == lead_id, table.c.alias > after).order_by(table.c.alias).limit(limit)
    return [Alias(**row) for row in connection.execute(wanted).mappings()]


def add(connection: Connection, alias: Alias) -> None:
    """Adds an alias, and moves the aliases of a lead with that name to the alias's lead.

    Raises:
        sqlalchemy.exc.IntegrityError: the alias exists already.
    """
    connection.execute(update(table).where(table.c.lead_id == alias.alias).values(lead_id=alias.lead_id))
    connection.execute(insert(table).values(asdict(alias)))
