"""Published model bundles and the model aliases: an append-only history of alias changes with actor and reason."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, false, func, insert, select, update

from models.bundle import check_size
from serving.champion.tables import bundle_files, bundles, model_aliases
from serving.store.database import inserting

CHAMPION = "champion"
CHALLENGER = "challenger"
"""Scored with in shadow; it changes no answer."""


class UnknownBundle(LookupError):
    """The store has no bundle of that hash."""


@dataclass(frozen=True, kw_only=True)
class AliasChange:
    """An alias names a bundle from a moment on.

    Attributes:
        number: grows with every change of any alias.
        alias: `champion` or `challenger`.
        sha256: identifies the bundle.
        name: the bundle's model.
        version: its version in the registry.
        actor: the person or process that changed the alias.
        reason: the reason for the change.
        at: the moment of the change, microseconds.
    """

    number: int
    alias: str
    sha256: str
    name: str
    version: str
    actor: str
    reason: str
    at: int


def publish(
    connection: Connection,
    files: Mapping[str, bytes],
    *,
    name: str,
    version: str,
    sha256: str,
    actor: str,
    reason: str,
    at: int,
    alias: str = CHAMPION,
) -> None:
    """Keeps a bundle and makes `alias` name it. A copy in the store that was altered is replaced.

    Args:
        connection: the store's, in a write transaction.
        files: the content of each file by its path in the bundle.
        name: the model's name in the registry.
        version: its version there.
        sha256: identifies the bundle: the hash its manifest gives it.
        actor: the person or process that publishes.
        reason: the reason for publishing.
        at: the moment, microseconds.
        alias: the alias to change.
    """
    row = {"sha256": sha256, "name": name, "version": version, "published_at": at}
    unless_there = inserting(connection, bundles).values(row).on_conflict_do_nothing().returning(bundles.c.sha256)
    new = connection.execute(unless_there).first() is not None
    # Of two transactions that replace the copy, the second one waits here.
    connection.execute(select(bundles.c.sha256).where(bundles.c.sha256 == sha256).with_for_update())
    if new or _content(connection, sha256) != dict(files):
        connection.execute(delete(bundle_files).where(bundle_files.c.sha256 == sha256))
        content = [{"sha256": sha256, "path": path, "content": data} for path, data in files.items()]
        connection.execute(insert(bundle_files), content)
    set_alias(connection, sha256, actor=actor, reason=reason, at=at, alias=alias)


def set_alias(connection: Connection, sha256: str, *, actor: str, reason: str, at: int, alias: str = CHAMPION) -> None:
    """Makes `alias` name a published bundle, for example an earlier one again.

    Of two concurrent changes the one that reached the database later holds.

    Raises:
        UnknownBundle: no such bundle was published.
    """
    if connection.execute(select(bundles.c.sha256).where(bundles.c.sha256 == sha256)).first() is None:
        raise UnknownBundle(f"no bundle {sha256} was published: publish it before {alias} names it")
    row = {"alias": alias, "sha256": sha256, "actor": actor, "reason": reason, "at": at}
    connection.execute(insert(model_aliases), row)


def clear_alias(connection: Connection, alias: str, *, actor: str, reason: str, at: int) -> None:
    """Makes `alias` name no bundle from now on."""
    connection.execute(
        insert(model_aliases), {"alias": alias, "sha256": None, "actor": actor, "reason": reason, "at": at}
    )


def current(connection: Connection, alias: str = CHAMPION) -> AliasChange | None:
    """The bundle that `alias` names; None where it names none."""
    newest = select(func.max(model_aliases.c.id)).where(model_aliases.c.alias == alias).scalar_subquery()
    found = connection.execute(_CHANGES.where(model_aliases.c.id == newest)).mappings().first()
    return None if found is None else AliasChange(**found)


def history(connection: Connection, alias: str = CHAMPION, limit: int = 100) -> list[AliasChange]:
    """The bundles that `alias` named, newest first."""
    newest = _CHANGES.where(model_aliases.c.alias == alias).order_by(model_aliases.c.id.desc()).limit(limit)
    return [AliasChange(**row) for row in connection.execute(newest).mappings()]


def files(connection: Connection, sha256: str) -> dict[str, bytes]:
    """The content of each file of a bundle by its path; verify it against its manifest before use.

    Raises:
        UnknownBundle: no such bundle was published.
        models.bundle.UntrustedBundle: its files are more or larger than a bundle's; they are not read.
    """
    sizes = select(func.length(bundle_files.c.content)).where(bundle_files.c.sha256 == sha256)
    found = connection.execute(sizes).scalars().all()
    if not found:
        raise UnknownBundle(f"no bundle {sha256} was published")
    check_size(found)
    return _content(connection, sha256)


def _content(connection: Connection, sha256: str) -> dict[str, bytes]:
    found = select(bundle_files.c.path, bundle_files.c.content).where(bundle_files.c.sha256 == sha256)
    return {path: bytes(data) for path, data in connection.execute(found.order_by(bundle_files.c.path))}


def version(connection: Connection, sha256: str) -> str:
    """The version under which a bundle was first published, which every alias change to it names.

    Raises:
        UnknownBundle: no such bundle was published.
    """
    found = connection.execute(select(bundles.c.version).where(bundles.c.sha256 == sha256)).scalar_one_or_none()
    if found is None:
        raise UnknownBundle(f"no bundle {sha256} was published")
    return str(found)


def unannounced(connection: Connection) -> dict[int, AliasChange]:
    """The alias changes that are not announced yet, by their numbers, in their order."""
    new = _CHANGES.where(model_aliases.c.announced == false()).order_by(model_aliases.c.id)
    found = [AliasChange(**row) for row in connection.execute(new).mappings()]
    return {change.number: change for change in found}


def announce(connection: Connection, numbers: Collection[int]) -> list[int]:
    """Claims these alias changes for announcing; returns, in order, those that no other worker claimed."""
    free = (model_aliases.c.id.in_(numbers), model_aliases.c.announced == false())
    return sorted(
        connection.execute(
            update(model_aliases).where(*free).values(announced=True).returning(model_aliases.c.id)
        ).scalars()
    )


_CHANGES = select(
    model_aliases.c.id.label("number"),
    model_aliases.c.alias,
    model_aliases.c.sha256,
    bundles.c.name,
    bundles.c.version,
    model_aliases.c.actor,
    model_aliases.c.reason,
    model_aliases.c.at,
).join_from(model_aliases, bundles)
