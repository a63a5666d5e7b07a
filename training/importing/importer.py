"""Import of a CRM export: read and check everything first, then hand it over at once."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import TypeAlias

from features.provenance import Provenance
from features.records import KINDS, InvalidRecord, Problem, Stored
from operations.csv_text import guarded_rows
from training.importing.errors import ImportFailure
from training.importing.failures import failure
from training.importing.integrity import IntegrityCheck
from training.importing.mapping import Mapping as MappingFile
from training.importing.mapping import Records
from training.importing.notes import notes
from training.importing.outcomes import OutcomeText
from training.importing.reach import reach
from training.importing.report import ImportReport, Lost, Reason, Rejection
from training.importing.rows import RowReader, reader
from training.importing.sources import Export
from training.importing.table_files import STEP, Progress
from training.importing.tables import Cells

Sink: TypeAlias = Callable[[list[Stored]], object]
"""Takes every record of the import, in one call."""


_ID_DIGITS = 32
"""Hexadecimal digits of an id that follows from content: 128 bits."""


def silent(_what: str, _done: int) -> None:
    """Progress that is not shown."""


def run(
    source: Path,
    mapping: MappingFile,
    sink: Sink,
    rejects: Path,
    progress: Progress = silent,
    *,
    first: bool = False,
) -> ImportReport:
    """Imports the export in the folder `source` as `mapping` says.

    Args:
        source: the folder of the export.
        mapping: see `training.importing.mapping.load`.
        sink: takes all records at once; it is called once, after every file was read and checked.
        rejects: a CSV file for the errors of rejected rows; replaced.
        progress: gets the current step and its number of rows done.
        first: whether no lead was imported before; a later export may have open leads alone.

    Returns:
        The counts of imported and rejected rows.

    Raises:
        InvalidFile: a file is absent, unreadable or lacks a column the mapping names; nothing was written.
        ImportFailure: the reject file cannot be written, every row was rejected, or a first import has neither a won
            nor a lost lead although the mapping names their texts; nothing was imported.
    """
    blocks = mapping.records.blocks()
    export = Export(source, blocks.values(), progress)
    readers = {name: reader(KINDS[name], block, export.table(block), mapping) for name, block in blocks.items()}
    batch = _Batch(IntegrityCheck(mapping.clock(), mapping.data_cut()))
    for one in readers.values():
        batch.take(one, progress)
    report = _report(batch, readers, mapping, rejects)
    with _replaced(rejects, batch.rejections):
        reason = failure(report, readers, mapping.records, batch.records, first=first)
        if reason is None:
            sink(batch.records)
    if reason is not None:
        raise ImportFailure(reason)
    return report


@dataclass
class _Batch:
    """The records and rejections read so far."""

    integrity: IntegrityCheck
    records: list[Stored] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    _equal: Counter[str] = field(default_factory=Counter)

    def _identified(self, one: RowReader, records: tuple[Stored, ...]) -> tuple[Stored, ...]:
        """The records of a row; a fact whose export has no ids gets one from its content.

        A later export has other rows at the same numbers, so the number of a row identifies nothing. Equal rows of one
        file are counted, so that two equal touches stay two, and are the same two in the next export.
        """
        first, *others = records
        if one.id is not None or one.kind.entity:
            return records
        content = content_id(first)
        self._equal[content] += 1
        return (replace(first, id=f"{content}-{self._equal[content]}"), *others)

    def take(self, one: RowReader, progress: Progress) -> None:
        """Reads every row of a block."""
        for number, width in one.table.ragged:
            must = f"must have {len(one.table.header)} cells like the header"
            self.rejections.append(
                Rejection(
                    record=one.kind.name,
                    file=one.table.file,
                    row=number,
                    id="",
                    lost="row",
                    field="row",
                    reason=must,
                    value=str(width),
                )
            )
        for number, cells in one.table.rows:
            try:
                read = one.read(number, cells)
                self.records += self.integrity.admit(self._identified(one, read.records))
                self.rejections += _told(one, number, cells, read.dropped, "field")
            except InvalidRecord as error:
                self.rejections += _told(one, number, cells, error.problems, "row")
            if number % STEP == 0:
                progress(f"checking {one.kind.name}", number)
        progress(f"checking {one.kind.name}", len(one.table.rows))


def _told(one: RowReader, number: int, cells: Cells, problems: Iterable[Problem], lost: Lost) -> list[Rejection]:
    return [
        Rejection(
            record=one.kind.name,
            file=one.table.file,
            row=number,
            id=one.id_of(number, cells),
            lost=lost,
            field=problem.field,
            reason=problem.constraint,
            value=_shown(problem.value),
        )
        for problem in problems
    ]


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def content_id(stored: Stored) -> str:
    """An id that follows from a fact's content alone: the beginning of a SHA-256 in hex."""
    row = {name: value for name, value in stored.row().items() if name != stored.kind.id}
    text = json.dumps([stored.kind.name, row], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


@contextmanager
def _replaced(path: Path, rejections: list[Rejection]) -> Iterator[None]:
    """Writes the reject file under a temporary name before the work, and renames it after."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow([each.name for each in fields(Rejection)])
            lines.writerows(guarded_rows(map(astuple, rejections)))
    except OSError as error:
        raise ImportFailure(f"the reject file {path} cannot be written: {error.strerror}; name another") from None
    try:
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _report(batch: _Batch, readers: Mapping[str, RowReader], mapping: MappingFile, rejects: Path) -> ImportReport:
    rows = {(rejection.record, rejection.row) for rejection in batch.rejections if rejection.lost == "row"}
    accepted = Counter(stored.kind.name for stored in batch.records)
    lead = readers["leads"].lead if "leads" in readers else None
    return ImportReport(
        accepted={name: accepted[name] for name in KINDS if name in readers or name in accepted},
        rejected=dict(Counter(record for record, _ in sorted(rows))),
        reasons=_reasons(batch.rejections, "row"),
        dropped=_reasons(batch.rejections, "field"),
        outcome_texts=_outcome_texts(readers),
        notes=notes(readers, batch.rejections, batch.records, mapping),
        reach=tuple(reach(mapping, [name for name in KINDS if accepted[name]])),
        outcomes=batch.integrity.outcomes(),
        provenance=Provenance(
            _cut(batch, mapping), _recorded(mapping.records), lead.declared() if lead else (), mapping.since()
        ),
        inferred={column.attribute.name: column.attribute.kind for column in lead.columns if column.inferred}
        if lead
        else {},
        left_out=_left_out(mapping.records, readers),
        rejects=str(rejects),
    )


def _reasons(rejections: Iterable[Rejection], lost: Lost) -> tuple[Reason, ...]:
    """The errors that lost a row, or a field, the most frequent first."""
    errors = Counter((each.record, each.field, each.reason) for each in rejections if each.lost == lost)
    return tuple(Reason(*reason, count) for reason, count in errors.most_common())


def _outcome_texts(readers: Mapping[str, RowReader]) -> tuple[OutcomeText, ...]:
    leads = readers.get("leads")
    if leads is None or leads.lead is None or leads.lead.outcome is None:
        return ()
    return tuple(leads.lead.outcome.texts(cells for _, cells in leads.table.rows))


def _cut(batch: _Batch, mapping: MappingFile) -> int | None:
    return batch.integrity.latest if mapping.cut is None else mapping.data_cut()


def _recorded(records: Records) -> bool:
    """Whether every kind of record says when it was recorded."""
    return all(block.recorded_at for block in records.blocks().values())


def _left_out(records: Records, readers: Mapping[str, RowReader]) -> Mapping[str, tuple[str, ...]]:
    """The columns of each file that the mapping does not use."""
    columns: dict[str, dict[str, None]] = {}
    taken: dict[str, set[str]] = {}
    for name, block in records.blocks().items():
        table = readers[name].table
        columns.setdefault(table.file, {}).update(dict.fromkeys(table.columns))
        taken.setdefault(table.file, set()).update(block.columns(), readers[name].attribute_columns())
    left = {file: tuple(name for name in names if name not in taken[file]) for file, names in columns.items()}
    return {file: names for file, names in left.items() if names}
