"""Partners' lists: match them with our accounts, mark wrong matches, and hash our own list for a partner."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from app import console
from app.commands.options import Actor, Json, UsageError, actor_or_user, wiring
from app.wiring import now
from features.overlap import partner_list, shared_customers
from features.overlap.matching import Index
from features.overlap.partner_list import RELATIONSHIPS, Columns, InvalidKey, InvalidList, PartnerList, Rejection
from features.overlap.upload import Upload
from features.records import KINDS, Stored
from features.value_types import rfc3339
from features.versions import newest_versions
from operations.csv_text import guarded_rows
from serving.records import versions
from serving.store import database

app = typer.Typer(
    no_args_is_help=True,
    help="Match partners' lists with our accounts.",
    epilog="Example: eql overlap match customers.csv --partner P-1",
)

_MAX_SHOWN = 10
_OVERLAPS, _ACCOUNTS, _PARTNERS = (KINDS[name] for name in ("shared_customers", "accounts", "partners"))
_DEFAULT = Columns()

ListArgument = Annotated[Path, typer.Argument(metavar="LIST", help="A CSV file in UTF-8 with a header.")]
Rejects = Annotated[Path | None, typer.Option(help="File for the rejected rows.")]
Relationship = Annotated[str, typer.Option(help=f"Relationship of rows that state none: {', '.join(RELATIONSHIPS)}.")]
DomainColumn = Annotated[str, typer.Option(help="Column of domains, or of their keyed hashes.")]
NameColumn = Annotated[str, typer.Option(help="Column of company names.")]
CountryColumn = Annotated[str, typer.Option(help="Column of country codes.")]
RelationshipColumn = Annotated[str, typer.Option(help="Column of relationships.")]
SinceColumn = Annotated[str, typer.Option(help="Column of the days since which the relationship exists.")]


class UnknownPartner(ValueError):
    """The store has no partner with this id."""


class NotWritable(ValueError):
    """A file cannot be written."""


@app.command("match", epilog="Example: eql overlap match customers.csv --partner P-1")
def match(
    file: ListArgument,
    partner: Annotated[str, typer.Option(metavar="ID", help="Id of the partner that the list is from.")],
    relationship: Relationship = "customer",
    domain_column: DomainColumn = _DEFAULT.domain,
    name_column: NameColumn = _DEFAULT.name,
    country_column: CountryColumn = _DEFAULT.country,
    relationship_column: RelationshipColumn = _DEFAULT.relationship,
    since_column: SinceColumn = _DEFAULT.since,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the shared key, if the list holds keyed hashes of domains.")
    ] = None,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Print counts, and store nothing.")] = False,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Match a partner's list with our accounts. Each overlap becomes a shared customer; invalid rows go to a file."""
    _check_relationship(relationship)
    columns = Columns(
        domain=domain_column,
        name=name_column,
        country=country_column,
        relationship=relationship_column,
        since=since_column,
    )
    key = None if key_file is None else _read_key(key_file)
    parts = wiring()
    with database.reading(parts.engine) as connection:
        _check_partner(connection, partner)
        accounts = shared_customers.account_profiles(versions.versions(connection, _ACCOUNTS), key)
    listed = _read_list(file, columns, relationship, key is not None)
    console.progress(f"matching {len(listed.companies):,} rows with {len(accounts):,} accounts")
    matched = shared_customers.match_list(listed.companies, Index(accounts))
    path = rejects or parts.settings.home / "overlap-rejects.csv"
    if counts_only:
        with database.reading(parts.engine) as connection, _rejects_file(path, listed):
            upload = Upload(listed, matched, _wrong_accounts(connection, partner))
        _print_counts(file, path, upload, as_json)
        return
    source = _source_name(file)
    # Matching comes before the write transaction, which blocks every other writer.
    with _rejects_file(path, listed), parts.engine.begin() as connection:
        versions.lock_records(connection)
        upload = Upload(listed, matched, _wrong_accounts(connection, partner))
        records = shared_customers.to_records(upload.kept, partner, source, now())
        versions.add(connection, records)
    _print_upload(file, path, upload, records, as_json)


