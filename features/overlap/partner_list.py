"""A partner's list of the companies it deals with: a CSV of domains, or of keyed hashes of domains, read row by row.

A line is a row, so a stray quotation mark spoils its own row only. Invalid rows are rejected with a reason. A list in
which most rows are invalid is probably another file, and is refused as a whole.
"""

import csv
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TypeAlias, get_args

from features.domains import InvalidDomain, Shared, site
from features.overlap.matching import Profile
from features.records import SharedCustomer
from features.value_types import iso_date, parse_date

RELATIONSHIPS: tuple[str, ...] = get_args(SharedCustomer.model_fields["relationship"].annotation)
KEY_BYTES = 16
"""The minimum length of a key: a shorter one could be found by trying all keys."""

_HASH = re.compile("[0-9a-f]{64}")
_COUNTRY = re.compile("[A-Z]{2}")
_MAX_CELL_LENGTH = 500

Cells: TypeAlias = Mapping[str, str]
"""The cells of a row by the fields of `Columns`, without surrounding blanks; an absent or empty cell is unknown."""


class InvalidList(ValueError):
    """A list is refused as a whole; the message names the reason and the fix. No row of it is used."""


class InvalidKey(ValueError):
    """A key is too short to protect the hashed domains."""


class _InvalidCell(ValueError):
    """A cell breaks a constraint."""

    def __init__(self, field: str, constraint: str, value: str) -> None:
        super().__init__(f"{field} {constraint}")
        self.field, self.constraint, self.value = field, constraint, value


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of the list's columns, whatever their case; the list needs a domain or a name column."""

    domain: str = "domain"
    name: str = "name"
    country: str = "country"
    relationship: str = "relationship"
    since: str = "since"


@dataclass(frozen=True, kw_only=True)
class ListedCompany:
    """A company on a list.

    Attributes:
        row: the number of its row, from 1, without the header.
        profile: the profile by which it is matched; without its domain where that stands for many companies.
        relationship: `customer`, `opportunity` or `prospect` of the partner.
        since: the day on which the relationship began, microseconds; None where unknown.
        shared: the domain that was left out, and the reason; None where none was.
    """

    row: int
    profile: Profile
    relationship: str
    since: int | None = None
    shared: tuple[str, Shared] | None = None


@dataclass(frozen=True)
class Rejection:
    """A row that was rejected: the field, the reason and the value."""

    row: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True)
class PartnerList:
    """The companies of a list and the rejected rows, in the order of the list."""

    companies: tuple[ListedCompany, ...]
    rejections: tuple[Rejection, ...]


def keyed_hash(key: bytes, domain: str) -> str:
    """HMAC-SHA256 of a registrable domain. Without the key, the domain cannot be found, even by trying all domains.

    Raises:
        InvalidKey: the key has fewer than `KEY_BYTES` bytes.
    """
    if len(key) < KEY_BYTES:
        raise InvalidKey(
            f"the key must have at least {KEY_BYTES} bytes, not {len(key)}; `openssl rand -hex 32` makes one"
        )
    return hmac.digest(key, domain.encode(), "sha256").hex()


def read_list(
    lines: Iterable[bytes],
    *,
    columns: Columns = Columns(),
    relationship: str = "customer",
    hashed: bool = False,
    until: int,
) -> PartnerList:
    """Reads a list.

    Args:
        lines: the lines of a CSV in UTF-8, the header first.
        columns: the names of its columns.
        relationship: the relationship of rows that state none.
        hashed: whether the domains are keyed hashes.
        until: the moment of the upload, microseconds; no relationship can begin later.

    Raises:
        InvalidList: the header lacks a column or has one twice, or most rows are invalid.
    """
    numbered = enumerate(lines)
    header = _header(next(numbered, (0, b""))[1], columns)
    companies: list[ListedCompany] = []
    rejections: list[Rejection] = []
    interpret = partial(_company, relationship=relationship, hashed=hashed, until=until)
    for row, line in numbered:
        if not line.strip(b' ,"\t\r\n'):
            continue
        try:
            companies.append(interpret(row, _cells(line, header)))
        except _InvalidCell as error:
            rejections.append(Rejection(row, error.field, error.constraint, error.value))
    _refuse_unusable(len(companies), rejections)
    return PartnerList(tuple(companies), tuple(rejections))


def hash_list(known: PartnerList, key: bytes) -> Iterator[tuple[str, str, str]]:
    """The rows of a list with keyed hashes in place of the domains: hash, relationship and day, each row once.

    Names and countries are left out, and so are rows that could not match, those without a domain of their own. The
    rows are sorted by their hashes, so the order reveals nothing of the list's order.
    """
    rows = {
        (keyed_hash(key, one.profile.domain), one.relationship, "" if one.since is None else iso_date(one.since))
        for one in known.companies
        if one.profile.domain is not None
    }
    yield from sorted(rows)


