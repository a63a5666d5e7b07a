"""The tables of schedules and their runs."""

from sqlalchemy import BigInteger, Column, Table

from serving.store.tables import ID, TEXT, metadata

schedules = Table(
    "schedules",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("next_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("task", TEXT, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("outcome", TEXT),
    Column("detail", TEXT),
)
