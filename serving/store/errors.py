"""The errors of a store that cannot be opened or written. A message names the store, the reason and the fix."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

_FIXES: Mapping[str, str] = {
    "file is not a database": "name another file in EQL_DATABASE_URL",
    "malformed": "restore a backup of the store; `eql doctor` checks the file",
    "disk is full": "make room on its disk; nothing of this command was stored",
    "readonly database": "let this user write that file and its folder",
    "database is locked": "wait until the other process is done, then try again",
    "lock timeout": "wait until the other process is done, then try again",
    "database system": "wait until its server is up, then try again",
    "too many": "close other connections, or raise the server's max_connections",
    "connection slots": "close other connections, or raise the server's max_connections",
    "permission denied for database": "let its user connect: GRANT CONNECT ON that DATABASE TO that user",
    "password": "correct user and password in EQL_DATABASE_URL",
    "permission denied": "let its user create tables there: GRANT CREATE ON SCHEMA public TO that user",
    'role "': "create the role on the server, or name another user in EQL_DATABASE_URL",
    'database "': "create it on the server, or name another in EQL_DATABASE_URL",
    "connection option": "take the option out of EQL_DATABASE_URL",
}
"""The fix by words in the database's own message; the first match counts."""
_NO_FILE = "unable to open database file"
_NO_FOLDER = "make its folder, or name another in EQL_DATABASE_URL"
_LOCKED_FOLDER = "let this user write its folder, or name another: in EQL_HOME, or in EQL_DATABASE_URL if that is set"
_UNREACHED = "check that its server runs and can be reached, or correct EQL_DATABASE_URL"
_OTHERWISE = "nothing was changed"
_UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY")
_UNWRITABLE_STATES = frozenset({"53100", "25006"})
"""PostgreSQL's disk_full and read_only_sql_transaction."""


class UnusableStore(ValueError):
    """The database at the URL cannot serve as the store; the message names the reason and the fix."""


def safe_url(url: URL) -> str:
    """A store's URL without its password and with only those options that say where the server is."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    server = {name: value for name, value in url.query.items() if name in ("host", "port")}
    return url.set(drivername="postgresql", query=server).render_as_string(hide_password=True)


def unopened(url: URL, error: DBAPIError) -> UnusableStore:
    """The error of a store at `url` that could not be opened, with the reason from the driver's error."""
    reason = _reason(str(error.orig))
    # A refusal of the PostgreSQL server has a state; an error without a state means that no server answered.
    unreached = url.get_backend_name() == "postgresql" and getattr(error.orig, "sqlstate", None) is None
    otherwise = _UNREACHED if unreached else _OTHERWISE
    fix = next((fix for words, fix in _FIXES.items() if words in reason.lower()), otherwise)
    if reason == _NO_FILE:
        fix = _LOCKED_FOLDER if Path(str(url.database)).parent.is_dir() else _NO_FOLDER
    return UnusableStore(f"the store {safe_url(url)} cannot be opened: {reason}; {fix}")


def failed(error: Exception) -> UnusableStore | None:
    """The error of a store that failed while it was in use, such as for a damaged file; None of another error."""
    driver = getattr(error, "orig", error)
    if not isinstance(error, DBAPIError) and not isinstance(error, sqlite3.Error):
        return None
    reason = _reason(str(driver))
    fix = next((fix for words, fix in _FIXES.items() if words in reason.lower()), _OTHERWISE)
    return UnusableStore(f"the store failed: {reason}; {fix}")


def unwritable(error: BaseException | None) -> bool:
    """Whether an error means that the store accepts no writes: its disk is full, or it is read-only like a standby.

    With a full disk SQLite ends the transaction itself, and the final error may be about a missing savepoint. So the
    errors before it are checked, too.
    """
    while error is not None:
        driver = getattr(error, "orig", None)
        name, state = getattr(driver, "sqlite_errorname", ""), getattr(driver, "sqlstate", None)
        if name.startswith(_UNWRITABLE) or state in _UNWRITABLE_STATES:
            return True
        error = error.__context__
    return False


def _reason(message: str) -> str:
    """The reason in the first line of a server's or a driver's message, without the hints in further lines."""
    line = next(iter(message.strip().splitlines()), "no reason was given")
    return line.rpartition("FATAL:")[2].rpartition("failed: ")[2].strip().rstrip(".")
