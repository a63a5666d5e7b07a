"""Import of a CRM export: read and check everything first, then hand it over at once."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TypeAlias

from features.provenance import Provenance
from features.records import KINDS, InvalidRecord, Stored
from training.importing.errors import ImportFailure
from training.importing.integrity import IntegrityCheck
from training.importing.mapping import Mapping as MappingFile
from training.importing.mapping import Records
from training.importing.report import ImportReport, Reason, Rejection
from training.importing.rows import RowReader, reader
from training.importing.sources import STEP, Export, Progress

Sink: TypeAlias = Callable[[list[Stored]], object]
"""Takes every record of the import, in one call."""


def silent(_what: str, _done: int) -> None:
    """Progress that is not shown."""


def run(source: Path, mapping: MappingFile, sink: Sink, rejects: Path, progress: Progress = silent) -> ImportReport:
    """Imports the export in the folder `source` as `mapping` says.

    Args:
        source: the folder of the export.
        mapping: see `training.importing.mapping.load`.
        sink: takes all records at once; it is called once, after every file was read and checked.
        rejects: a CSV file for the errors of rejected rows; replaced.
        progress: gets the current step and its number of rows done.

    Returns:
        The counts of imported and rejected rows.

    Raises:
        InvalidFile: a file is absent, unreadable or lacks a column the mapping names; nothing was written.
        ImportFailure: the reject file cannot be written; nothing was written.
    """
    export = Export(source, progress)
    blocks = mapping.records.blocks()
    readers = {name: reader(KINDS[name], block, export.table(block), mapping) for name, block in blocks.items()}
    batch = _Batch(IntegrityCheck(mapping.clock(), mapping.data_cut()))
    for one in readers.values():
        batch.take(one, progress)
    report = _report(batch, readers, mapping, rejects)
    with _replaced(rejects, batch.rejections):
        sink(batch.records)
    return report


@dataclass
class _Batch:
    """The records and rejections read so far."""

    integrity: IntegrityCheck
    records: list[Stored] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

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
                    field="row",
                    reason=must,
                    value=str(width),
                )
            )
        for number, cells in one.table.rows:
            try:
                self.records += self.integrity.admit(one.read(number, cells))
            except InvalidRecord as error:
                self.rejections += [
                    Rejection(
                        record=one.kind.name,
                        file=one.table.file,
                        row=number,
                        id=one.id_of(number, cells),
                        field=problem.field,
                        reason=problem.constraint,
                        value=_shown(problem.value),
                    )
                    for problem in error.problems
                ]
            if number % STEP == 0:
                progress(f"checking {one.kind.name}", number)
        progress(f"checking {one.kind.name}", len(one.table.rows))


def _shown(value: object) -> str:
    return "" if value is None else str(value)


@contextmanager
def _replaced(path: Path, rejections: list[Rejection]) -> Iterator[None]:
    """Writes the reject file under a temporary name before the work, and renames it after."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerow([each.name for each in fields(Rejection)])
            lines.writerows(astuple(rejection) for rejection in rejections)
    except OSError as error:
        raise ImportFailure(f"the reject file {path} cannot be written: {error.strerror}; name another") from None
    try:
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _report(batch: _Batch, readers: Mapping[str, RowReader], mapping: MappingFile, rejects: Path) -> ImportReport:
    rows = {(rejection.record, rejection.row) for rejection in batch.rejections}
    errors = Counter((rejection.record, rejection.field, rejection.reason) for rejection in batch.rejections)
    accepted = Counter(stored.kind.name for stored in batch.records)
    lead = readers["leads"].lead if "leads" in readers else None
    return ImportReport(
        accepted={name: accepted[name] for name in KINDS if name in readers or name in accepted},
        rejected=dict(Counter(record for record, _ in sorted(rows))),
        reasons=tuple(Reason(*reason, count) for reason, count in errors.most_common()),
        outcomes=batch.integrity.outcomes(),
        provenance=Provenance(_cut(batch, mapping), _recorded(mapping.records), lead.declared() if lead else ()),
        inferred={column.attribute.name: column.attribute.kind for column in lead.columns if column.inferred}
        if lead
        else {},
        left_out=_left_out(mapping.records, readers),
        rejects=str(rejects),
    )


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
