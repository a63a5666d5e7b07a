"""The last score of a removed lead stays, marked as removed, so that readers of the changes learn of the removal."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Adds the column; the scores that the store holds are of leads that were not removed."""
    with op.batch_alter_table("current_score") as table:
        table.add_column(sa.Column("removed", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("current_score") as table:
        table.alter_column("removed", server_default=None)
