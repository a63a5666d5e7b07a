"""Current scores say whether their lead is closed, and number their changes for readers that follow them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_LAST = 2**62
"""After every instant: all events that the store holds count."""


def upgrade() -> None:
    """Adds the columns, marks closed leads, and numbers the scores in the order in which they were made."""
    op.create_table("score_counter", sa.Column("last", sa.BigInteger(), nullable=False))
    with op.batch_alter_table("current_score") as table:
        table.add_column(sa.Column("closed", TEXT))
        table.add_column(sa.Column("closed_at", sa.BigInteger()))
        table.add_column(sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("changed_at", sa.BigInteger(), nullable=False, server_default="0"))
    connection = op.get_bind()
    scored = (
        connection.execute(sa.text("SELECT lead_id FROM current_score ORDER BY scored_at, lead_id")).scalars().all()
    )
    connection.execute(sa.text("INSERT INTO score_counter (last) VALUES (:last)"), {"last": len(scored)})
    if scored:
        _number(connection, scored)
        _mark_closed(connection)
    with op.batch_alter_table("current_score") as table:
        table.alter_column("change", server_default=None)
        table.alter_column("changed_at", server_default=None)
    op.create_index("ix_current_score_change", "current_score", ["change"])


def _number(connection: sa.Connection, scored: Sequence[str]) -> None:
    change = sa.text("UPDATE current_score SET change = :change, changed_at = scored_at WHERE lead_id = :lead_id")
    connection.execute(change, [{"change": number, "lead_id": lead} for number, lead in enumerate(scored, 1)])


def _mark_closed(connection: sa.Connection) -> None:
    # A command that creates an empty store should start without the compiler of SQL.
    from features.outcomes import closed_leads

    events = connection.execute(
        sa.text(
            "SELECT lead_event_id, lead_id, event, occurred_at, recorded_at, deleted FROM lead_events "
            "WHERE lead_id IN (SELECT lead_id FROM current_score) ORDER BY ingest"
        )
    )
    closed = closed_leads([dict(row) for row in events.mappings()], _LAST)
    set_closed = sa.text("UPDATE current_score SET closed = :event, closed_at = :at WHERE lead_id = :lead_id")
    if closed:
        states = [{"event": row["event"], "at": row["occurred_at"], "lead_id": lead} for lead, row in closed.items()]
        connection.execute(set_closed, states)
