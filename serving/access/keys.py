"""API keys in the store: the hash, the visible part and the role of each. The key itself is never stored."""

import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from serving.access.tables import api_keys
from serving.identity import Principal, Role, TokenSource, check_role, digest, new_key, visible_part, well_formed


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key as the store keeps it; times are microseconds."""

    id: int
    prefix: str
    role: Role
    partner_id: str | None
    created_at: int
    revoked_at: int | None


def create(connection: Connection, role: str, partner_id: str | None, *, at: int, tokens: TokenSource) -> str:
    """Creates a key and returns it. The key cannot be read again later.

    Raises:
        serving.identity.InvalidRole: the role does not exist, or does not fit `partner_id`.
    """
    key = new_key(tokens)
    row = {"prefix": visible_part(key), "sha256": digest(key), "role": check_role(role, partner_id)}
    connection.execute(insert(api_keys), row | {"partner_id": partner_id, "created_at": at})
    return key


def listed(connection: Connection, *, after: int = 0, limit: int | None = None) -> list[Key]:
    """At most `limit` keys with an id above `after`, in the order of their creation; revoked keys are included."""
    wanted = _KEYS.where(api_keys.c.id > after).order_by(api_keys.c.id).limit(limit)
    return [Key(**row) for row in connection.execute(wanted).mappings()]


def get(connection: Connection, key_id: int) -> Key | None:
    """The key with this id; None where there is none."""
    row = connection.execute(_KEYS.where(api_keys.c.id == key_id)).mappings().first()
    return None if row is None else Key(**row)


def get_by_secret(connection: Connection, key: str) -> Key:
    """The stored form of an existing key."""
    return Key(**connection.execute(_KEYS.where(api_keys.c.sha256 == digest(key))).mappings().one())


def revoke(connection: Connection, key_id: int, *, at: int) -> bool:
    """Revokes a key at once; False where the key does not exist or is already revoked."""
    wanted = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(update(api_keys).where(*wanted).values(revoked_at=at)).rowcount == 1


def verify(connection: Connection, key: str) -> Principal | None:
    """The principal that a key identifies; None where the key is malformed, unknown or revoked."""
    if not well_formed(key):
        return None
    candidates = connection.execute(_ACTIVE, {"visible": visible_part(key)}).all()
    sha256 = digest(key)
    # The query uses the visible part alone. The hashes are compared in constant time, which reveals no prefix of them.
    rows = [row for row in candidates if hmac.compare_digest(row.sha256, sha256)]
    return Principal(rows[0].role, rows[0].partner_id, rows[0].prefix) if rows else None


_ACTIVE = select(api_keys).where(api_keys.c.prefix == bindparam("visible"), api_keys.c.revoked_at.is_(None))
_KEYS = select(*(column for column in api_keys.c if column.name != "sha256"))
