"""Sign-in links, which work once, and the sessions that they open. The store keeps only hashes of the tokens."""

from sqlalchemy import Connection, Table, delete, insert, select, update

from serving.access.tables import sessions, sign_in_tokens
from serving.identity import Principal, TokenSource, check_role, digest, new_token


def offer(connection: Connection, role: str, partner_id: str | None, *, expires_at: int, tokens: TokenSource) -> str:
    """Creates the token of a sign-in link and returns it. The token cannot be read again later.

    Raises:
        serving.identity.InvalidRole: the role does not exist, or does not fit `partner_id`.
    """
    return _keep(connection, sign_in_tokens, check_role(role, partner_id), partner_id, expires_at, tokens)


def redeem(connection: Connection, token: str, *, at: int, expires_at: int, tokens: TokenSource) -> str | None:
    """Exchanges the token of a sign-in link for the token of a session until `expires_at`.

    The result is None where the token is unknown, expired or used. Where several requests bring the token at the same
    time, one of them gets the session.
    """
    table = sign_in_tokens
    unused = (table.c.sha256 == digest(token), table.c.used_at.is_(None), table.c.expires_at > at)
    used = update(table).where(*unused).values(used_at=at).returning(table.c.role, table.c.partner_id)
    link = connection.execute(used).first()
    return None if link is None else _keep(connection, sessions, link.role, link.partner_id, expires_at, tokens)


def open_for(connection: Connection, user: Principal, *, expires_at: int, tokens: TokenSource) -> str:
    """Opens a session until `expires_at` for a user that an identity provider identified; returns its token."""
    return _keep(connection, sessions, user.role, user.partner_id, expires_at, tokens)


def principal(connection: Connection, session: str, *, at: int) -> Principal | None:
    """The principal of a session; None where the session is unknown or has expired."""
    wanted = (sessions.c.sha256 == digest(session), sessions.c.expires_at > at)
    row = connection.execute(select(sessions).where(*wanted)).first()
    return None if row is None else Principal(row.role, row.partner_id, "session")


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
