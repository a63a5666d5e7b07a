"""The table of the scores that the challenger gave in shadow."""

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Table

from serving.store.tables import TEXT, metadata

shadow_scores = Table(
    "shadow_scores",
    metadata,
    Column("decision_id", TEXT, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("sha256", TEXT, ForeignKey("bundles.sha256"), nullable=False, index=True),
    Column("version", TEXT, nullable=False),
    Column("close_probability", Double, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
