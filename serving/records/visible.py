"""The records that are visible at a moment: the version recorded by then, without removed records."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from features.records import Kind, Row
from features.versions import current_versions
from serving.records.tables import RECORDS
from serving.records.versions import flat

EVER = 2**63 - 1
"""A moment after every other: everything that was recorded, by whichever machine's clock."""


def any_leads(connection: Connection) -> bool:
    """Whether the store has a lead at all, scored or not."""
    return connection.execute(select(RECORDS["leads"].c.lead_id).limit(1)).first() is not None


def visible(connection: Connection, kind: Kind, ids: Collection[str], as_of: int) -> Mapping[str, Row]:
    """The version recorded by `as_of` of each of these records, by id; without unknown and removed records."""
    table = RECORDS[kind.name]
    found = select(table).where(table.c[kind.id].in_(ids)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(found).mappings()]
    return {row[kind.id]: row for row in current_versions(rows, kind, as_of)}


def visible_about(connection: Connection, kind: Kind, parents: Collection[str], as_of: int) -> list[Row]:
    """The version recorded by `as_of` of each record that is then about one of these leads or accounts."""
    table, parent = RECORDS[kind.name], kind.parent or kind.id
    naming = select(table.c[kind.id]).where(table.c[parent].in_(parents))
    found = select(table).where(table.c[kind.id].in_(naming)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(found).mappings()]
    return [row for row in current_versions(rows, kind, as_of) if row[parent] in parents]


def lead_exists(connection: Connection, lead_id: str) -> bool:
    """Whether the store has any version of a lead."""
    found = select(RECORDS["leads"].c.lead_id).where(RECORDS["leads"].c.lead_id == lead_id).limit(1)
    return connection.execute(found).first() is not None
