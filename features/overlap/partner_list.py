"""A partner's list of the companies it deals with: a CSV of domains, or keyed hashes of them, read row by row.

A line is a row, so that a stray quotation mark spoils its own row only. Rubbish rows are rejected with the reason; a
list that is mostly rubbish is not what it should be and is refused whole.
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
"""A key is at least as long: a shorter one could be tried out."""

_HASH = re.compile("[0-9a-f]{64}")
_COUNTRY = re.compile("[A-Z]{2}")
_LONGEST = 500

Cells: TypeAlias = Mapping[str, str]
"""The cells of a row by what they hold (the fields of `Columns`), without blanks around; absent or empty: unknown."""


class InvalidList(ValueError):
    """A list cannot be read at all; the message says why and the mend. Nothing of it may be used."""


class InvalidKey(ValueError):
    """A key is too short to hide anything."""


class _Rubbish(ValueError):
    """A cell is not what it must be."""

    def __init__(self, field: str, constraint: str, value: str) -> None:
        super().__init__(f"{field} {constraint}")
        self.field, self.constraint, self.value = field, constraint, value


@dataclass(frozen=True)
class Columns:
    """What the list calls its columns, in any case; a domain or a name there must be."""

    domain: str = "domain"
    name: str = "name"
    country: str = "country"
    relationship: str = "relationship"
    since: str = "since"


@dataclass(frozen=True)
class Listed:
    """A company on a list.

    Attributes:
        row: its number, from 1, without the header.
        profile: what it is matched by; its domain is left out where it stands for many companies.
        relationship: customer, opportunity or prospect of the partner.
        since: the day it became that, in microseconds, where known.
        shared: the domain left out, and why.
    """

    row: int
    profile: Profile
    relationship: str
    since: int | None = None
    shared: tuple[str, Shared] | None = None


@dataclass(frozen=True)
class Rejection:
    """A row that was not used, and why."""

    row: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True)
class PartnerList:
    """What a list holds, in its order."""

    listed: tuple[Listed, ...]
    rejections: tuple[Rejection, ...]


def keyed_hash(key: bytes, domain: str) -> str:
    """HMAC-SHA256 of a registrable domain: who lacks the key cannot tell which domain it is, or try all there are.

    Raises:
        InvalidKey: the key has fewer than `KEY_BYTES` bytes.
    """
    if len(key) < KEY_BYTES:
        raise InvalidKey(
            f"the key must have at least {KEY_BYTES} bytes, not {len(key)}; `openssl rand -hex 32` makes one"
        )
    return hmac.digest(key, domain.encode(), "sha256").hex()


def read(
    lines: Iterable[bytes],
    *,
    columns: Columns = Columns(),
    relationship: str = "customer",
    hashed: bool = False,
    until: int,
) -> PartnerList:
    """Reads a list.

    Args:
        lines: of a CSV in UTF-8, the header first.
        columns: what its columns are called.
        relationship: of rows that state none.
        hashed: whether the domains are keyed hashes.
        until: the moment of the upload, in microseconds; nothing can be since later.

    Raises:
        InvalidList: the header lacks a column, has one twice, or most rows are rubbish.
    """
    numbered = enumerate(lines)
    header = _header(next(numbered, (0, b""))[1], columns)
    listed: list[Listed] = []
    rejections: list[Rejection] = []
    interpret = partial(_listed, relationship=relationship, hashed=hashed, until=until)
    for row, line in numbered:
        if not line.strip(b' ,"\t\r\n'):
            continue
        try:
            listed.append(interpret(row, _cells(line, header)))
        except _Rubbish as fault:
            rejections.append(Rejection(row, fault.field, fault.constraint, fault.value))
    _refuse_rubbish(len(listed), rejections)
    return PartnerList(tuple(listed), tuple(rejections))


def hashed(known: PartnerList, key: bytes) -> Iterator[tuple[str, str, str]]:
    """The rows of a list with nothing but a keyed hash for the domain, each company once in the order of the hashes.

    Domain, relationship and day since; names and countries are left out, and so is what could not match: rows without
    a domain of their own. The order tells nothing of the list's.
    """
    rows = {
        (keyed_hash(key, one.profile.domain), one.relationship, "" if one.since is None else iso_date(one.since))
        for one in known.listed
        if one.profile.domain is not None
    }
    yield from sorted(rows)


def _header(line: bytes, columns: Columns) -> tuple[str | None, ...]:
    """What each cell of a row holds: a field of `columns`, or None for what the list has beside them."""
    try:
        [names] = csv.reader([line.decode("utf-8-sig")], strict=True)
    except (ValueError, csv.Error):
        raise InvalidList("its first line is no CSV header in UTF-8; save the list as comma-separated UTF-8") from None
    plain = [name.strip().casefold() for name in names]
    meant = {getattr(columns, field.name).casefold(): field.name for field in fields(columns)}
    header = tuple(meant.get(name) for name in plain)
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
        raise _Rubbish("row", "must be in UTF-8", "") from None
    try:
        [cells] = csv.reader([text.rstrip("\r\n")], strict=True)
    except (ValueError, csv.Error):
        raise _Rubbish("row", "must be one line of CSV, its quotation marks closed", text.strip()[:_LONGEST]) from None
    if len(cells) != len(header):
        raise _Rubbish("row", f"must have {len(header)} cells like the header", str(len(cells)))
    known = {name: " ".join(cell.split()) for name, cell in zip(header, cells, strict=True) if name is not None}
    for name, cell in known.items():
        if len(cell) > _LONGEST or not cell.isprintable():
            raise _Rubbish(name, f"must be at most {_LONGEST} printable characters", cell[:_LONGEST])
    return known


def _listed(row: int, cells: Cells, *, relationship: str, hashed: bool, until: int) -> Listed:
    domain, shared = _domain(cells.get("domain", ""), hashed)
    name = cells.get("name") or None
    if not cells.get("domain") and name is None:
        raise _Rubbish("domain", "or a name must be given", "")
    return Listed(
        row,
        Profile(str(row), domain, name, _country(cells.get("country", ""))),
        _relationship(cells.get("relationship", "")) or relationship,
        _since(cells.get("since", ""), until),
        shared,
    )


def _domain(text: str, hashed: bool) -> tuple[str | None, tuple[str, Shared] | None]:
    """The domain to match by, or the one left out and why."""
    if not text:
        return None, None
    if hashed:
        if not _HASH.fullmatch(text.lower()):
            raise _Rubbish("domain", "must be a keyed hash as `eql overlap hash` writes it", text)
        return text.lower(), None
    try:
        found = site(text)
    except InvalidDomain as error:
        raise _Rubbish("domain", str(error), text) from None
    return (found.domain, None) if found.shared is None else (None, (found.domain, found.shared))


def _country(text: str) -> str | None:
    code = {"UK": "GB"}.get(text.upper(), text.upper())
    if code and not _COUNTRY.fullmatch(code):
        raise _Rubbish("country", "must be a code of two letters (ISO 3166-1) such as DE", text)
    return code or None


def _relationship(text: str) -> str | None:
    if text and text.lower() not in RELATIONSHIPS:
        raise _Rubbish("relationship", f"must be one of {', '.join(RELATIONSHIPS)}", text)
    return text.lower() or None


def _since(text: str, until: int) -> int | None:
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError as error:
        raise _Rubbish("since", str(error), text) from None
    if day > until:
        raise _Rubbish("since", "must not lie after the upload", text)
    return day


def _refuse_rubbish(usable: int, rejections: list[Rejection]) -> None:
    if not usable and not rejections:
        raise InvalidList("it has no rows below its header; upload the list itself")
    if len(rejections) > usable:
        [((field, reason), count)] = Counter((one.field, one.reason) for one in rejections).most_common(1)
        total = usable + len(rejections)
        raise InvalidList(
            f"{len(rejections):,} of its {total:,} rows cannot be used, {count:,} because {field} {reason}; "
            "mend them, or name its columns"
        )
