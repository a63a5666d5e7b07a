"""Accounts are found by their domain: a lead of a partner joins an account by the domain of its address."""

from collections.abc import Sequence

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Adds the index."""
    op.create_index("ix_accounts_domain", "accounts", ["domain"])
