"""The table of erasures."""

from sqlalchemy import BigInteger, Column, Table

from serving.store.tables import ID, TEXT, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("leads", BigInteger),
    Column("rows", BigInteger),
    Column("finished_at", BigInteger),
)
