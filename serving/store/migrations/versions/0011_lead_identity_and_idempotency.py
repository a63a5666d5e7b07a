"""By which e-mail addresses and other ids a lead is known, and the answers to requests that may be repeated."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from serving.records import emails

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BATCH = 10_000


def upgrade() -> None:
    """Creates the tables, and finds the e-mail addresses of the leads that are there."""
    op.create_table(
        "lead_emails",
        sa.Column("email_sha256", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("email_sha256", "lead_id", name="pk_lead_emails"),
    )
    op.create_index("ix_lead_emails_lead_id", "lead_emails", ["lead_id"])
    op.create_table(
        "lead_aliases",
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("merged", sa.Boolean, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("alias", name="pk_lead_aliases"),
    )
    op.create_index("ix_lead_aliases_lead_id", "lead_aliases", ["lead_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.BigInteger),
        sa.Column("location", TEXT),
        sa.Column("media_type", TEXT),
        sa.Column("body", sa.LargeBinary),
        sa.Column("lead_ids", TEXT),
        sa.PrimaryKeyConstraint("sha256", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    _find_emails()


def _find_emails() -> None:
    connection = op.get_bind()
    leads = sa.table("leads", sa.column("lead_id"), sa.column("email"))
    known = connection.execute(sa.select(leads.c.lead_id, leads.c.email).where(leads.c.email.is_not(None)).distinct())
    for rows in known.partitions(BATCH):
        emails.add(connection, [(row.lead_id, row.email) for row in rows])
