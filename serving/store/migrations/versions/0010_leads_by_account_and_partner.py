"""Leads are found by their account and their source partner."""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Creates both indexes."""
    op.create_index("ix_leads_account_id", "leads", ["account_id"])
    op.create_index("ix_leads_source_partner_id", "leads", ["source_partner_id"])
