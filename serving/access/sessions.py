"""Signing in to the pages: a link that works once opens a session that lasts a while. Kept as hashes only."""

from sqlalchemy import Connection, Table, delete, insert, select, update

from serving.access.tables import sessions, sign_in_tokens
from serving.identity import Principal, TokenSource, check_role, digest, new_token


def offer(connection: Connection, role: str, partner_id: str | None, *, expires_at: int, tokens: TokenSource) -> str:
    """Makes the token of a sign-in link and returns it, for the only time.

    Raises:
        serving.identity.InvalidRole: there is no such role, or it does not go with `partner_id`.
    """
    return _keep(connection, sign_in_tokens, check_role(role, partner_id), partner_id, expires_at, tokens)


def redeem(connection: Connection, token: str, *, at: int, expires_at: int, tokens: TokenSource) -> str | None:
    """Uses up the token of a sign-in link for the token of a session until `expires_at`.

    None where the token is unknown, expired or used; of several who bring it at once, one gets the session.
    """
    table = sign_in_tokens
    unused = (table.c.sha256 == digest(token), table.c.used_at.is_(None), table.c.expires_at > at)
    used = update(table).where(*unused).values(used_at=at).returning(table.c.role, table.c.partner_id)
    found = connection.execute(used).first()
    return None if found is None else _keep(connection, sessions, found.role, found.partner_id, expires_at, tokens)


def open_for(connection: Connection, who: Principal, *, expires_at: int, tokens: TokenSource) -> str:
    """Opens a session until `expires_at` for somebody an identity provider vouches for; returns its token."""
    return _keep(connection, sessions, who.role, who.partner_id, expires_at, tokens)


def principal(connection: Connection, session: str, *, at: int) -> Principal | None:
    """Who the session belongs to; None where it is unknown or over."""
    wanted = (sessions.c.sha256 == digest(session), sessions.c.expires_at > at)
    found = connection.execute(select(sessions).where(*wanted)).first()
    return None if found is None else Principal(found.role, found.partner_id, "session")


def close(connection: Connection, session: str) -> None:
    """Ends a session."""
    connection.execute(delete(sessions).where(sessions.c.sha256 == digest(session)))


def _keep(
    connection: Connection, table: Table, role: str, partner_id: str | None, expires_at: int, tokens: TokenSource
) -> str:
    token = new_token(tokens)
    row = {"sha256": digest(token), "role": role, "partner_id": partner_id, "expires_at": expires_at}
    connection.execute(insert(table), row)
    return token
