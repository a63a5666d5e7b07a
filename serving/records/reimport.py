"""A later import into a store that holds records already: what is equal is skipped, what changed is a new version.

A record that an export repeats unchanged adds nothing. An entity that changed, or a fact whose content changed under
its id, was learned with the later export. Where that export does not say when its records were recorded, the new
version is recorded at the export's cut, so that no earlier moment sees it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection

from features.batched import batched
from features.records import Row, Stored
from features.value_types import Scalar
from serving.records import versions

_BATCH = 1_000
_LAST = 2**62
"""After every instant: the newest version of a record counts, whenever it was recorded."""


@dataclass(frozen=True)
class Reimported:
    """The number of records of an import that are new, that changed, and that are equal to what the store holds."""

    new: int
    changed: int
    equal: int


def compared(
    connection: Connection, records: Iterable[Stored], cut: int | None, *, recorded: bool
) -> tuple[list[Stored], Reimported]:
    """The records that add something to the store, and the counts of all.

    Args:
        connection: the store's.
        records: those of the import; of one record there may be several versions.
        cut: the data cut of the import, microseconds; None where it has no times.
        recorded: whether the import says when its records were recorded.
    """
    kept: list[Stored] = []
    counts: Counter[str] = Counter()
    for stored, known in _with_known(connection, records, recorded=recorded):
        outcome = _outcome(stored, known)
        counts[outcome] += 1
        if outcome == "changed" and not recorded and cut is not None:
            kept.append(replace(stored, record=stored.record.model_copy(update={"recorded_at": cut})))
        elif outcome != "equal":
            kept.append(stored)
    return kept, Reimported(counts["new"], counts["changed"], counts["equal"])


def _outcome(stored: Stored, known: Sequence[Row]) -> Literal["new", "changed", "equal"]:
    if not known:
        return "new"
    content = _content(stored.row())
    return "equal" if any(_content(row) == content for row in known) else "changed"


def _with_known(
    connection: Connection, records: Iterable[Stored], *, recorded: bool
) -> Iterator[tuple[Stored, Sequence[Row]]]:
    """Each record with the versions of the store that it may be equal to.

    These are the versions of its own recording time, where the import says it, and else the newest version.
    """
    for batch in batched(records, _BATCH):
        by_kind: dict[str, list[Stored]] = {}
        for stored in batch:
            by_kind.setdefault(stored.kind.name, []).append(stored)
        for group in by_kind.values():
            newest = versions.latest_versions(connection, group[0].kind, [each.id for each in group], _LAST)
            exact = _of_moments(connection, group) if recorded else {}
            for each in group:
                own = exact.get((each.id, each.row()["recorded_at"]), [])
                yield each, own or ([newest[each.id]] if each.id in newest else [])


def _of_moments(connection: Connection, group: Sequence[Stored]) -> Mapping[tuple[str, Scalar], list[Row]]:
    kind, found = group[0].kind, dict[tuple[str, Scalar], list[Row]]()
    moments = [(each.id, at) for each in group if isinstance(at := each.row()["recorded_at"], int)]
    for row in versions.recorded_at(connection, kind, moments):
        found.setdefault((row[kind.id], row["recorded_at"]), []).append(row)
    return found


def _content(row: Row) -> Mapping[str, object]:
    """The columns of a version without those that say when it was recorded."""
    return {name: value for name, value in row.items() if name not in ("recorded_at", "ingest") and value is not None}
