"""What the store knows of where its records come from."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from features.provenance import Attribute, Provenance
from serving.records.tables import provenance as table
from serving.records.versions import lock_records


class ConflictingAttributes(ValueError):
    """Two imports declare one attribute differently; the message names it and what mends it."""


def read(connection: Connection) -> Provenance:
    """The provenance of everything in the store; of an empty store that of a live one."""
    content = connection.execute(select(table.c.content)).scalar_one_or_none()
    return Provenance() if content is None else Provenance.from_json(content)


def add(connection: Connection, provenance: Provenance) -> Provenance:
    """Joins the provenance of further records to the store's, and returns the whole.

    Raises:
        ConflictingAttributes: an attribute is declared otherwise than before.
    """
    lock_records(connection)
    known = connection.execute(select(table.c.content)).scalar_one_or_none()
    whole = provenance if known is None else merged(Provenance.from_json(known), provenance)
    connection.execute(delete(table))
    connection.execute(table.insert().values(content=whole.to_json()))
    return whole


def merged(first: Provenance, second: Provenance) -> Provenance:
    """The provenance of two bodies of records together: the later cut, the lesser trust, all attributes.

    Raises:
        ConflictingAttributes: both declare an attribute, and differently.
    """
    cuts = [provenance.cut for provenance in (first, second) if provenance.cut is not None]
    attributes = _union((*first.attributes, *second.attributes))
    return Provenance(max(cuts, default=None), first.point_in_time and second.point_in_time, attributes)


def _union(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    found: dict[str, Attribute] = {}
    for attribute in attributes:
        known = found.setdefault(attribute.name, attribute)
        if known != attribute:
            raise ConflictingAttributes(
                f"attribute {attribute.name!r} is declared a {attribute.kind} known {attribute.known}, the store has "
                f"it as a {known.kind} known {known.known}: declare it alike, or give it another name in the mapping"
            )
    return tuple(found.values())