def _header(line: bytes, columns: Columns) -> tuple[str | None, ...]:
    """The field of `columns` that each cell of a row holds; None for other columns of the list."""
    try:
        [names] = csv.reader([line.decode("utf-8-sig")], strict=True)
    except (ValueError, csv.Error):
        raise InvalidList("its first line is no CSV header in UTF-8; save the list as comma-separated UTF-8") from None
    folded = [name.strip().casefold() for name in names]
    fields_by_name = {getattr(columns, field.name).casefold(): field.name for field in fields(columns)}
    header = tuple(fields_by_name.get(name) for name in folded)
    twice = [name for name, count in Counter(header).items() if name is not None and count > 1]
    if twice:
        raise InvalidList(f"it has the column {twice[0]} twice; keep one")
    changed = [field for field in fields(columns) if getattr(columns, field.name) != field.default]
    absent = [getattr(columns, field.name) for field in changed if field.name not in header]
    if absent or not {"domain", "name"} & {*header}:
        needed = ", ".join(absent) or f"{columns.domain} or {columns.name}"
        raise InvalidList(
            f"it has no column {needed} but {', '.join(names)[:200]}; name its columns, or separate them by commas"
        )
    return header


def _cells(line: bytes, header: tuple[str | None, ...]) -> Cells:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise _InvalidCell("row", "must be in UTF-8", "") from None
    try:
        [cells] = csv.reader([text.rstrip("\r\n")], strict=True)
    except (ValueError, csv.Error):
        row = text.strip()[:_MAX_CELL_LENGTH]
        raise _InvalidCell("row", "must be one line of CSV, its quotation marks closed", row) from None
    if len(cells) != len(header):
        raise _InvalidCell("row", f"must have {len(header)} cells like the header", str(len(cells)))
    known = {name: " ".join(cell.split()) for name, cell in zip(header, cells, strict=True) if name is not None}
    for name, cell in known.items():
        if len(cell) > _MAX_CELL_LENGTH or not cell.isprintable():
            constraint = f"must be at most {_MAX_CELL_LENGTH} printable characters"
            raise _InvalidCell(name, constraint, cell[:_MAX_CELL_LENGTH])
    return known


def _company(row: int, cells: Cells, *, relationship: str, hashed: bool, until: int) -> ListedCompany:
    domain, shared = _domain(cells.get("domain", ""), hashed)
    name = cells.get("name") or None
    if not cells.get("domain") and name is None:
        raise _InvalidCell("domain", "or a name must be given", "")
    return ListedCompany(
        row=row,
        profile=Profile(str(row), domain=domain, name=name, country=_country(cells.get("country", ""))),
        relationship=_relationship(cells.get("relationship", "")) or relationship,
        since=_since(cells.get("since", ""), until),
        shared=shared,
    )


def _domain(text: str, hashed: bool) -> tuple[str | None, tuple[str, Shared] | None]:
    """The domain to match by, or the domain that is left out and the reason."""
    if not text:
        return None, None
    if hashed:
        if not _HASH.fullmatch(text.lower()):
            raise _InvalidCell("domain", "must be a keyed hash as `eql overlap hash` writes it", text)
        return text.lower(), None
    try:
        named = site(text)
    except InvalidDomain as error:
        raise _InvalidCell("domain", str(error), text) from None
    return (named.domain, None) if named.shared is None else (None, (named.domain, named.shared))


def _country(text: str) -> str | None:
    code = {"UK": "GB"}.get(text.upper(), text.upper())
    if code and not _COUNTRY.fullmatch(code):
        raise _InvalidCell("country", "must be a code of two letters (ISO 3166-1) such as DE", text)
    return code or None


def _relationship(text: str) -> str | None:
    if text and text.lower() not in RELATIONSHIPS:
        raise _InvalidCell("relationship", f"must be one of {', '.join(RELATIONSHIPS)}", text)
    return text.lower() or None


def _since(text: str, until: int) -> int | None:
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError as error:
        raise _InvalidCell("since", str(error), text) from None
    if day > until:
        raise _InvalidCell("since", "must not lie after the upload", text)
    return day


def _refuse_unusable(usable: int, rejections: list[Rejection]) -> None:
    if not usable and not rejections:
        raise InvalidList("it has no rows below its header; upload the list itself")
    if len(rejections) > usable:
        [((field, reason), count)] = Counter((one.field, one.reason) for one in rejections).most_common(1)
        total = usable + len(rejections)
        raise InvalidList(
            f"{len(rejections):,} of its {total:,} rows cannot be used, {count:,} because {field} {reason}; "
            "correct these rows, or name its columns"
        )
