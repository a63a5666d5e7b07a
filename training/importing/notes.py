"""What an import chose, did not find or finds odd, in sentences for the report."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from features.records import Stored
from features.value_types import DAY, rfc3339
from training.importing.doubtful_cells import doubts
from training.importing.integrity import NOT_IMPORTED
from training.importing.mapping import Mapping as MappingFile
from training.importing.report import Rejection
from training.importing.rows import RowReader
from training.importing.word_use import counted, unused_texts

_PARENTS = {"lead_id": "a lead", "account_id": "an account"}
_REFERENCES = {"account_id": "accounts", "partner_id": "partners", "source_partner_id": "partners"}
_USUAL = 0.99
_MIN_TIMES = 20
_FAR = 180 * DAY
"""How far beyond the usual times the latest one must lie for a warning, at least; also half of their span."""


def notes(
    readers: Mapping[str, RowReader], rejections: Iterable[Rejection], records: Iterable[Stored], mapping: MappingFile
) -> tuple[str, ...]:
    """The sentences about an import.

    Args:
        readers: the readers of the mapping's blocks, by kind.
        rejections: the errors of all rows.
        records: the records that were admitted.
        mapping: of the import.
    """
    return (
        *_of_files(readers),
        *unused_texts(mapping, readers),
        *doubts(mapping, readers),
        *_unknown_parents(rejections),
        *_unknown_references(records, readers),
        *_all_rejected(readers, rejections),
        *_undated_closes(rejections, readers),
        *_far_cut(records, mapping.data_cut()),
    )


def _unknown_parents(rejections: Iterable[Rejection]) -> Iterator[str]:
    """The facts that name a lead or an account which is not imported, and the commonest of these names."""
    names: dict[tuple[str, str], Counter[str]] = {}
    for each in rejections:
        if each.field in _PARENTS and each.reason.startswith(NOT_IMPORTED):
            names.setdefault((each.file, _PARENTS[each.field]), Counter())[each.value] += 1
    for (file, parent), values in names.items():
        yield f"{values.total():,} rows of {file} name {parent} that is not imported: {counted(values)}"


def _unknown_references(records: Iterable[Stored], readers: Mapping[str, RowReader]) -> Iterator[str]:
    """The records whose account or partner the export should have and has not."""
    ids: dict[str, set[str]] = {kind: set() for kind in _REFERENCES.values() if kind in readers}
    named: Counter[tuple[str, str, str]] = Counter()
    for each in records:
        if each.kind.name in ids:
            ids[each.kind.name].add(each.id)
        for field, kind in _REFERENCES.items():
            if kind in ids and (value := getattr(each.record, field, None)) is not None:
                named[f"{each.kind.name}.{field}", kind, value] += 1
    absent: dict[tuple[str, str], Counter[str]] = {}
    for (place, kind, value), count in named.items():
        if value not in ids[kind]:
            absent.setdefault((place, kind), Counter())[value] = count
    for (place, kind), values in absent.items():
        yield f"{place} is not among the {kind} of the export in {values.total():,} records: {counted(values)}"


def _all_rejected(readers: Mapping[str, RowReader], rejections: Iterable[Rejection]) -> Iterator[str]:
    """The files of which every row was rejected: most often the mapping is what is wrong there."""
    lost = Counter(kind for kind, _ in {(each.record, each.row) for each in rejections if each.lost == "row"})
    for kind, each in readers.items():
        total = len(each.table.rows) + len(each.table.ragged)
        if total and lost[kind] == total:
            yield f"every row of {each.table.file} was rejected, so the import has no {kind} of it; check their mapping"


def _of_files(readers: Mapping[str, RowReader]) -> tuple[str, ...]:
    """What the readers of files chose or did not find."""
    found = dict.fromkeys(note for each in readers.values() for note in each.table.notes)
    for table in {id(each.table): each.table for each in readers.values()}.values():
        if option := table.other_separator():
            found[f"the first line of {table.file} is one cell; if it holds several names, set {option}"] = None
        if table.unreadable:
            found[f"{table.file}: left out {', '.join(table.unreadable)}, which hold no single values"] = None
    return tuple(found)


def _undated_closes(rejections: Iterable[Rejection], readers: Mapping[str, RowReader]) -> Iterator[str]:
    """The share of won and of lost leads whose row was rejected because their close has no time."""
    leads = readers.get("leads")
    outcome = leads.lead.outcome if leads and leads.lead else None
    if leads is None or outcome is None or outcome.closed_at is None:
        return
    lost = {each.row for each in rejections if each.field == "closed_at" and each.lost == "row"}
    events = [(number in lost, outcome.event(cells)) for number, cells in leads.table.rows]
    shares = [
        f"{sum(gone for gone, of in events if of == event):,} of {total:,} {event} leads"
        for event in ("won", "lost")
        if (total := sum(of == event for _, of in events))
    ]
    if lost and shares:
        fix = "name another time as closed_at_fallback" if outcome.fallback is None else "complete the export"
        yield f"rejected because the close has no time: {' and '.join(shares)}; {fix}"


def _far_cut(records: Iterable[Stored], cut: int | None) -> Iterator[str]:
    """A warning where the latest times, and so the data cut, lie far beyond all others."""
    times = sorted(time for stored in records if (time := stored.record.happened()) is not None)
    if cut is not None or len(times) < _MIN_TIMES:
        return
    usual, latest = times[int(_USUAL * (len(times) - 1))], times[-1]
    if latest - usual > max(_FAR, (usual - times[0]) // 2):
        yield (
            f"the data cut is {rfc3339(latest)}, but {_USUAL:.0%} of the times lie before {rfc3339(usual)}; if later "
            "ones are errors of entry, set `cut` in the mapping"
        )
