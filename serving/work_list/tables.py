"""The table of exposures: the leads that sales saw while priorities were partly random."""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Table

from serving.store.tables import TEXT, metadata

exposures = Table(
    "exposures",
    metadata,
    Column("day", BigInteger, primary_key=True),
    Column("lead_id", TEXT, primary_key=True),
    Column("decision_id", TEXT, ForeignKey("decisions.decision_id"), nullable=False),
    Column("score", Double),
    Column("share", Double, nullable=False),
    Column("seed", TEXT, nullable=False),
    Column("randomised", Boolean, nullable=False),
    Column("view", TEXT, nullable=False),
    Column("listed", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("position_by_score", BigInteger, nullable=False),
)
