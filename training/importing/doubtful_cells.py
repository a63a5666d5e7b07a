"""Cells that the mapping reads in one way and that may mean another: numbers, times and ids of another format."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.records import Kind
from training.importing.blocks import Block, Leads, Time
from training.importing.currency_signs import is_currency
from training.importing.fields import shapes
from training.importing.mapping import Mapping as MappingFile
from training.importing.mapping_base import FoldedTexts
from training.importing.numbers import NumberFormat, likely_format, maybe_grouped, split_currency
from training.importing.rows import RowReader
from training.importing.time_parsing import readings
from training.importing.word_use import column_counts, counted

_NUMERIC = ("integer", "number", "money")
_SECONDS = re.compile(r"[1-9]\d{8,9}(\.\d+)?", re.ASCII)
_WHOLE_FLOAT = re.compile(r"\d{1,16}\.0", re.ASCII)


@dataclass(frozen=True)
class _Numbers:
    """A column that may hold numbers.

    Attributes:
        place: the field or attribute, for sentences.
        texts: its distinct texts, without those that mean unknown or none, or that a map translates.
        written: the format in which they are read.
        kind: number; money, whose currency is known; category, where no kind was declared.
    """

    place: str
    texts: frozenset[str]
    written: NumberFormat
    kind: str


def doubts(mapping: MappingFile, readers: Mapping[str, RowReader]) -> Iterator[str]:
    """A sentence for each column with doubtful cells, which names the option that decides."""
    for name, block in mapping.records.blocks().items():
        reader = readers[name]
        yield from _of_ids(reader)
        for numbers in (*_fields(block, reader), *_attributes(reader)):
            yield from _of_numbers(numbers)
        for place, column, forms in _times(block, reader.kind):
            yield from _of_times(place, column_counts(reader.table, column), forms)
            yield from _of_epochs(place, column_counts(reader.table, column), forms)


def _fields(block: Block, reader: RowReader) -> Iterator[_Numbers]:
    for field, source in block.fields.items():
        shape = shapes(reader.kind)[field]
        if source.column is not None and shape in _NUMERIC:
            yield _numbers(
                reader, f"{reader.kind.name}.{field}", source.column, FoldedTexts.of(source.map or ()), shape
            )
    amount = block.outcome.amount if isinstance(block, Leads) and block.outcome else None
    if amount is not None:
        yield _numbers(reader, "outcome.amount", amount.column, FoldedTexts.of(()), "money")


def _attributes(reader: RowReader) -> Iterator[_Numbers]:
    for column in reader.lead.columns if reader.lead else ():
        kind = column.attribute.kind
        if column.attribute.known == "at_creation" and (kind == "number" or column.inferred):
            header = reader.table.header[column.position]
            yield _numbers(reader, column.attribute.name, header, column.none, kind)


def _numbers(reader: RowReader, place: str, column: str, known: FoldedTexts, kind: str) -> _Numbers:
    cells = column_counts(reader.table, column)
    texts = frozenset(cell for cell in cells if cell not in reader.dialect.missing and cell not in known)
    return _Numbers(place, texts, reader.dialect.numbers, kind)


def _of_numbers(numbers: _Numbers) -> Iterator[str]:
    unread = [text for text in numbers.texts if numbers.written.plain(text) is None]
    if numbers.kind == "category":
        if likely := likely_format(numbers.texts):
            other = "declare kind: number, and list the other texts as missing"
            how = other if likely == numbers.written else f"set {_options(likely)}"
            yield f"{numbers.place} is a category, but most of its texts are numbers: {how}"
        return
    if unread and (likely := likely_format(unread)):
        yield f"{numbers.place}: {_shown(unread)} would be numbers in another format: set {_options(likely)}"
    if grouped := maybe_grouped(numbers.texts, numbers.written):
        sign, other = numbers.written.decimal, "," if numbers.written.decimal == "." else "."
        options = _options(NumberFormat(other, sign))
        yield f"{numbers.place} reads {sign!r} in {grouped!r} as the decimal sign; if it groups digits, set {options}"
    if numbers.kind != "money":
        yield from _of_currencies(numbers)


def _of_currencies(numbers: _Numbers) -> Iterator[str]:
    signs = {split_currency(text.strip())[0] for text in numbers.texts}
    known = sorted(sign for sign in signs if sign and is_currency(sign))
    if len(known) > 1:
        yield f"{numbers.place} has amounts in {', '.join(known)}, read as numbers without conversion"


def _options(written: NumberFormat) -> str:
    """The options of a mapping that say a format."""
    return f'decimal: "{written.decimal}"' + (f', thousands: "{written.thousands}"' if written.thousands else "")


def _shown(texts: Sequence[str]) -> str:
    return repr(min(texts)) + (f" and {len(texts) - 1:,} more texts" if len(texts) > 1 else "")


def _times(block: Block, kind: Kind) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Each column of times with stated forms: its place, its name and the forms."""
    named: list[tuple[str, Time | None]] = [("occurred_at", block.happened()), ("recorded_at", block.recorded_at)]
    if isinstance(block, Leads) and block.outcome:
        outcome = block.outcome
        named += [("closed_at", outcome.closed_at), ("closed_at_fallback", outcome.closed_at_fallback)]
    columns = [(name, time.column, time.format) for name, time in named if time]
    columns += [(name, source.column, source.format) for name, source in block.fields.items() if source.column]
    return ((f"{kind.name}.{name}", column, forms) for name, column, forms in columns if forms)


def _of_times(place: str, cells: Counter[str], forms: Sequence[str]) -> Iterator[str]:
    """The cells that two forms read as different times, such as 05/01/2026 by day and month, and by month and day."""
    doubtful = {cell: count for cell, count in cells.items() if len({read for _, read in readings(cell, forms)}) > 1}
    if doubtful:
        form, read = next(readings(min(doubtful), forms))
        total = f"{sum(doubtful.values()):,} cells of {place} fit several forms, and the first that fits decides"
        yield f"{total} ({min(doubtful)} is {read.date()} by {form}): {counted(doubtful)}"


def _of_epochs(place: str, cells: Counter[str], forms: Sequence[str]) -> Iterator[str]:
    """The cells that are read as milliseconds of the year 1970 and would be times of this century as seconds."""
    early = [cell for cell in cells if _SECONDS.fullmatch(cell)] if tuple(forms) == ("epoch_ms",) else []
    if early:
        yield f"{place} reads {_shown(early)} as milliseconds, in the year 1970; if they are seconds, set format: epoch"


def _of_ids(reader: RowReader) -> Iterator[str]:
    """The ids that a program wrote as decimal numbers, because the column has empty cells."""
    for each in (reader.id, reader.parent):
        if each is not None:
            ids = {cells[each.position] for _, cells in reader.table.rows}
            if written := [cell for cell in ids if _WHOLE_FLOAT.fullmatch(cell)]:
                place = f"{reader.kind.name}.{each.name}"
                yield f"{place} has ids that end in .0, {_shown(written)}; if they are whole numbers, export it as text"
