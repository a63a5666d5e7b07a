"""Specs: small tables of records and the features expected of them, run on every engine and shown in the documentation.

`specs/<family>.md` beside this module holds the specs of one family. A spec is a heading, a sentence or two, and a
block of tables. The first line of a table names its kind of record, or `expected`. The second line names its columns,
those of `Kind.columns`. An empty cell is unknown.

A table may leave out the ids of records; the lead `L` or the account `A` that they belong to; and `recorded_at`, which
is then the moment at which a record happened. A spec without a table of leads has one lead, `L` of the account `A`,
created and recorded at `CREATED`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import takewhile

from features.records import KINDS, ColumnType, Kind, Stored
from features.rows import stored
from features.value_types import Scalar, parse_date, parse_instant

CREATED = "2026-10-01"
"""The day on which the lead of a spec without a table of leads was created."""

_DEFAULTS = {"lead_id": "L", "account_id": "A"}
_ONLY_LEAD = ("lead_id | account_id | created_at", f"L | A | {CREATED}")


class InvalidSpec(ValueError):
    """A spec cannot be read; the message names the spec and the error."""


@dataclass(frozen=True)
class Expected:
    """The features that a spec expects of one lead at one moment.

    Attributes:
        lead_id: the lead.
        as_of: the moment, microseconds.
        features: the expected values as the table writes them, by feature; empty for unknown.
    """

    lead_id: str
    as_of: int
    features: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One spec.

    Attributes:
        family: the family of its features.
        title: the heading.
        prose: the sentences below the heading.
        tables: the block of tables, as written.
        records: the records in the tables.
        expected: the features that the records must give.
    """

    family: str
    title: str
    prose: str
    tables: str
    records: tuple[Stored, ...]
    expected: tuple[Expected, ...]


def of_family(family: str) -> list[Spec]:
    """The specs of a family, in the order of its file; empty where it has no file.

    Raises:
        InvalidSpec: a spec cannot be read.
    """
    file = files("features.catalogue") / "specs" / f"{family}.md"
    sections = file.read_text(encoding="utf-8").split("### ")[1:] if file.is_file() else []
    return [read(family, section) for section in sections]


def read(family: str, section: str) -> Spec:
    """The spec in a section of a family's file, which begins with the heading.

    Raises:
        InvalidSpec: the section cannot be read.
    """
    title, _, rest = section.partition("\n")
    prose, _, block = rest.partition("```text\n")
    tables = block.partition("\n```")[0]
    try:
        blocks = dict(_tables(tables))
        expected = tuple(_expected(row) for row in _rows(blocks.pop("expected")))
        blocks = {"leads": list(_ONLY_LEAD), **blocks}
        records = tuple(record for name, lines in blocks.items() for record in _records(KINDS[name], lines))
    except (KeyError, ValueError) as error:
        raise InvalidSpec(f"{family}, {title}: {error}") from None
    return Spec(family=family, title=title, prose=prose.strip(), tables=tables, records=records, expected=expected)


def _tables(block: str) -> Iterator[tuple[str, list[str]]]:
    lines = iter(block.splitlines())
    for name in lines:
        yield name.strip(), list(takewhile(str.strip, lines))


def _rows(lines: Sequence[str]) -> list[dict[str, str]]:
    names = _cells(lines[0])
    return [dict(zip(names, _cells(line), strict=True)) for line in lines[1:]]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _expected(row: Mapping[str, str]) -> Expected:
    features = {name: value for name, value in row.items() if name not in ("lead_id", "as_of")}
    return Expected(row.get("lead_id", "L"), _moment(row["as_of"]), features)


def _records(kind: Kind, lines: Sequence[str]) -> Iterator[Stored]:
    types = {column.name: column.type for column in kind.columns}
    for number, cells in enumerate(_rows(lines), 1):
        row: dict[str, Scalar] = {kind.id: f"{kind.name}-{number}"} | dict.fromkeys(cells)
        if kind.parent:
            row[kind.parent] = _DEFAULTS[kind.parent]
        yield stored(kind, row | {name: _PARSERS[types[name]](cell) for name, cell in cells.items() if cell})


def _moment(text: str) -> int:
    return parse_date(text) if len(text) == len("YYYY-MM-DD") else parse_instant(text)


def _flag(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _text(text: str) -> str:
    """A text as it is; a list is written `<a, b>`, because bars separate the cells."""
    return f"|{text[1:-1].replace(', ', '|')}|" if text.startswith("<") else text


_PARSERS: Mapping[ColumnType, Callable[[str], Scalar]] = {
    "text": _text,
    "integer": int,
    "real": float,
    "flag": _flag,
    "instant": _moment,
    "date": parse_date,
}


def agrees(expected: str, value: Scalar) -> bool:
    """Whether a value equals the cell of a table: a real to the digits written, any other value exactly.

    >>> agrees("0.33", 1 / 3), agrees("0.34", 1 / 3), agrees("", None), agrees("3", 3)
    (True, False, True, True)
    """
    if value is None or isinstance(value, str):
        return expected == (value or "")
    if isinstance(value, float):
        digits = len(expected.partition(".")[2])
        return bool(expected) and f"{value:.{digits}f}" == expected
    return expected == str(value)
