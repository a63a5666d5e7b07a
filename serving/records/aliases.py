"""Other ids of a lead: of a CRM that converted it, or that found two of its leads to be one.

An alias leads straight to its lead: what led to a lead that became an alias itself is turned to the new lead.
Write under `records.alone`, for whether an id is free is read before.
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
        lead_id: the lead's own.
        merged: whether `alias` was a lead with records of its own, which are now this lead's.
        recorded_at: since when this is known, microseconds.
    """

    alias: str
    lead_id: str
    merged: bool
    recorded_at: int


def resolve(connection: Connection, lead_id: str, as_of: int | None = None) -> str:
    """The id under which the store keeps the lead that is known by `lead_id`; an unknown id stands for itself.

    Only aliases known by `as_of` (microseconds) count, all of them without: before its merge a lead was its own.
    """
    return resolve_all(connection, [lead_id], as_of)[lead_id]


def resolve_all(connection: Connection, lead_ids: Collection[str], as_of: int | None = None) -> Mapping[str, str]:
    """`resolve` of each id, by that id."""
    found = select(table.c.alias, table.c.lead_id).where(table.c.alias.in_(lead_ids))
    if as_of is not None:
        found = found.where(table.c.recorded_at <= as_of)
    return {lead_id: lead_id for lead_id in lead_ids} | {row.alias: row.lead_id for row in connection.execute(found)}


def get(connection: Connection, alias: str) -> Alias | None:
    """What `alias` stands for, None where it is no alias."""
    found = connection.execute(select(table).where(table.c.alias == alias)).mappings().first()
    return None if found is None else Alias(**found)


def of_lead(connection: Connection, lead_id: str, *, after: str = "", limit: int | None = None) -> list[Alias]:
    """The other ids of a lead in their order, from the first one beyond `after` on."""
    found = select(table).where(table.c.lead_id == lead_id, table.c.alias > after).order_by(table.c.alias).limit(limit)
    return [Alias(**row) for row in connection.execute(found).mappings()]


def add(connection: Connection, alias: Alias) -> None:
    """Keeps an alias, and turns to its lead whatever led to the lead of that name.

    Raises:
        sqlalchemy.exc.IntegrityError: the alias is taken.
    """
    connection.execute(update(table).where(table.c.lead_id == alias.alias).values(lead_id=alias.lead_id))
    connection.execute(insert(table).values(asdict(alias)))
