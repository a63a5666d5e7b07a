"""Which version of a record holds: the last one that was recorded by a moment.

A version without a recorded time comes from an undated export. It was always known, so it precedes every dated version.
Of versions recorded at one moment the later one holds, in the order of ingest (in a folder: the order of the file).
The engines find the same version by the column `superseded_at` (see `features.engines.sql_compiler`).
"""

from collections.abc import Iterable

from features.records import Kind, Row
from features.value_types import Scalar

ALWAYS = -1
"""Stands for a missing time, before every instant: instants begin at 0."""


def undated_first(instant: int | None) -> int:
    """A key to sort instants by, microseconds: a missing one comes first."""
    return ALWAYS if instant is None else instant


def recorded(row: Row) -> int:
    """When a version was recorded, as a key to sort by."""
    return undated_first(row["recorded_at"])


def current_versions(rows: Iterable[Row], kind: Kind, as_of: int) -> list[Row]:
    """The version of each record that holds at `as_of`, without tombstones, in the order in which the ids first came.

    Args:
        rows: versions in the order of ingest. A row without an id is a record of its own.
        kind: of the records.
        as_of: the moment, microseconds.
    """
    latest: dict[Scalar, Row] = {}
    for position, row in enumerate(rows):
        since = row["recorded_at"]
        if since is not None and since > as_of:
            continue
        key = row.get(kind.id, position)
        other = latest.get(key)
        if other is None or undated_first(since) >= recorded(other):
            latest[key] = row
    return [row for row in latest.values() if not row.get("deleted")]


def newest_versions(rows: Iterable[Row], kind: Kind) -> dict[str, Row]:
    """The newest version of each record by its id, tombstones included; `rows` come in the order of ingest."""
    latest: dict[str, Row] = {}
    for row in rows:
        other = latest.get(row[kind.id])
        if other is None or recorded(row) >= recorded(other):
            latest[row[kind.id]] = row
    return latest
