"""API keys in the store: the hash, the visible part, the role; never the key itself."""

import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from serving.access.tables import api_keys
from serving.identity import Principal, Role, TokenSource, check_role, digest, new_key, visible, well_formed


@dataclass(frozen=True)
class Key:
    """What the store knows of an API key; times are microseconds."""

    id: int
    prefix: str
    role: Role
    partner_id: str | None
    created_at: int
    revoked_at: int | None


def create(connection: Connection, role: str, partner_id: str | None, *, at: int, tokens: TokenSource) -> str:
    """Makes a key and returns it, for the only time.

    Raises:
        serving.identity.InvalidRole: there is no such role, or it does not go with `partner_id`.
    """
    key = new_key(tokens)
    row = {"prefix": visible(key), "sha256": digest(key), "role": check_role(role, partner_id)}
    connection.execute(insert(api_keys), row | {"partner_id": partner_id, "created_at": at})
    return key


def listed(connection: Connection, *, after: int = 0, limit: int | None = None) -> list[Key]:
    """Keys, revoked ones too, in the order they were made: those with an id above `after`, `limit` at most."""
    found = _KEYS.where(api_keys.c.id > after).order_by(api_keys.c.id).limit(limit)
    return [Key(**row) for row in connection.execute(found).mappings()]


def get(connection: Connection, key_id: int) -> Key | None:
    """What is kept of the key with this id, None where there is none."""
    found = connection.execute(_KEYS.where(api_keys.c.id == key_id)).mappings().first()
    return None if found is None else Key(**found)


def kept(connection: Connection, key: str) -> Key:
    """What is kept of this key, which was made before."""
    return Key(**connection.execute(_KEYS.where(api_keys.c.sha256 == digest(key))).mappings().one())


def revoke(connection: Connection, key_id: int, *, at: int) -> bool:
    """Ends a key at once; False where there is no such key, or it is revoked already."""
    wanted = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(update(api_keys).where(*wanted).values(revoked_at=at)).rowcount == 1


def verify(connection: Connection, key: str) -> Principal | None:
    """Who calls with this key; None where it is malformed, unknown or revoked."""
    if not well_formed(key):
        return None
    found = connection.execute(_ACTIVE, {"visible": visible(key)}).all()
    sha256 = digest(key)
    # The store is asked for what may be seen; the secret part is compared without telling how far it agrees.
    rows = [row for row in found if hmac.compare_digest(row.sha256, sha256)]
    return Principal(rows[0].role, rows[0].partner_id, rows[0].prefix) if rows else None


_ACTIVE = select(api_keys).where(api_keys.c.prefix == bindparam("visible"), api_keys.c.revoked_at.is_(None))
_KEYS = select(*(column for column in api_keys.c if column.name != "sha256"))
