"""What lists show beside the scores: how many leads there are of each standing, and what records say of them now."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, func, select

from features.records import Kind, Row
from features.versions import current_versions
from serving.store.records import flat
from serving.store.tables import RECORDS, current_score, decision_payloads

EVER = 2**63 - 1
"""A moment after every other: what is known at all, whichever machine's clock recorded it."""


def tallies(connection: Connection, source_partner_id: str | None = None) -> Mapping[tuple[str, bool], int]:
    """How many scored leads, of one partner or of all, have each qualification, pending or not."""
    table = current_score.c
    counted = select(table.qualification, table.pending, func.count()).group_by(table.qualification, table.pending)
    if source_partner_id is not None:
        counted = counted.where(table.source_partner_id == source_partner_id)
    return {(row[0], row[1]): row[2] for row in connection.execute(counted)}


def any_leads(connection: Connection) -> bool:
    """Whether the store has a lead at all, scored or not."""
    return connection.execute(select(RECORDS["leads"].c.lead_id).limit(1)).first() is not None


def contents(connection: Connection, decision_ids: Collection[str]) -> Mapping[str, str]:
    """The content, canonical JSON text, of each of these decisions by its id; without those erased."""
    table = decision_payloads.c
    found = select(table.decision_id, table.content).where(table.decision_id.in_(decision_ids))
    return {row.decision_id: row.content for row in connection.execute(found)}


def latest(connection: Connection, kind: Kind, ids: Collection[str], as_of: int) -> Mapping[str, Row]:
    """The version recorded by `as_of` of each of these records, by id; without those unknown or removed by then."""
    table = RECORDS[kind.name]
    found = select(table).where(table.c[kind.id].in_(ids)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(found).mappings()]
    return {row[kind.id]: row for row in current_versions(rows, kind, as_of)}


def about(connection: Connection, kind: Kind, parents: Collection[str], as_of: int) -> list[Row]:
    """The version recorded by `as_of` of each record that then speaks of one of these leads or accounts."""
    table, parent = RECORDS[kind.name], kind.parent or kind.id
    naming = select(table.c[kind.id]).where(table.c[parent].in_(parents))
    found = select(table).where(table.c[kind.id].in_(naming)).order_by(table.c.ingest)
    rows = [flat(kind.name, row) for row in connection.execute(found).mappings()]
    return [row for row in current_versions(rows, kind, as_of) if row[parent] in parents]


def known_lead(connection: Connection, lead_id: str) -> bool:
    """Whether the store has any version of a lead."""
    found = select(RECORDS["leads"].c.lead_id).where(RECORDS["leads"].c.lead_id == lead_id).limit(1)
    return connection.execute(found).first() is not None
