"""Partners' lists: which of our accounts are on them, which matches were wrong, and how a partner hides the rest."""

import csv
import getpass
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from app import console
from app.commands.models import Actor
from app.commands.options import Json, UsageError, wiring
from app.wiring import now
from features.overlap import partner_list, shared_customers
from features.overlap.matching import Index
from features.overlap.partner_list import RELATIONSHIPS, Columns, InvalidKey, InvalidList, PartnerList, Rejection
from features.records import KINDS, Stored
from features.value_types import rfc3339
from features.versions import newest_versions
from serving.records import versions
from serving.store import database

overlap_app = typer.Typer(
    no_args_is_help=True,
    help="Accounts that partners have too.",
    epilog="Example: eql overlap match customers.csv --partner P-1",
)

_SHOWN = 10
_OVERLAPS, _ACCOUNTS, _PARTNERS = (KINDS[name] for name in ("shared_customers", "accounts", "partners"))
_DEFAULT = Columns()

List = Annotated[Path, typer.Argument(metavar="LIST", help="A CSV file in UTF-8 with a header.")]
Rejects = Annotated[Path | None, typer.Option(help="File of rejected rows.")]
Relationship = Annotated[str, typer.Option(help=f"Of rows that state none: {', '.join(RELATIONSHIPS)}.")]
DomainColumn = Annotated[str, typer.Option(help="The column of domains, or of their keyed hashes.")]
NameColumn = Annotated[str, typer.Option(help="The column of company names.")]
CountryColumn = Annotated[str, typer.Option(help="The column of country codes.")]
RelationshipColumn = Annotated[str, typer.Option(help="The column of relationships.")]
SinceColumn = Annotated[str, typer.Option(help="The column of days since when.")]


class UnknownPartner(ValueError):
    """The store has no such partner."""


class NotWritable(ValueError):
    """A file cannot be written."""


@dataclass(frozen=True)
class _Upload:
    """What a list held and what became of it."""

    file: Path
    known: PartnerList
    rejects: Path
    found: shared_customers.MatchedList
    apart: frozenset[str]
    stored: Sequence[Stored] = ()

    def summary(self) -> dict[str, Any]:
        """Counts of rows."""
        return {
            "list": str(self.file),
            "rows": len(self.known.companies) + len(self.known.rejections),
            "rejected": len(self.known.rejections),
            "rejects": str(self.rejects),
        }

    def result(self) -> dict[str, Any]:
        """Everything, for machines."""
        by = Counter(one.match.by for one in self.kept.overlaps)
        return {
            **self.summary(),
            "never_matched": [{"domain": d, "why": why, "rows": n} for (d, why), n in self.found.never_matched.items()],
            "unmatched": self.found.unmatched,
            "marked_wrong": len(self.found.overlaps) - len(self.kept.overlaps),
            "matched": {"domain": by["domain"], "name": by["name"]},
            "overlaps": [_shown(one) for one in self.stored],
        }

    @property
    def kept(self) -> shared_customers.MatchedList:
        """Without what was marked wrong."""
        return self.found.without(self.apart)


