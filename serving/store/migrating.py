"""The upgrade of a store's tables to the revision that this software works with; the revisions are in `migrations`.

Alembic is imported only for an upgrade, because the import takes time.
"""

from pathlib import Path
from threading import Lock

from sqlalchemy import Column as SqlColumn
from sqlalchemy import Connection, MetaData, Table, Text, inspect, select

from serving.store.errors import UnusableStore

REVISION = "0025"
"""The revision of the tables that this software works with: the newest of the migrations."""
VERSION_TABLE = "eql_revision"
"""The table with a store's revision. Alembic's usual name is taken where MLflow shares the database."""
SCRIPTS = Path(__file__).parent / "migrations"

_BEFORE = "schema_version"
_versions = Table(VERSION_TABLE, MetaData(), SqlColumn("version_num", Text))
# Alembic keeps the running migration in module variables, so one thread at a time may run one.
_ALEMBIC_LOCK = Lock()


def revision(connection: Connection) -> str | None:
    """The revision of a store's tables; None where the store has no tables yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(select(_versions.c.version_num)).scalar_one_or_none()
    return found


def upgrade(connection: Connection, scripts: Path = SCRIPTS) -> None:
    """Runs the missing revisions inside the caller's transaction, so that all of them take effect or none does.

    Args:
        connection: the store's, in a write transaction, while no other migration runs.
        scripts: the folder of the migrations.

    Raises:
        UnusableStore: another version of this software wrote the store, and this one cannot upgrade it.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    with _ALEMBIC_LOCK:
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        _check(connection, known)
        command.upgrade(config, "head")
    _check_references(connection)


def _check(connection: Connection, known: set[str]) -> None:
    found = revision(connection)
    if found is not None and found not in known:
        raise UnusableStore(f"the store has revision {found}, this software knows {max(known)} at most: upgrade eql")
    if found is None and inspect(connection).has_table(_BEFORE):
        raise UnusableStore(
            "the store was written by a version of eql before revisions were kept, which cannot be upgraded: "
            "import the records again into another EQL_HOME"
        )


def _check_references(connection: Connection) -> None:
    # SQLite rebuilds a table to change it, and foreign keys are off meanwhile.
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise UnusableStore("the upgrade would break references between rows: nothing was changed; report this error")
