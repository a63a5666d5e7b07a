"""The tables of API keys, sign-in links and sessions."""

from sqlalchemy import BigInteger, Column, Table

from serving.store.tables import ID, TEXT, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("prefix", TEXT, nullable=False, index=True),
    Column("sha256", TEXT, nullable=False, unique=True),
    Column("role", TEXT, nullable=False),
    Column("partner_id", TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

sign_in_tokens = Table(
    "sign_in_tokens",
    metadata,
    Column("sha256", TEXT, primary_key=True),
    Column("role", TEXT, nullable=False),
    Column("partner_id", TEXT),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sha256", TEXT, primary_key=True),
    Column("role", TEXT, nullable=False),
    Column("partner_id", TEXT),
    Column("expires_at", BigInteger, nullable=False),
)
