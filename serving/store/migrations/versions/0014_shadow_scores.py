"""What the challenger in shadow said of decisions; an alias may point to nothing."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Lets an alias be vacant, and creates the table, empty."""
    with op.batch_alter_table("champion") as batch:
        batch.alter_column("sha256", nullable=True)
    op.create_table(
        "shadow_scores",
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("close_probability", sa.Double, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.decision_id"], name="fk_shadow_scores_decision_id_decisions"
        ),
        sa.ForeignKeyConstraint(["sha256"], ["bundles.sha256"], name="fk_shadow_scores_sha256_bundles"),
        sa.PrimaryKeyConstraint("decision_id", name="pk_shadow_scores"),
    )
    op.create_index("ix_shadow_scores_sha256", "shadow_scores", ["sha256"])
