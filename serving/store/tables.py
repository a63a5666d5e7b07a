"""The metadata and column types of all tables, and the two tables without a subject: outbox and idempotency keys.

A subject defines its tables in its own `tables.py`; `serving.tables` names them all. A change of a table needs a
revision in `serving/store/migrations`, which makes the same change to existing stores. Instants and days are int64
microseconds since the epoch.
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text, false

# Both databases then order text by its bytes, whatever the language of the server.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by a column whose type is spelt INTEGER (64 bit there too), and by no other.
ID = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", ID, primary_key=True),
    Column("event_id", TEXT, nullable=False, unique=True),
    Column("kind", TEXT, nullable=False),
    Column("lead_id", TEXT, index=True),
    Column("at", BigInteger, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("fanned_out", Boolean, nullable=False, server_default=false(), index=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("sha256", TEXT, primary_key=True),
    Column("fingerprint", TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("status", BigInteger),
    Column("location", TEXT),
    Column("media_type", TEXT),
    Column("body", LargeBinary),
    Column("lead_ids", TEXT),
)