@overlap_app.command("match", epilog="Example: eql overlap match customers.csv --partner P-1")
def match(
    file: List,
    partner: Annotated[str, typer.Option(metavar="ID", help="Whose list it is.")],
    relationship: Relationship = "customer",
    domain_column: DomainColumn = _DEFAULT.domain,
    name_column: NameColumn = _DEFAULT.name,
    country_column: CountryColumn = _DEFAULT.country,
    relationship_column: RelationshipColumn = _DEFAULT.relationship,
    since_column: SinceColumn = _DEFAULT.since,
    key_file: Annotated[Path | None, typer.Option(help="The key, where the list holds keyed hashes.")] = None,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Count and keep nothing.")] = False,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Match a partner's list with our accounts; each overlap becomes a shared customer, rubbish rows go to a file."""
    _check_relationship(relationship)
    columns = Columns(
        domain=domain_column,
        name=name_column,
        country=country_column,
        relationship=relationship_column,
        since=since_column,
    )
    key = None if key_file is None else _key(key_file)
    parts = wiring()
    with database.reading(parts.engine) as connection:
        _check_partner(connection, partner)
        ours = shared_customers.account_profiles(versions.versions(connection, _ACCOUNTS), key)
    known = _read(file, columns, relationship, key is not None)
    console.progress(f"matching {len(known.companies):,} rows with {len(ours):,} accounts")
    found = shared_customers.match_list(known.companies, Index(ours))
    path = rejects or parts.settings.home / "overlap-rejects.csv"
    if counts_only:
        with database.reading(parts.engine) as connection, _rejected(path, known):
            upload = _Upload(file, known, path, found, _apart(connection, partner))
        _tell_counts(upload, as_json)
        return
    source = _source(file)
    # Matching is done before, for a write transaction keeps every other writer waiting.
    with _rejected(path, known), parts.engine.begin() as connection:
        versions.lock_records(connection)
        apart = _apart(connection, partner)
        stored = shared_customers.to_records(found.without(apart), partner, source, now())
        versions.add(connection, stored)
    _tell(_Upload(file, known, path, found, apart, stored), as_json)


@overlap_app.command("wrong", epilog="Example: eql overlap wrong overlap-4be2f6d09a17c583")
def wrong(
    overlap_id: Annotated[str, typer.Argument(metavar="ID", help="A shared_customer_id.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the mark back.")] = False,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Mark a match wrong: it no longer counts, and no later list of the partner brings it back."""
    with wiring().engine.begin() as connection:
        versions.lock_records(connection)
        known = list(versions.versions(connection, _OVERLAPS))
        changed = (
            shared_customers.unmark_wrong(known, overlap_id, now())
            if undo
            else shared_customers.mark_wrong(known, overlap_id, actor or getpass.getuser(), now())
        )
        versions.add(connection, changed)
    ids = [one.id for one in changed]
    said = "holds again" if undo else "is marked wrong"
    result = {"marked_wrong": not undo, "overlaps": [_shown(one) for one in changed]}
    console.emit(result, "\n".join(f"{id_} {said}" for id_ in ids), as_json)


@overlap_app.command("hash", epilog="Example: eql overlap hash customers.csv --key-file key.txt --out hashed.csv")
def hash_(
    file: List,
    key_file: Annotated[Path, typer.Option(help="The key both sides hold, at least 16 bytes.")],
    out: Annotated[Path, typer.Option(help="A .csv file to send.")],
    relationship: Relationship = "customer",
    domain_column: DomainColumn = _DEFAULT.domain,
    relationship_column: RelationshipColumn = _DEFAULT.relationship,
    since_column: SinceColumn = _DEFAULT.since,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Hash the domains of a list with a key, so that only what both sides have can be told; names stay at home."""
    _check_relationship(relationship)
    key = _key(key_file)
    columns = Columns(domain=domain_column, relationship=relationship_column, since=since_column)
    known = _read(file, columns, relationship, False)
    rows = list(partner_list.hash_list(known, key))
    path = rejects or out.with_name(f"{out.name}.rejects.csv")
    with _rejected(path, known), _replaced(out, ("domain", "relationship", "since"), rows):
        console.progress(f"hashed {len(rows):,} companies")
    result = {"out": str(out), "hashed": len(rows), "rejected": len(known.rejections), "rejects": str(path)}
    console.emit(result, f"{out}: {len(rows):,} keyed hashes, {len(known.rejections):,} rows rejected", as_json)
    _point_to_rejects(path, known)


def _read(file: Path, columns: Columns, relationship: str, hashed: bool) -> PartnerList:
    with file.open("rb") as lines:
        try:
            return partner_list.read_list(lines, columns=columns, relationship=relationship, hashed=hashed, until=now())
        except InvalidList as error:
            raise InvalidList(f"{file} cannot be used: {error}; nothing was written") from None


def _key(file: Path) -> bytes:
    key = file.read_bytes().strip()
    try:
        partner_list.keyed_hash(key, "")
    except InvalidKey as error:
        raise InvalidKey(f"{file}: {error}") from None
    return key


def _source(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{file.name} (SHA-256 {digest[:12]}) of {rfc3339(now())}"


def _check_relationship(relationship: str) -> None:
    if relationship not in RELATIONSHIPS:
        raise UsageError(f"--relationship must be one of {', '.join(RELATIONSHIPS)}, not {relationship!r}")


def _check_partner(connection: Connection, partner: str) -> None:
    known = newest_versions(versions.versions(connection, _PARTNERS), _PARTNERS)
    if partner not in known or known[partner]["deleted"]:
        raise UnknownPartner(f"there is no partner {partner}; `eql import` it, or correct --partner")


def _apart(connection: Connection, partner: str) -> frozenset[str]:
    return shared_customers.accounts_marked_wrong(versions.versions(connection, _OVERLAPS), partner)


def _rejected(path: Path, known: PartnerList) -> AbstractContextManager[None]:
    return _replaced(path, [each.name for each in fields(Rejection)], [astuple(one) for one in known.rejections])


@contextmanager
def _replaced(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[None]:
    """Writes a CSV file beside its place before the work, and puts it there after."""
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            with part.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([header, *rows])
        except OSError as error:
            raise NotWritable(f"{path} cannot be written: {error.strerror}; name another") from None
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _tell(upload: _Upload, as_json: bool) -> None:
    result = upload.result()
    matched = result["matched"]
    lines = [
        f"{upload.file}: {result['rows']:,} rows, {result['rejected']:,} rejected, {result['unmatched']:,} unmatched",
        f"{len(upload.stored):,} overlaps: {matched['domain']:,} by domain, {matched['name']:,} by name; "
        f"{result['marked_wrong']:,} left out because they are marked wrong",
        *_never(result["never_matched"]),
    ]
    if upload.stored:
        lines.append(_least_certain(result["overlaps"]))
    console.emit(result, "\n".join(lines), as_json)
    _point_to_rejects(upload.rejects, upload.known)


def _tell_counts(upload: _Upload, as_json: bool) -> None:
    """The counts by relationship and nothing that would tell a hidden one."""
    counts = upload.kept.counts()
    few = f"fewer than {shared_customers.MIN_SHOWN}"
    lines = [f"{name}: {few if count is None else f'{count:,}'}" for name, count in counts.items()]
    result = {**upload.summary(), "accounts": counts, "fewest_shown": shared_customers.MIN_SHOWN}
    console.emit(result, "\n".join(lines), as_json)
    _point_to_rejects(upload.rejects, upload.known)


def _never(never: Sequence[dict[str, Any]]) -> list[str]:
    if not never:
        return []
    named = ", ".join(f"{one['domain']} ({one['why']}, {one['rows']:,} rows)" for one in never[:_SHOWN])
    more = f" and {len(never) - _SHOWN:,} more" if len(never) > _SHOWN else ""
    return [f"domains that never match: {named}{more}"]


def _least_certain(overlaps: Sequence[dict[str, Any]]) -> str:
    columns = ["shared_customer_id", "account_id", "relationship", "confidence", "reason"]
    least = sorted(overlaps, key=lambda one: (one["confidence"], one["shared_customer_id"]))[:_SHOWN]
    return console.table("The least certain", columns, [[one[name] for name in columns] for one in least])


def _point_to_rejects(path: Path, known: PartnerList) -> None:
    if known.rejections:
        console.ERRORS.print(f"rejected rows and their reasons are in {path}", markup=False)


def _shown(one: Stored) -> dict[str, Any]:
    row = one.row()
    names = (_OVERLAPS.id, "account_id", "partner_id", "relationship", "confidence", "reason", "source")
    return {name: row[name] for name in names}
