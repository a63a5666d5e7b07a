"""Schedules: work at set times. One of the workers does each run; a run is recorded, and retried where it failed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from features.value_types import DAY, SECOND
from serving.logs import log_error
from serving.store.database import reading
from serving.worker import runs

_LOG = logging.getLogger(__name__)
RETRY_AFTER = 300 * SECOND
"""Microseconds until a failed run is tried again."""


class Interrupted(Exception):
    """A run was given up because its worker stops; it is tried again, and is no error."""


@dataclass(frozen=True)
class Schedule:
    """Work that is done again and again.

    Attributes:
        name: the name of the work.
        following: the time of the next run after a moment; both microseconds.
        run: does the work, and describes the result without personal data; it raises `Interrupted` where the worker
            stops meanwhile. A second run must do no harm.
        timeout: microseconds that a run takes at most; a longer run counts as dead, and another may begin.
        recorded: whether the runs are kept.
    """

    name: str
    following: Callable[[int], int]
    run: Callable[[], str | None]
    timeout: int
    recorded: bool = True


def daily(hour: int) -> Callable[[int], int]:
    """Every day at a full hour, UTC, so that no day has it twice or not at all."""
    return lambda now: now - (now - hour * 3600 * SECOND) % DAY + DAY


def every(interval: int) -> Callable[[int], int]:
    """So many microseconds after the last time."""
    return lambda now: now + interval


def run_due(engine: Engine, schedule: Schedule, clock: Callable[[], int]) -> bool:
    """Runs a schedule that is due and that no other worker runs; returns whether it ran. A failure is recorded and
    logged.

    A new schedule is first due at its next time. Runs that were missed while no worker ran are made up for once.
    """
    now = clock()
    until = now + schedule.timeout
    with reading(engine) as connection:
        next_at = runs.planned(connection).get(schedule.name)
    if next_at is not None and next_at > now:
        return False
    with engine.begin() as connection:
        runs.offer(connection, schedule.name, schedule.following(now))
        claimed = runs.claim(connection, schedule.name, now=now, until=until)
        run_id = runs.begin(connection, schedule.name, now) if claimed and schedule.recorded else None
    if claimed:
        outcome, detail = _outcome(schedule)
        _end(engine, schedule, run_id, clock(), until, outcome, detail)
    return claimed


def _outcome(schedule: Schedule) -> tuple[str, str | None]:
    try:
        return runs.OK, schedule.run()
    except Interrupted:
        return runs.FAILED, "the worker stopped"
    except Exception as error:
        log_error(_LOG, schedule.name, error)
        return runs.FAILED, type(error).__name__


def _end(
    engine: Engine, schedule: Schedule, run_id: int | None, now: int, until: int, outcome: str, detail: str | None
) -> None:
    next_at = schedule.following(now)
    if outcome == runs.FAILED:
        next_at = min(next_at, now + RETRY_AFTER)
    with engine.begin() as connection:
        runs.release(connection, schedule.name, until=until, next_at=next_at)
        if run_id is not None:
            runs.end(connection, run_id, now, outcome, detail)
