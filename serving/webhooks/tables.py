"""The tables of webhooks and their deliveries."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Table, UniqueConstraint

from serving.store.tables import ID, TEXT, metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", ID, primary_key=True),
    Column("url", TEXT, nullable=False),
    Column("events", JSON(none_as_null=True)),
    Column("description", TEXT),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_because", TEXT),
    Column("failing_since", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("secret", TEXT, nullable=False),
    Column("former_secret", TEXT),
    Column("former_until", BigInteger),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("event_id", TEXT, ForeignKey("outbox.event_id", ondelete="CASCADE"), nullable=False),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("state", TEXT, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
    UniqueConstraint("event_id", "webhook_id"),
    Index("ix_deliveries_due", "webhook_id", "state", "due_at"),
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("delivery_id", BigInteger, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("status", BigInteger),
    Column("fault", TEXT),
)
