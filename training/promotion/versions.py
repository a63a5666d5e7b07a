"""What the registry says of its versions: each version, and each change of an alias.

`eql models` prints both. The import of MLflow takes seconds, so a registry in a SQLite file is read here by SQL; every
other registry, and everything that changes one, goes through `training.promotion.registry`.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training import MODEL_NAME

Alias = Literal["champion", "challenger"]
CHANGE_TAG = "eql.alias."
"""Each change is a tag of its own: one tag for all changes would exceed the length that MLflow allows."""

_SQLITE = "sqlite:///"
_PLACES = (
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
    ("experiments", "artifact_location"),
)
"""The columns of MLflow's tables that hold places of artifacts."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version.

    Attributes:
        version: its number, as text.
        run_id: the MLflow run that trained it.
        created_at: the moment of registration, milliseconds since the epoch.
        aliases: champion, challenger or none.
        tags: rung, skill, log loss and the like.
    """

    version: str
    run_id: str
    created_at: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class AliasChange:
    """One change of an alias.

    Attributes:
        alias: the alias.
        previous: the version that it named before; None for the first change.
        version: the version that it names since.
        actor: the person who made the change.
        reason: the reason, in that person's words.
        at: the moment (RFC 3339).
        decision: the promotion decision in words; empty where nothing was decided.
    """

    alias: Alias
    previous: str | None
    version: str
    actor: str
    reason: str
    at: str
    decision: str = ""


@dataclass(frozen=True)
class Listing:
    """The versions of the registered model, newest first, and the changes of its aliases, oldest first."""

    versions: Sequence[Version]
    history: Sequence[AliasChange]


def changes(tags: Mapping[str, str]) -> list[AliasChange]:
    """The changes of aliases that the tags of a registered model hold, oldest first."""
    return [AliasChange(**json.loads(tags[name])) for name in sorted(tags) if name.startswith(CHANGE_TAG)]


def read_sqlite(tracking_uri: str) -> Listing | None:
    """What the registry in a SQLite file says; None where the registry is elsewhere, or its tables are other ones.

    The tables are those of MLflow's model registry store (`mlflow.store.model_registry.dbmodels`).
    """
    if not tracking_uri.startswith(_SQLITE):
        return None
    file = Path(tracking_uri.removeprefix(_SQLITE))
    if not file.exists():
        return Listing((), ())
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _listing(connection)
    except sqlite3.OperationalError:
        return None


def relocate(tracking_uri: str, artifacts: Path) -> None:
    """Makes the artifacts of a registry in a SQLite file follow the file, where a home was copied or moved.

    MLflow stores absolute places. Without this, a copy of a home trains into the original.

    Args:
        tracking_uri: of the registry; one that is no SQLite file, or does not exist yet, is left as it is.
        artifacts: the folder that the artifacts are in now.
    """
    file, now = Path(tracking_uri.removeprefix(_SQLITE)), artifacts.absolute().as_uri()
    if not tracking_uri.startswith(_SQLITE) or not file.exists():
        return
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        named = "SELECT artifact_location FROM experiments WHERE name = ? AND artifact_location LIKE 'file:%'"
        before = connection.execute(named, (MODEL_NAME,)).fetchone()
        if before is None or before[0] == now:
            return
        connection.execute("BEGIN IMMEDIATE")
        for table, column in _PLACES:
            moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
            connection.execute(moved, (now, len(before[0]) + 1, len(before[0]), before[0]))
        connection.execute("COMMIT")


def _listing(connection: sqlite3.Connection) -> Listing:
    aliases: dict[int, list[str]] = {}
    for version, alias in connection.execute(_ALIASES, (MODEL_NAME,)):
        aliases.setdefault(version, []).append(alias)
    tags: dict[int, dict[str, str]] = {}
    for version, key, value in connection.execute(_VERSION_TAGS, (MODEL_NAME,)):
        tags.setdefault(version, {})[key] = value
    versions = [
        Version(
            version=str(version),
            run_id=str(run_id),
            created_at=created_at,
            aliases=tuple(sorted(aliases.get(version, ()))),
            tags=tags.get(version, {}),
        )
        for version, run_id, created_at in connection.execute(_VERSIONS, (MODEL_NAME,))
    ]
    return Listing(versions, changes(dict(connection.execute(_MODEL_TAGS, (MODEL_NAME,)))))


_VERSIONS = """
SELECT version, run_id, creation_time FROM model_versions
WHERE name = ? AND current_stage <> 'Deleted_Internal' ORDER BY version DESC
"""
_ALIASES = "SELECT version, alias FROM registered_model_aliases WHERE name = ?"
_VERSION_TAGS = "SELECT version, key, value FROM model_version_tags WHERE name = ?"
_MODEL_TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ?"
