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
from features.records import KINDS, Row, Stored
from features.rows import stored as from_row
from features.value_types import Scalar
from serving.records import versions

OUTCOME = "outcome:"
"""The beginning of the id of a lead's close that an import made from a column of the lead."""
_EVENTS = KINDS["lead_events"]
_BATCH = 1_000
_LAST = 2**62
"""After every instant: the newest version of a record counts, whenever it was recorded."""


@dataclass(frozen=True)
class Reimported:
    """The number of records of an import that are new, that changed, and that are equal to what the store holds.

    `reopened` are the leads that the store had as closed and that the import has as open.
    """

    new: int
    changed: int
    equal: int
    reopened: tuple[str, ...] = ()


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
    records = list(records)
    for stored, known in _with_known(connection, records, cut, recorded=recorded):
        outcome = _outcome(stored, known)
        counts[outcome] += 1
        if outcome == "changed" and not recorded and cut is not None:
            kept.append(replace(stored, record=stored.record.model_copy(update={"recorded_at": cut})))
        elif outcome != "equal":
            kept.append(stored)
    withdrawn = _withdrawn(connection, records, cut)
    reopened = tuple(sorted(str(stored.parent) for stored in withdrawn))
    return [*kept, *withdrawn], Reimported(counts["new"], counts["changed"], counts["equal"], reopened)


def _withdrawn(connection: Connection, records: Sequence[Stored], cut: int | None) -> list[Stored]:
    """The outcomes that the store has of leads that an import has as open, deleted at the import's cut."""
    said = {each.id for each in records if each.kind is _EVENTS and each.id.startswith(OUTCOME)}
    if not said:
        return []
    names = [f"{OUTCOME}{each.id}" for each in records if each.kind.name == "leads"]
    asked = [name for name in names if name not in said]
    withdrawn = []
    for batch in batched(asked, _BATCH):
        for name, row in versions.latest_versions(connection, _EVENTS, batch, _LAST).items():
            known_until = row["recorded_at"] if isinstance(row["recorded_at"], int) else None
            # An export that is older than the outcome does not know of it.
            if not row["deleted"] and (cut is None or known_until is None or known_until <= cut):
                record = from_row(_EVENTS, {**row, "recorded_at": cut}, kept=True).record
                withdrawn.append(Stored(_EVENTS, name, record, str(row["lead_id"]), deleted=True))
    return withdrawn


def _outcome(stored: Stored, known: Sequence[Row]) -> Literal["new", "changed", "equal"]:
    if not known:
        return "new"
    content = _content(stored.row())
    return "equal" if any(_content(row) == content for row in known) else "changed"


def _with_known(
    connection: Connection, records: Iterable[Stored], cut: int | None, *, recorded: bool
) -> Iterator[tuple[Stored, Sequence[Row]]]:
    """Each record with the versions of the store that it may be equal to.

    These are the versions of its own recording time, where the import says it, and else the newest version and the one
    that was newest at the import's cut: an older export that is imported again adds nothing.
    """
    for batch in batched(records, _BATCH):
        by_kind: dict[str, list[Stored]] = {}
        for stored in batch:
            by_kind.setdefault(stored.kind.name, []).append(stored)
        for group in by_kind.values():
            ids = [each.id for each in group]
            newest = versions.latest_versions(connection, group[0].kind, ids, _LAST)
            then = {} if cut is None else versions.latest_versions(connection, group[0].kind, ids, cut)
            exact = _of_moments(connection, group) if recorded else {}
            for each in group:
                own = exact.get((each.id, each.row()["recorded_at"]), [])
                yield each, own or [rows[each.id] for rows in (newest, then) if each.id in rows]


def _of_moments(connection: Connection, group: Sequence[Stored]) -> Mapping[tuple[str, Scalar], list[Row]]:
    kind, found = group[0].kind, dict[tuple[str, Scalar], list[Row]]()
    moments = [(each.id, at) for each in group if isinstance(at := each.row()["recorded_at"], int)]
    for row in versions.recorded_at(connection, kind, moments):
        found.setdefault((row[kind.id], row["recorded_at"]), []).append(row)
    return found


def _content(row: Row) -> Mapping[str, object]:
    """The columns of a version without those that say when it was recorded."""
    return {name: value for name, value in row.items() if name not in ("recorded_at", "ingest") and value is not None}
