"""The visible records at a moment: the last version recorded by then, without removed records."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from features.records import Kind, Row
from features.versions import current_versions
from serving.records.tables import RECORDS
from serving.records.versions import flat

EVER = 2**63 - 1
"""The moment after every other: all versions count, even those from a clock ahead of this one."""


def any_leads(connection: Connection) -> bool:
    """Whether the store has any lead, scored or not."""
    return connection.execute(select(RECORDS["leads"].c.lead_id).limit(1)).first() is not None


def visible(connection: Connection, kind: Kind, ids: Collection[str], as_of: int) -> Mapping[str, Row]:
    """The visible version of each of these records at `as_of`, by id; unknown and removed records are left out."""
    table = RECORDS[kind.name]
    wanted = select(table).where(table.c[kind.id].in_(ids)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(wanted).mappings()]
    return {row[kind.id]: row for row in current_versions(rows, kind, as_of)}


def visible_about(connection: Connection, kind: Kind, parents: Collection[str], as_of: int) -> list[Row]:
    """The visible version at `as_of` of each record that is about one of these leads or accounts at that moment."""
    table, parent = RECORDS[kind.name], kind.parent or kind.id
    naming = select(table.c[kind.id]).where(table.c[parent].in_(parents))
    wanted = select(table).where(table.c[kind.id].in_(naming)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(wanted).mappings()]
    return [row for row in current_versions(rows, kind, as_of) if row[parent] in parents]


def lead_exists(connection: Connection, lead_id: str) -> bool:
    """Whether the store has any version of a lead."""
    found = select(RECORDS["leads"].c.lead_id).where(RECORDS["leads"].c.lead_id == lead_id).limit(1)
    return connection.execute(found).first() is not None
