"""Webhooks, what is delivered to them, and the worker's schedules and runs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Creates the tables, empty; what was promoted before was announced by nobody, and nobody waits for it now."""
    op.add_column("outbox", sa.Column("fanned_out", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("ix_outbox_fanned_out", "outbox", ["fanned_out"])
    op.add_column("champion", sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.false()))
    champion = sa.table("champion", sa.column("announced", sa.Boolean))
    op.execute(sa.update(champion).values(announced=sa.true()))
    _webhooks()
    _deliveries()
    _schedules()


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("events", sa.JSON),
        sa.Column("description", TEXT),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_because", TEXT),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("former_secret", TEXT),
        sa.Column("former_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("webhook_id", sa.BigInteger, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("event_id", "webhook_id", name="uq_deliveries_event_id"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["outbox.event_id"], name="fk_deliveries_event_id_outbox", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_deliveries_webhook_id_webhooks", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["webhook_id", "state", "due_at"])
    op.create_table(
        "delivery_attempts",
        sa.Column("id", KEY, nullable=False),
        sa.Column("delivery_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.BigInteger),
        sa.Column("fault", TEXT),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_attempts"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_delivery_attempts_delivery_id_deliveries", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_delivery_attempts_delivery_id", "delivery_attempts", ["delivery_id"])


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
    op.create_table(
        "runs",
        sa.Column("id", KEY, nullable=False),
        sa.Column("task", TEXT, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("outcome", TEXT),
        sa.Column("detail", TEXT),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
