"""The tables of the store. Those of records are generated from the typed contract, `features.records.KINDS`.

A change here needs a revision in `serving/store/migrations`, which makes the same change to the stores that are there.

Instants and days are int64 microseconds since the epoch. Every version of a record has an `ingest` number, which grows
over all kinds in the order of commits, breaks ties between versions, and is what a replay pins.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.types import TypeEngine

from features.records import DERIVED, KINDS, Kind

# Both databases then order text by its bytes, whatever the language of the server.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": _TEXT,
    "integer": BigInteger(),
    "real": Double(),
    "flag": Boolean(),
    "instant": BigInteger(),
    "date": BigInteger(),
}
# SQLite numbers rows by a column whose type is spelt INTEGER (64 bit there too), and by no other.
_KEY = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


_SOUGHT: Mapping[str, tuple[str, ...]] = {"leads": ("account_id", "source_partner_id")}
"""Columns by which records of a kind are found, beside their id and that of what they speak of."""


def _records(kind: Kind) -> Table:
    required = {kind.id, kind.parent, "deleted"}
    columns = [
        Column(
            column.name,
            _TYPES[column.type],
            nullable=column.name not in required,
            index=column.name in (kind.id, kind.parent, *_SOUGHT.get(kind.name, ())),
        )
        for column in kind.columns
    ]
    if kind.name == "leads":
        columns.append(Column("attributes", JSON, nullable=False))
    return Table(kind.name, metadata, Column("ingest", _KEY, primary_key=True, autoincrement=False), *columns)


RECORDS: Mapping[str, Table] = {kind.name: _records(kind) for kind in (*KINDS.values(), *DERIVED)}
"""The table of each kind of record, by its plural name; the derived ones among them."""

for _kind in DERIVED:
    Index(f"ix_{_kind.name}_as_of", *(RECORDS[_kind.name].c[name] for name in (_kind.id, "recorded_at")))

ingest_counter = Table("ingest_counter", metadata, Column("last", BigInteger, nullable=False))

provenance = Table("provenance", metadata, Column("content", _TEXT, nullable=False))

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", _TEXT, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("commitment", _TEXT, nullable=False),
    Column("seal_id", BigInteger, ForeignKey("seals.id")),
    Index("ix_decisions_seal", "seal_id", "decision_id"),
)

decision_payloads = Table(
    "decision_payloads",
    metadata,
    Column("decision_id", _TEXT, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("lead_id", _TEXT, index=True),
    Column("stored", Boolean, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("ingest", BigInteger),
    Column("salt", _TEXT, nullable=False),
    Column("content", _TEXT, nullable=False),
    Column("request", _TEXT),
    Column("features", _TEXT),
    Column("history", _TEXT),
)

current_score = Table(
    "current_score",
    metadata,
    Column("lead_id", _TEXT, primary_key=True),
    Column("decision_id", _TEXT, ForeignKey("decisions.decision_id"), nullable=False, index=True),
    Column("qualification", _TEXT, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("close_probability", Double),
    Column("grade", _TEXT),
    Column("expected_value_minor", BigInteger),
    Column("expected_value_currency", _TEXT),
    Column("source_partner_id", _TEXT, index=True),
    Column("scored_at", BigInteger, nullable=False),
    Index("ix_current_score_rank", "qualification", "close_probability"),
)

due_scores = Table(
    "due_scores",
    metadata,
    Column("lead_id", _TEXT, primary_key=True),
    Column("marked_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False, index=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("event_id", _TEXT, nullable=False, unique=True),
    Column("kind", _TEXT, nullable=False),
    Column("lead_id", _TEXT, index=True),
    Column("at", BigInteger, nullable=False),
    Column("content", _TEXT, nullable=False),
    Column("fanned_out", Boolean, nullable=False, server_default=false(), index=True),
)

exposures = Table(
    "exposures",
    metadata,
    Column("day", BigInteger, primary_key=True),
    Column("lead_id", _TEXT, primary_key=True),
    Column("decision_id", _TEXT, ForeignKey("decisions.decision_id"), nullable=False),
    Column("score", Double),
    Column("share", Double, nullable=False),
    Column("seed", _TEXT, nullable=False),
    Column("randomised", Boolean, nullable=False),
    Column("view", _TEXT, nullable=False),
    Column("listed", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("position_by_score", BigInteger, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("sha256", _TEXT, primary_key=True),
    Column("name", _TEXT, nullable=False),
    Column("version", _TEXT, nullable=False),
    Column("published_at", BigInteger, nullable=False),
)

bundle_files = Table(
    "bundle_files",
    metadata,
    Column("sha256", _TEXT, ForeignKey("bundles.sha256"), primary_key=True),
    Column("path", _TEXT, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

champion = Table(
    "champion",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("alias", _TEXT, nullable=False, index=True),
    Column("sha256", _TEXT, ForeignKey("bundles.sha256")),
    Column("actor", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("announced", Boolean, nullable=False, server_default=false()),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("prefix", _TEXT, nullable=False, index=True),
    Column("sha256", _TEXT, nullable=False, unique=True),
    Column("role", _TEXT, nullable=False),
    Column("partner_id", _TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

sign_in_tokens = Table(
    "sign_in_tokens",
    metadata,
    Column("sha256", _TEXT, primary_key=True),
    Column("role", _TEXT, nullable=False),
    Column("partner_id", _TEXT),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sha256", _TEXT, primary_key=True),
    Column("role", _TEXT, nullable=False),
    Column("partner_id", _TEXT),
    Column("expires_at", BigInteger, nullable=False),
)

lead_emails = Table(
    "lead_emails",
    metadata,
    Column("email_sha256", _TEXT, primary_key=True),
    Column("lead_id", _TEXT, primary_key=True, index=True),
)

lead_aliases = Table(
    "lead_aliases",
    metadata,
    Column("alias", _TEXT, primary_key=True),
    Column("lead_id", _TEXT, nullable=False, index=True),
    Column("merged", Boolean, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("sha256", _TEXT, primary_key=True),
    Column("fingerprint", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("status", BigInteger),
    Column("location", _TEXT),
    Column("media_type", _TEXT),
    Column("body", LargeBinary),
    Column("lead_ids", _TEXT),
)

seals = Table(
    "seals",
    metadata,
    Column("id", _KEY, primary_key=True, autoincrement=False),
    Column("previous_head", _TEXT, nullable=False, unique=True),
    Column("root", _TEXT, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    Column("head", _TEXT, nullable=False, unique=True),
)

policies = Table(
    "policies",
    metadata,
    Column("sha256", _TEXT, primary_key=True),
    Column("content", _TEXT, nullable=False),
    Column("first_used_at", BigInteger, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("url", _TEXT, nullable=False),
    Column("events", JSON(none_as_null=True)),
    Column("description", _TEXT),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_because", _TEXT),
    Column("failing_since", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("secret", _TEXT, nullable=False),
    Column("former_secret", _TEXT),
    Column("former_until", BigInteger),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("event_id", _TEXT, ForeignKey("outbox.event_id", ondelete="CASCADE"), nullable=False),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
    UniqueConstraint("event_id", "webhook_id"),
    Index("ix_deliveries_due", "webhook_id", "state", "due_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("delivery_id", BigInteger, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("status", BigInteger),
    Column("fault", _TEXT),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("next_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("task", _TEXT, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("outcome", _TEXT),
    Column("detail", _TEXT),
)

shadow_scores = Table(
    "shadow_scores",
    metadata,
    Column("decision_id", _TEXT, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("sha256", _TEXT, ForeignKey("bundles.sha256"), nullable=False, index=True),
    Column("version", _TEXT, nullable=False),
    Column("close_probability", Double, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("leads", BigInteger),
    Column("rows", BigInteger),
    Column("finished_at", BigInteger),
)

quality_reports = Table(
    "quality_reports",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    Column("content", _TEXT, nullable=False),
)
