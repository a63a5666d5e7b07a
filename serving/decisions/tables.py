"""The tables of decisions, what partners see of them, the current score of each lead, the rescore queue and the seals.

Each change of a current score gets the next number of `score_counter`, whose row the writing transaction locks. So the
numbers appear in the order of commits, and a reader that follows them misses none.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, ForeignKey, Index, Table

from serving.store.tables import ID, TEXT, metadata

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", TEXT, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("commitment", TEXT, nullable=False),
    Column("seal_id", BigInteger, ForeignKey("seals.id")),
    Index("ix_decisions_seal", "seal_id", "decision_id"),
)

decision_payloads = Table(
    "decision_payloads",
    metadata,
    Column("decision_id", TEXT, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("lead_id", TEXT, index=True),
    Column("stored", Boolean, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("ingest", BigInteger),
    Column("salt", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("request", TEXT),
    Column("features", TEXT),
    Column("history", TEXT),
)

current_score = Table(
    "current_score",
    metadata,
    Column("lead_id", TEXT, primary_key=True),
    Column("decision_id", TEXT, ForeignKey("decisions.decision_id"), nullable=False, index=True),
    Column("qualification", TEXT, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("close_probability", Double),
    Column("grade", TEXT),
    Column("expected_value_minor", BigInteger),
    Column("expected_value_currency", TEXT),
    Column("source_partner_id", TEXT, index=True),
    Column("scored_at", BigInteger, nullable=False),
    Column("closed", TEXT),
    Column("closed_at", BigInteger),
    Column("change", BigInteger, nullable=False, index=True),
    Column("changed_at", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index("ix_current_score_rank", "qualification", "close_probability"),
)

partner_standings = Table(
    "partner_standings",
    metadata,
    Column("decision_id", TEXT, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("lead_id", TEXT, nullable=False, index=True),
    Column("qualification", TEXT, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("missing", JSON, nullable=False),
)

score_counter = Table("score_counter", metadata, Column("last", BigInteger, nullable=False))

due_scores = Table(
    "due_scores",
    metadata,
    Column("lead_id", TEXT, primary_key=True),
    Column("marked_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False, index=True),
)

seals = Table(
    "seals",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("previous_head", TEXT, nullable=False, unique=True),
    Column("root", TEXT, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    Column("head", TEXT, nullable=False, unique=True),
)