@app.command("wrong", epilog="Example: eql overlap wrong overlap-4be2f6d09a17c583")
def wrong(
    overlap_id: Annotated[str, typer.Argument(metavar="ID", help="A shared_customer_id.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the mark back.")] = False,
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Mark a match as wrong: it no longer counts, and later lists of the partner do not match the account."""
    with wiring().engine.begin() as connection:
        versions.lock_records(connection)
        overlaps = list(versions.versions(connection, _OVERLAPS))
        changed = (
            shared_customers.unmark_wrong(overlaps, overlap_id, now())
            if undo
            else shared_customers.mark_wrong(overlaps, overlap_id, actor_or_user(actor), now())
        )
        versions.add(connection, changed)
    state = "holds again" if undo else "is marked wrong"
    result = {"marked_wrong": not undo, "overlaps": [_overlap_dict(record) for record in changed]}
    console.emit(result, "\n".join(f"{record.id} {state}" for record in changed), as_json)


@app.command("hash", epilog="Example: eql overlap hash customers.csv --key-file key.txt --out hashed.csv")
def hash_(
    file: ListArgument,
    key_file: Annotated[Path, typer.Option(help="File with the key that both sides hold, at least 16 bytes.")],
    out: Annotated[Path, typer.Option(help="A .csv file for the partner.")],
    relationship: Relationship = "customer",
    domain_column: DomainColumn = _DEFAULT.domain,
    relationship_column: RelationshipColumn = _DEFAULT.relationship,
    since_column: SinceColumn = _DEFAULT.since,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Hash the domains of a list with a key. A partner with the same key learns the common companies only."""
    _check_relationship(relationship)
    key = _read_key(key_file)
    columns = Columns(domain=domain_column, relationship=relationship_column, since=since_column)
    listed = _read_list(file, columns, relationship, False)
    rows = list(partner_list.hash_list(listed, key))
    path = rejects or out.with_name(f"{out.name}.rejects.csv")
    with _rejects_file(path, listed), _replaced_csv(out, ("domain", "relationship", "since"), rows):
        console.progress(f"hashed {len(rows):,} companies")
    result = {"out": str(out), "hashed": len(rows), "rejected": len(listed.rejections), "rejects": str(path)}
    console.emit(result, f"{out}: {len(rows):,} keyed hashes, {len(listed.rejections):,} rows rejected", as_json)
    _print_rejects_path(path, listed)


def _read_list(file: Path, columns: Columns, relationship: str, hashed: bool) -> PartnerList:
    with file.open("rb") as lines:
        try:
            return partner_list.read_list(lines, columns=columns, relationship=relationship, hashed=hashed, until=now())
        except InvalidList as error:
            raise InvalidList(f"{file} cannot be used: {error}; nothing was written") from None


def _read_key(file: Path) -> bytes:
    key = file.read_bytes().strip()
    try:
        partner_list.keyed_hash(key, "")
    except InvalidKey as error:
        raise InvalidKey(f"{file}: {error}") from None
    return key


def _source_name(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{file.name} (SHA-256 {digest[:12]}) of {rfc3339(now())}"


def _check_relationship(relationship: str) -> None:
    if relationship not in RELATIONSHIPS:
        raise UsageError(f"--relationship must be one of {', '.join(RELATIONSHIPS)}, not {relationship!r}")


def _check_partner(connection: Connection, partner: str) -> None:
    partners = newest_versions(versions.versions(connection, _PARTNERS), _PARTNERS)
    if partner not in partners or partners[partner]["deleted"]:
        raise UnknownPartner(f"there is no partner {partner}; add it with `eql import`, or correct --partner")


def _wrong_accounts(connection: Connection, partner: str) -> frozenset[str]:
    return shared_customers.accounts_marked_wrong(versions.versions(connection, _OVERLAPS), partner)


def _rejects_file(path: Path, listed: PartnerList) -> AbstractContextManager[None]:
    return _replaced_csv(path, [field.name for field in fields(Rejection)], map(astuple, listed.rejections))


@contextmanager
def _replaced_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[None]:
    """Writes a CSV file under another name before the block, and moves it to `path` after the block succeeds."""
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            with part.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([header, *guarded_rows(rows)])
        except OSError as error:
            raise NotWritable(f"{path} cannot be written: {error.strerror}; name another file") from None
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _summary(file: Path, rejects: Path, upload: Upload) -> dict[str, Any]:
    return {"list": str(file), "rows": upload.rows, "rejected": upload.rejected, "rejects": str(rejects)}


def _print_upload(file: Path, rejects: Path, upload: Upload, records: Sequence[Stored], as_json: bool) -> None:
    by, never_matched = upload.matched_by, upload.matched.never_matched
    overlaps = [_overlap_dict(record) for record in records]
    result = {
        **_summary(file, rejects, upload),
        "never_matched": [{"domain": d, "why": why, "rows": n} for (d, why), n in never_matched.items()],
        "unmatched": upload.matched.unmatched,
        "marked_wrong": upload.marked_wrong,
        "matched": dict(by),
        "overlaps": overlaps,
    }
    lines = [
        f"{file}: {upload.rows:,} rows, {upload.rejected:,} rejected, {upload.matched.unmatched:,} unmatched",
        f"{len(records):,} overlaps: {by['domain']:,} by domain, {by['name']:,} by name; "
        f"{upload.marked_wrong:,} left out because they are marked wrong",
        *_never_matched_lines(never_matched),
        *([_least_certain_table(overlaps)] if overlaps else []),
    ]
    console.emit(result, "\n".join(lines), as_json)
    _print_rejects_path(rejects, upload.listed)


def _print_counts(file: Path, rejects: Path, upload: Upload, as_json: bool) -> None:
    """Prints the counts by relationship only: any further figure could reveal a hidden count."""
    counts = upload.kept.counts()
    hidden = f"fewer than {shared_customers.MIN_SHOWN}"
    lines = [f"{name}: {hidden if count is None else f'{count:,}'}" for name, count in counts.items()]
    result = {**_summary(file, rejects, upload), "accounts": counts, "fewest_shown": shared_customers.MIN_SHOWN}
    console.emit(result, "\n".join(lines), as_json)
    _print_rejects_path(rejects, upload.listed)


def _never_matched_lines(never_matched: Mapping[tuple[str, str], int]) -> list[str]:
    if not never_matched:
        return []
    shown = list(never_matched.items())[:_MAX_SHOWN]
    domains = ", ".join(f"{domain} ({reason}, {rows:,} rows)" for (domain, reason), rows in shown)
    more = f" and {len(never_matched) - _MAX_SHOWN:,} more" if len(never_matched) > _MAX_SHOWN else ""
    return [f"domains that never match: {domains}{more}"]


def _least_certain_table(overlaps: Sequence[dict[str, Any]]) -> str:
    columns = ["shared_customer_id", "account_id", "relationship", "confidence", "reason"]
    ranked = sorted(overlaps, key=lambda overlap: (overlap["confidence"], overlap["shared_customer_id"]))
    rows = [[overlap[name] for name in columns] for overlap in ranked[:_MAX_SHOWN]]
    return console.table("Least certain overlaps", columns, rows)


def _print_rejects_path(path: Path, listed: PartnerList) -> None:
    if listed.rejections:
        console.ERRORS.print(f"rejected rows and their reasons are in {path}", markup=False)


def _overlap_dict(record: Stored) -> dict[str, Any]:
    row = record.row()
    names = (_OVERLAPS.id, "account_id", "partner_id", "relationship", "confidence", "reason", "source")
    return {name: row[name] for name in names}
