"""The tables of records. Each kind has one, which is generated from the typed contract `features.records.KINDS`.

Every version of a record has an `ingest` number. The number grows over all kinds in the order of commits, breaks ties
between versions, and is pinned by a replay.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Index, Table
from sqlalchemy.types import TypeEngine

from features.records import DERIVED, KINDS, Kind
from serving.store.tables import ID, TEXT, metadata

_TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": TEXT,
    "integer": BigInteger(),
    "real": Double(),
    "flag": Boolean(),
    "instant": BigInteger(),
    "date": BigInteger(),
}

_INDEXED: Mapping[str, tuple[str, ...]] = {"leads": ("account_id", "source_partner_id"), "accounts": ("domain",)}
"""Indexed columns of a kind, beside its id and the id of the lead or account that it is about."""


def _records(kind: Kind) -> Table:
    required = {kind.id, kind.parent, "deleted"}
    columns = [
        Column(
            column.name,
            _TYPES[column.type],
            nullable=column.name not in required,
            index=column.name in (kind.id, kind.parent, *_INDEXED.get(kind.name, ())),
        )
        for column in kind.columns
    ]
    if kind.name == "leads":
        columns.append(Column("attributes", JSON, nullable=False))
    return Table(kind.name, metadata, Column("ingest", ID, primary_key=True, autoincrement=False), *columns)


RECORDS: Mapping[str, Table] = {kind.name: _records(kind) for kind in (*KINDS.values(), *DERIVED)}
"""The table of each kind of record, with the derived kinds, by its plural name."""

for _kind in DERIVED:
    Index(f"ix_{_kind.name}_as_of", *(RECORDS[_kind.name].c[name] for name in (_kind.id, "recorded_at")))

ingest_counter = Table("ingest_counter", metadata, Column("last", BigInteger, nullable=False))

provenance = Table("provenance", metadata, Column("content", TEXT, nullable=False))

joined_accounts = Table(
    "joined_accounts",
    metadata,
    Column("lead_id", TEXT, primary_key=True),
    Column("account_id", TEXT, nullable=False),
    Column("sent_account_id", TEXT),
)

lead_emails = Table(
    "lead_emails",
    metadata,
    Column("email_sha256", TEXT, primary_key=True),
    Column("lead_id", TEXT, primary_key=True, index=True),
)

lead_aliases = Table(
    "lead_aliases",
    metadata,
    Column("alias", TEXT, primary_key=True),
    Column("lead_id", TEXT, nullable=False, index=True),
    Column("merged", Boolean, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)
