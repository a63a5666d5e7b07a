"""Decisions as certificates: what erasure deletes in a row of its own, what stays commits to it, and seals chain it.

Decisions of before are carried over with a salt of their own. What they were made from was not kept, so they cannot be
replayed.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
CARRIED = ("decision_id", "lead_id", "stored", "as_of", "content", "request")
BATCH = 1000


def upgrade() -> None:
    """Creates the new tables, moves what decisions hold there, and leaves each with its commitment."""
    _create()
    op.add_column("decisions", sa.Column("commitment", TEXT))
    op.add_column("decisions", sa.Column("seal_id", sa.BigInteger))
    _carry_over(op.get_bind())
    op.drop_index("ix_decisions_lead_id", "decisions")
    with op.batch_alter_table("decisions") as batch:
        for name in CARRIED[1:]:
            batch.drop_column(name)
        batch.alter_column("commitment", existing_type=TEXT, nullable=False)
        batch.create_foreign_key("fk_decisions_seal_id", "seals", ["seal_id"], ["id"])
    op.create_index("ix_decisions_seal", "decisions", ["seal_id", "decision_id"])


def _create() -> None:
    op.create_table(
        "seals",
        sa.Column("id", KEY, autoincrement=False, nullable=False),
        sa.Column("previous_head", TEXT, nullable=False),
        sa.Column("root", TEXT, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("sealed_at", sa.BigInteger, nullable=False),
        sa.Column("head", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_seals"),
        sa.UniqueConstraint("previous_head", name="uq_seals_previous_head"),
        sa.UniqueConstraint("head", name="uq_seals_head"),
    )
    op.create_table(
        "policies",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("first_used_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_policies"),
    )
    op.create_table(
        "decision_payloads",
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("lead_id", TEXT),
        sa.Column("stored", sa.Boolean, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("ingest", sa.BigInteger),
        sa.Column("salt", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("request", TEXT),
        sa.Column("features", TEXT),
        sa.Column("history", TEXT),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision_payloads"),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name="fk_decision_payloads_decision_id"),
    )
    op.create_index("ix_decision_payloads_lead_id", "decision_payloads", ["lead_id"])


def _carry_over(connection: sa.Connection) -> None:
    names = (*CARRIED, "ingest", "salt", "features", "history")
    types = {"stored": sa.Boolean()}
    payloads = sa.table("decision_payloads", *(sa.column(name, types.get(name)) for name in names))
    decisions = sa.table("decisions", *(sa.column(name, types.get(name)) for name in (*CARRIED, "commitment")))
    committed = sa.update(decisions).where(decisions.c.decision_id == sa.bindparam("id"))
    for rows in _batches(connection, decisions):
        connection.execute(payloads.insert(), rows)
        connection.execute(committed, [{"id": row["decision_id"], "commitment": _commitment(row)} for row in rows])


def _batches(connection: sa.Connection, decisions: Any) -> Iterator[list[dict[str, Any]]]:
    found = sa.select(*(decisions.c[name] for name in CARRIED)).order_by(decisions.c.decision_id).limit(BATCH)
    last = ""
    while rows := connection.execute(found.where(decisions.c.decision_id > last)).mappings().all():
        last = rows[-1]["decision_id"]
        yield [
            {**row, "ingest": None, "salt": secrets.token_hex(32), "features": None, "history": None} for row in rows
        ]


def _commitment(row: dict[str, Any]) -> str:
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
