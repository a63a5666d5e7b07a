"""Schedules and the log of their runs: one worker claims a due schedule, however many workers run.

A claim expires, so another worker repeats the work of a worker that died.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, true, update

from serving.store.database import inserting
from serving.worker.tables import runs
from serving.worker.tables import schedules as table

OK, FAILED = "ok", "failed"
_UNCLAIMED = 0


@dataclass(frozen=True)
class Run:
    """A run of scheduled work; times are microseconds.

    Attributes:
        id: names it.
        task: what ran.
        started_at: when it started.
        finished_at: when it ended; None while it runs, and for good where its worker died.
        outcome: `ok` or `failed`; None without an end.
        detail: what came of it, or the kind of error; no personal data.
    """

    id: int
    task: str
    started_at: int
    finished_at: int | None
    outcome: str | None
    detail: str | None


def offer(connection: Connection, name: str, next_at: int) -> None:
    """Adds a schedule, if it does not exist yet."""
    row = {"name": name, "next_at": next_at, "claimed_until": _UNCLAIMED}
    connection.execute(inserting(connection, table).values(row).on_conflict_do_nothing())


def planned(connection: Connection) -> dict[str, int]:
    """The time at which each schedule is next due, by name."""
    return {row.name: row.next_at for row in connection.execute(select(table.c.name, table.c.next_at))}


def claim(connection: Connection, name: str, *, now: int, until: int) -> bool:
    """Takes a schedule that is due and free, until `until`; returns whether it did."""
    free = (table.c.name == name, table.c.next_at <= now, table.c.claimed_until <= now)
    return connection.execute(update(table).where(*free).values(claimed_until=until)).rowcount == 1


def release(connection: Connection, name: str, *, until: int, next_at: int) -> None:
    """Releases the claim `until` of a schedule, which is next due at `next_at`; does nothing if the claim was lost."""
    held = (table.c.name == name, table.c.claimed_until == until)
    connection.execute(update(table).where(*held).values(claimed_until=_UNCLAIMED, next_at=next_at))


def begin(connection: Connection, task: str, at: int) -> int:
    """Logs the start of a run; returns its id."""
    started = insert(runs).values(task=task, started_at=at).returning(runs.c.id)
    run_id: int = connection.execute(started).scalar_one()
    return run_id


def end(connection: Connection, run_id: int, at: int, outcome: str, detail: str | None) -> None:
    """Logs the end of a run."""
    values = {"finished_at": at, "outcome": outcome, "detail": detail}
    connection.execute(update(runs).where(runs.c.id == run_id).values(values))


def listed(connection: Connection, before: int | None, limit: int) -> list[Run]:
    """The runs with ids below `before`, newest first."""
    below = true() if before is None else runs.c.id < before
    found = select(runs).where(below).order_by(runs.c.id.desc()).limit(limit)
    return [Run(**row) for row in connection.execute(found).mappings()]
