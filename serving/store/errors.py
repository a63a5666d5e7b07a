"""What is said of a store that cannot be opened: which one, why, and what mends it; never a password."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

_MENDS: Mapping[str, str] = {
    "file is not a database": "name another file in EQL_DATABASE_URL",
    "readonly database": "let this user write that file and its folder",
    "database is locked": "wait until the other process is done, then try again",
    "lock timeout": "wait until the other process is done, then try again",
    "database system": "wait until its server is up, then try again",
    "too many": "close other connections, or raise the server's max_connections",
    "connection slots": "close other connections, or raise the server's max_connections",
    "permission denied for database": "let its user in: GRANT CONNECT ON that DATABASE TO that user",
    "password": "correct user and password in EQL_DATABASE_URL",
    "permission denied": "let its user create tables there: GRANT CREATE ON SCHEMA public TO that user",
    'role "': "create the role on the server, or name another user in EQL_DATABASE_URL",
    'database "': "create it on the server, or name another in EQL_DATABASE_URL",
    "connection option": "take the option out of EQL_DATABASE_URL",
}
"""The mend by words of the database's own message; the first that fits."""
_NO_FILE = "unable to open database file"
_NO_FOLDER = "make its folder, or name another in EQL_DATABASE_URL"
_LOCKED_FOLDER = "let this user write its folder, or name another: in EQL_HOME, or in EQL_DATABASE_URL if that is set"
_UNREACHED = "see that its server runs and can be reached, or correct EQL_DATABASE_URL"
_OTHERWISE = "nothing was changed"
_UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY")
_UNWRITABLE_STATES = frozenset({"53100", "25006"})
"""PostgreSQL's disk_full and read_only_sql_transaction."""


class UnusableStore(ValueError):
    """The database at the URL cannot serve as the store; the message says why and what mends it."""


def shown(url: URL) -> str:
    """A store's URL as it may be shown: without its password, and of its options only where the server is."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    place = {name: value for name, value in url.query.items() if name in ("host", "port")}
    return url.set(drivername="postgresql", query=place).render_as_string(hide_password=True)


def unopened(url: URL, error: DBAPIError) -> UnusableStore:
    """That the store at `url` could not be opened for what the database's driver said."""
    reason = _reason(str(error.orig))
    # What a PostgreSQL server itself refuses has a state; without one there was no talking to it.
    unreached = url.get_backend_name() == "postgresql" and getattr(error.orig, "sqlstate", None) is None
    otherwise = _UNREACHED if unreached else _OTHERWISE
    mend = next((mend for words, mend in _MENDS.items() if words in reason.lower()), otherwise)
    if reason == _NO_FILE:
        mend = _LOCKED_FOLDER if Path(str(url.database)).parent.is_dir() else _NO_FOLDER
    return UnusableStore(f"the store {shown(url)} cannot be opened: {reason}; {mend}")


def unwritable(error: BaseException | None) -> bool:
    """Whether the store may be there but takes nothing: its disk is full, or it is read-only, as a standby is.

    Where its disk is full SQLite ends the transaction itself, so what is raised in the end may be that a savepoint is
    gone; hence the errors before are looked at too.
    """
    while error is not None:
        found = getattr(error, "orig", None)
        name, state = getattr(found, "sqlite_errorname", ""), getattr(found, "sqlstate", None)
        if name.startswith(_UNWRITABLE) or state in _UNWRITABLE_STATES:
            return True
        error = error.__context__
    return False


def _reason(message: str) -> str:
    """The last thing that the server, or the library that looked for it, said; without hints in further lines."""
    line = next(iter(message.strip().splitlines()), "it said nothing")
    return line.rpartition("FATAL:")[2].rpartition("failed: ")[2].strip().rstrip(".")
