"""A lead of a partner that joined an account of the vendor stands for the partner as it would without that account."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds the tables. Leads of earlier versions joined no account."""
    op.create_table(
        "joined_accounts",
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("sent_account_id", TEXT),
        sa.PrimaryKeyConstraint("lead_id", name="pk_joined_accounts"),
    )
    op.create_table(
        "partner_standings",
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT, nullable=False),
        sa.Column("qualification", TEXT, nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_partner_standings"),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.decision_id"], name="fk_partner_standings_decision_id_decisions"
        ),
    )
    op.create_index("ix_partner_standings_lead_id", "partner_standings", ["lead_id"])
