"""How often the texts of a mapping occur in an export: a text with a typing error occurs never, and changes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from features.folding import fold
from training.importing.blocks import Leads
from training.importing.fields import Source
from training.importing.mapping import Mapping as MappingFile
from training.importing.mapping_base import FoldedTexts
from training.importing.rows import RowReader
from training.importing.tables import Table

_MAX_SHOWN = 5


def counted(counts: Mapping[str, int], limit: int = _MAX_SHOWN) -> str:
    """Texts with their counts, the most frequent first; of more than `limit` texts, the number of the others.

    >>> counted({"Won": 2, "": 1})
    "'Won' (2), (empty) (1)"
    """
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{repr(text) if text else '(empty)'} ({count:,})" for text, count in ordered[:limit])
    return shown + (f" and {len(ordered) - limit:,} more" if len(ordered) > limit else "")


def unused_texts(mapping: MappingFile, readers: Mapping[str, RowReader]) -> Iterator[str]:
    """A sentence for each place of the mapping with texts that occur in no row, and for the cells outside a map."""
    for name, block in mapping.records.blocks().items():
        table = readers[name].table
        for field, source in block.fields.items():
            if source.column is not None and source.map is not None:
                cells = column_counts(table, source.column)
                yield from _unused_of_map(f"{name}.{field}", source, cells, readers[name].dialect.missing)
        if isinstance(block, Leads):
            yield from _unused_of_none(block, table)
        if block.missing:
            yield from _unused_missing(f"missing of {name}", block.missing, [table])
    shared = [readers[name].table for name, block in mapping.records.blocks().items() if block.missing is None]
    yield from _unused_missing("missing", mapping.missing, shared)


def column_counts(table: Table, column: str) -> Counter[str]:
    """The texts of a column with their numbers of rows."""
    position = table.position(column)
    return Counter(cells[position] for _, cells in table.rows)


def _unused_of_map(place: str, source: Source, cells: Counter[str], missing: FoldedTexts) -> Iterator[str]:
    words = source.map or {}
    folded = {fold(cell) for cell in cells}
    yield from _never(f"the map of {place}", words, folded)
    known = FoldedTexts.of(words)
    others = {cell: count for cell, count in cells.items() if cell not in known and cell not in missing}
    if others and source.default is not None:
        total = sum(others.values())
        yield f"{total:,} cells of {source.column} are not in the map of {place}, so they are {source.default!r}: " + (
            counted(others)
        )


def _unused_of_none(block: Leads, table: Table) -> Iterator[str]:
    for name, extra in block.attributes.named().items():
        if extra.none and extra.known == "at_creation":
            cells = {fold(cell) for cell in column_counts(table, extra.column or name)}
            yield from _never(f"none of {name}", extra.none, cells)


def _unused_missing(place: str, texts: Iterable[str], tables: Iterable[Table]) -> Iterator[str]:
    named = [text for text in texts if fold(text)]
    if named:
        cells = {cell for table in tables for _, row in table.rows for cell in row}
        yield from _never(place, named, {fold(cell) for cell in cells})


def _never(place: str, texts: Iterable[str], folded: set[str]) -> Iterator[str]:
    absent = {text: 0 for text in texts if fold(text) not in folded}
    if absent and folded:
        yield f"{place} has texts that occur in no row: {counted(absent)}"


def unused_where(where: Mapping[str, Iterable[str]], table: Table) -> Iterator[str]:
    """A sentence for each column of `where` with texts that occur in no row."""
    for column, texts in where.items():
        yield from _never(f"where.{column}", texts, {fold(cell) for cell in column_counts(table, column)})
