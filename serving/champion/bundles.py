"""Published model bundles, and which of them is champion: an append-only history with actor and reason."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, false, func, insert, select, update

from models.bundle import check_size
from serving.champion.tables import bundle_files, bundles, champion
from serving.store.database import inserting

CHAMPION = "champion"
CHALLENGER = "challenger"
"""Scored with in shadow; it changes no answer."""


class UnknownBundle(LookupError):
    """An alias shall point to a bundle that was never published."""


@dataclass(frozen=True)
class Appointment:
    """That an alias pointed to a bundle from a moment on.

    Attributes:
        number: grows with every change of any alias.
        alias: `champion` or `challenger`.
        sha256: identifies the bundle.
        name: the bundle's model.
        version: its version in the registry.
        actor: who decided it.
        reason: why.
        at: when, microseconds.
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
    """Keeps a bundle, unless it is there already, and points `alias` to it. A copy that was changed is put right.

    Args:
        connection: the store's, in a write transaction.
        files: the content of each file by its path in the bundle.
        name: the model's name in the registry.
        version: its version there.
        sha256: identifies the bundle: the hash its manifest gives it.
        actor: who publishes.
        reason: why.
        at: the moment, microseconds.
        alias: the pointer to move.
    """
    row = {"sha256": sha256, "name": name, "version": version, "published_at": at}
    unless_there = inserting(connection, bundles).values(row).on_conflict_do_nothing().returning(bundles.c.sha256)
    new = connection.execute(unless_there).first() is not None
    # Of two that put it right at once, the second one waits here.
    connection.execute(select(bundles.c.sha256).where(bundles.c.sha256 == sha256).with_for_update())
    if new or _content(connection, sha256) != dict(files):
        connection.execute(delete(bundle_files).where(bundle_files.c.sha256 == sha256))
        content = [{"sha256": sha256, "path": path, "content": data} for path, data in files.items()]
        connection.execute(insert(bundle_files), content)
    point(connection, sha256, actor=actor, reason=reason, at=at, alias=alias)


def point(connection: Connection, sha256: str, *, actor: str, reason: str, at: int, alias: str = CHAMPION) -> None:
    """Points `alias` to a published bundle, for example back to an earlier one.

    Of two at the same moment the one that came later to the database stands.

    Raises:
        UnknownBundle: no such bundle was published.
    """
    if connection.execute(select(bundles.c.sha256).where(bundles.c.sha256 == sha256)).first() is None:
        raise UnknownBundle(f"no bundle {sha256} was published: publish it before pointing {alias} to it")
    row = {"alias": alias, "sha256": sha256, "actor": actor, "reason": reason, "at": at}
    connection.execute(insert(champion), row)


def vacate(connection: Connection, alias: str, *, actor: str, reason: str, at: int) -> None:
    """Makes `alias` point to nothing from now on."""
    connection.execute(insert(champion), {"alias": alias, "sha256": None, "actor": actor, "reason": reason, "at": at})


def current(connection: Connection, alias: str = CHAMPION) -> Appointment | None:
    """What `alias` points to; None before anything was published, and where it points to nothing."""
    newest = select(func.max(champion.c.id)).where(champion.c.alias == alias).scalar_subquery()
    found = connection.execute(_APPOINTMENTS.where(champion.c.id == newest)).mappings().first()
    return None if found is None else Appointment(**found)


def history(connection: Connection, alias: str = CHAMPION, limit: int = 100) -> list[Appointment]:
    """What `alias` pointed to, newest first, without the times that it pointed to nothing."""
    newest = _APPOINTMENTS.where(champion.c.alias == alias).order_by(champion.c.id.desc()).limit(limit)
    return [Appointment(**row) for row in connection.execute(newest).mappings()]


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
    """The version under which a bundle was first published, which every pointer to it names.

    Raises:
        UnknownBundle: no such bundle was published.
    """
    found = connection.execute(select(bundles.c.version).where(bundles.c.sha256 == sha256)).scalar_one_or_none()
    if found is None:
        raise UnknownBundle(f"no bundle {sha256} was published")
    return str(found)


def unannounced(connection: Connection) -> dict[int, Appointment]:
    """The appointments nobody told of yet, by their numbers, in their order."""
    new = _APPOINTMENTS.where(champion.c.announced == false()).order_by(champion.c.id)
    found = [Appointment(**row) for row in connection.execute(new).mappings()]
    return {one.number: one for one in found}


def announce(connection: Connection, numbers: Collection[int]) -> list[int]:
    """Takes it on oneself to tell of these appointments; returns, in order, those that nobody else did."""
    free = (champion.c.id.in_(numbers), champion.c.announced == false())
    return sorted(
        connection.execute(update(champion).where(*free).values(announced=True).returning(champion.c.id)).scalars()
    )


_APPOINTMENTS = select(
    champion.c.id.label("number"),
    champion.c.alias,
    champion.c.sha256,
    bundles.c.name,
    bundles.c.version,
    champion.c.actor,
    champion.c.reason,
    champion.c.at,
).join_from(champion, bundles)
