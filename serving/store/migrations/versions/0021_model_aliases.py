"""The table of alias changes is named after what it holds: `model_aliases` instead of `champion`."""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OLD, NEW = "champion", "model_aliases"


def upgrade() -> None:
    """Renames the table, its index and, on PostgreSQL, its constraints and its sequence; the rows stay."""
    op.rename_table(OLD, NEW)
    op.drop_index(f"ix_{OLD}_alias", NEW)
    op.create_index(f"ix_{NEW}_alias", NEW, ["alias"])
    if op.get_context().dialect.name == "postgresql":
        for constraint in ("pk_{}", "fk_{}_sha256"):
            op.execute(f"ALTER TABLE {NEW} RENAME CONSTRAINT {constraint.format(OLD)} TO {constraint.format(NEW)}")
        op.execute(f"ALTER SEQUENCE {OLD}_id_seq RENAME TO {NEW}_id_seq")
