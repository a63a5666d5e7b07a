"""Work at set times: each run by one of the workers, recorded, and tried again where it failed."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from features.value_types import DAY, SECOND
from serving.store.database import reading
from serving.worker import runs as schedules

_LOG = logging.getLogger(__name__)
RETRY_AFTER = 300 * SECOND
"""Until a run that failed is tried again."""


@dataclass(frozen=True)
class Schedule:
    """Work that is done again and again.

    Attributes:
        name: of the work.
        following: when it is due after a moment; both microseconds.
        run: does it, and says what came of it in words without personal data. Doing it twice must do no harm.
        lasts: microseconds that it takes at most; a run that takes longer is thought dead, and another may begin.
        recorded: whether its runs are kept.
    """

    name: str
    following: Callable[[int], int]
    run: Callable[[], str | None]
    lasts: int
    recorded: bool = True


def daily(hour: int) -> Callable[[int], int]:
    """Every day at a full hour, UTC, so that no day has it twice or not at all."""
    return lambda now: now - (now - hour * 3600 * SECOND) % DAY + DAY


def every(interval: int) -> Callable[[int], int]:
    """So many microseconds after the last time."""
    return lambda now: now + interval


def run_due(engine: Engine, schedule: Schedule, clock: Callable[[], int]) -> bool:
    """Runs a schedule if it is due and nobody else runs it; whether that was so. A failure is recorded and logged.

    What is new is first due at its next time. What was missed while no worker ran is made up for once.
    """
    now = clock()
    until = now + schedule.lasts
    with reading(engine) as connection:
        next_at = schedules.planned(connection).get(schedule.name)
    if next_at is not None and next_at > now:
        return False
    with engine.begin() as connection:
        schedules.offer(connection, schedule.name, schedule.following(now))
        claimed = schedules.claim(connection, schedule.name, now=now, until=until)
        run_id = schedules.begin(connection, schedule.name, now) if claimed and schedule.recorded else None
    if claimed:
        outcome, detail = _outcome(schedule)
        _end(engine, schedule, run_id, clock(), until, outcome, detail)
    return claimed


def _outcome(schedule: Schedule) -> tuple[str, str | None]:
    try:
        return schedules.OK, schedule.run()
    except Exception as error:
        # Not its text, which may quote what it was about.
        _LOG.error("%s: %s\n%s", schedule.name, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return schedules.FAILED, type(error).__name__


def _end(
    engine: Engine, schedule: Schedule, run_id: int | None, now: int, until: int, outcome: str, detail: str | None
) -> None:
    next_at = schedule.following(now)
    if outcome == schedules.FAILED:
        next_at = min(next_at, now + RETRY_AFTER)
    with engine.begin() as connection:
        schedules.release(connection, schedule.name, until=until, next_at=next_at)
        if run_id is not None:
            schedules.end(connection, run_id, now, outcome, detail)
