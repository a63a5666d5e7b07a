"""The table of data quality reports."""

from sqlalchemy import BigInteger, Column, Table

from serving.store.tables import ID, TEXT, metadata

quality_reports = Table(
    "quality_reports",
    metadata,
    Column("id", ID, primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    Column("content", TEXT, nullable=False),
)
