"""The tables of model bundles, model aliases and policies."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, Table, false

from serving.store.tables import ID, TEXT, metadata

bundles = Table(
    "bundles",
    metadata,
    Column("sha256", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("version", TEXT, nullable=False),
    Column("published_at", BigInteger, nullable=False),
)

bundle_files = Table(
    "bundle_files",
    metadata,
    Column("sha256", TEXT, ForeignKey("bundles.sha256"), primary_key=True),
    Column("path", TEXT, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("id", ID, primary_key=True),
    Column("alias", TEXT, nullable=False, index=True),
    Column("sha256", TEXT, ForeignKey("bundles.sha256")),
    Column("actor", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("announced", Boolean, nullable=False, server_default=false()),
)

policies = Table(
    "policies",
    metadata,
    Column("sha256", TEXT, primary_key=True),
    Column("content", TEXT, nullable=False),
    Column("first_used_at", BigInteger, nullable=False),
)
