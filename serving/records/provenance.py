"""The provenance of the store's records."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select

from features.provenance import Attribute, Provenance
from serving.records.tables import provenance as table
from serving.records.versions import lock_records


class ConflictingAttributes(ValueError):
    """Two imports declare one attribute differently; the message names the attribute and the fix."""


def read(connection: Connection) -> Provenance:
    """The provenance of all records in the store; an empty store has the provenance of a live store."""
    content = connection.execute(select(table.c.content)).scalar_one_or_none()
    return Provenance() if content is None else Provenance.from_json(content)


def add(connection: Connection, provenance: Provenance) -> Provenance:
    """Merges the provenance of further records into the store's, and returns the result.

    Raises:
        ConflictingAttributes: an attribute is declared differently than before.
    """
    lock_records(connection)
    known = connection.execute(select(table.c.content)).scalar_one_or_none()
    whole = provenance if known is None else merged(Provenance.from_json(known), provenance)
    connection.execute(delete(table))
    connection.execute(table.insert().values(content=whole.to_json()))
    return whole


def merged(first: Provenance, second: Provenance) -> Provenance:
    """The provenance of two sets of records together: the later cut, point in time only if both are, all attributes.

    An attribute that the second declares known later is known later from then on, and leaves training.

    Raises:
        ConflictingAttributes: both declare an attribute, in different ways.
    """
    cuts = [provenance.cut for provenance in (first, second) if provenance.cut is not None]
    attributes = _union((*first.attributes, *second.attributes))
    since = [provenance.since for provenance in (first, second) if provenance.since is not None]
    # What was imported without a word on its kinds is judged by the records that the store has.
    declared = {kind: min(known[kind] for known in since if kind in known) for known in since for kind in known}
    point_in_time = first.point_in_time and second.point_in_time
    return Provenance(max(cuts, default=None), point_in_time, attributes, declared if since else None)


def _union(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    by_name: dict[str, Attribute] = {}
    for attribute in attributes:
        known = by_name.setdefault(attribute.name, attribute)
        if known.kind == attribute.kind and attribute.known == "later":
            # What turns out to be filled in later leaves training at once.
            by_name[attribute.name] = attribute
        elif known != attribute:
            raise ConflictingAttributes(
                f"attribute {attribute.name!r} is declared a {attribute.kind} known {attribute.known}, the store has "
                f"it as a {known.kind} known {known.known}: declare it alike, or give it another name in the mapping"
            )
    return tuple(by_name.values())
