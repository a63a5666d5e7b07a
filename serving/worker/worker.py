"""The worker: what the service owes the world and itself, done beside it. Any number of them run side by side."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread

import anyio
from sqlalchemy import Connection

from features.value_types import SECOND
from serving.decisions import seals
from serving.privacy.retention import purge
from serving.records.partner_history_job import derive_histories
from serving.rescoring.rescoring import announce_promotions, mark_open_leads, rescore_due
from serving.service import Service
from serving.store.database import reading
from serving.webhooks import deliveries
from serving.webhooks.connections import PublicOnly, Resolve, pool, resolve
from serving.webhooks.delivery import Delivery
from serving.webhooks.sending import Sender
from serving.worker.runs import planned
from serving.worker.schedules import Schedule, daily, every, run_due

_LOG = logging.getLogger(__name__)
IDLE = 1.0
"""Seconds between two looks where nothing was due."""
MOST_PATIENT = 300.0
"""Seconds between two tries of a step that keeps failing, at most."""
BEAT = 60 * SECOND
"""How often a worker shows that it lives."""
RETENTION_HOUR = 0
HISTORY_HOUR = 1
NIGHTLY_HOUR = 2
RETRAINING_HOUR = 3
_BEAT = "beat"
_EVENTS_AT_ONCE = 500
_MINUTES = 60 * SECOND


@dataclass(frozen=True)
class Step:
    """Something that is done whenever there is some of it.

    Attributes:
        name: of the step.
        run: does a bounded part of what is due, in transactions of its own; whether more may be due at once.
    """

    name: str
    run: Callable[[], bool]


@dataclass(frozen=True)
class Worker:
    """Runs steps, each in a thread of its own, so that none waits for another.

    Attributes:
        steps: what to run.
        stopping: set to end; what is at hand is finished first.
        wait: sleeps so many seconds, or until `stopping` is set.
    """

    steps: Sequence[Step]
    stopping: Event
    wait: Callable[[float], object]

    def once(self) -> list[str]:
        """Does all that is due now; returns the names of the steps that failed."""
        return [step.name for step in self.steps if not self._exhaust(step)]

    def _exhaust(self, step: Step) -> bool:
        while not self.stopping.is_set():
            more = _attempted(step)
            if not more:
                return more is not None
        return True

    def run(self) -> None:
        """Runs until `stopping` is set."""
        threads = [Thread(target=self.repeat, args=(step,), name=step.name) for step in self.steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def repeat(self, step: Step) -> None:
        """Runs one step until `stopping` is set; after failures ever less often."""
        failures = 0
        while not self.stopping.is_set():
            more = _attempted(step)
            failures = failures + 1 if more is None else 0
            if not more:
                self.wait(min(IDLE * 2**failures, MOST_PATIENT))


def _attempted(step: Step) -> bool | None:
    """Whether more may be due; None where the step failed, which is logged without the error's text."""
    try:
        return step.run()
    except Exception as error:
        _LOG.error("%s: %s\n%s", step.name, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return None


def steps(
    service: Service, plan: Iterable[Schedule], stopping: Callable[[], bool], resolving: Resolve = resolve
) -> list[Step]:
    """The steps of a service's worker, in the order in which one makes work for the next."""
    return [
        Step("promotions", partial(announce_promotions, service)),
        *(Step(schedule.name, partial(_scheduled, service, schedule)) for schedule in plan),
        Step("rescoring", lambda: rescore_due(service) > 0),
        Step("seals", partial(_seal, service)),
        Step("fan-out", partial(_fan_out, service)),
        Step("delivery", partial(_deliver, service, stopping, resolving)),
    ]


def schedules(service: Service, retrain: Callable[[], str] | None = None) -> list[Schedule]:
    """What is done at set times: a sign of life; nightly what is over, histories, scores; and, if given, retraining."""

    def derive() -> str:
        with service.engine.begin() as connection:
            return f"{derive_histories(connection):,} days of partners and tiers"

    def mark() -> str:
        return f"{mark_open_leads(service):,} open leads due"

    def retain() -> str:
        done = purge(service.engine, service.retention, service.clock())
        return ", ".join(f"{rows:,} {what}" for what, rows in done.items())

    nightly = [
        Schedule("retention", daily(RETENTION_HOUR), retain, lasts=120 * _MINUTES),
        Schedule("partner history", daily(HISTORY_HOUR), derive, lasts=30 * _MINUTES),
        Schedule("nightly rescoring", daily(NIGHTLY_HOUR), mark, lasts=30 * _MINUTES),
    ]
    retraining = [Schedule("retraining", daily(RETRAINING_HOUR), retrain, lasts=720 * _MINUTES)] if retrain else []
    return [Schedule(_BEAT, every(BEAT), lambda: None, lasts=BEAT, recorded=False), *nightly, *retraining]


def beaten_at(connection: Connection) -> int | None:
    """When a worker last showed that it lives, microseconds; None before any did."""
    next_at = planned(connection).get(_BEAT)
    return None if next_at is None else next_at - BEAT


def _scheduled(service: Service, schedule: Schedule) -> bool:
    run_due(service.engine, schedule, service.clock)
    return False


def _seal(service: Service) -> bool:
    with reading(service.engine) as connection:
        if not seals.unsealed(connection):
            return False
    with service.engine.begin() as connection:
        return seals.seal(connection, service.clock()) is not None


def _fan_out(service: Service) -> bool:
    with service.engine.begin() as connection:
        return deliveries.fan_out(connection, _EVENTS_AT_ONCE) > 0


def _deliver(service: Service, stopping: Callable[[], bool], resolving: Resolve) -> bool:
    with reading(service.engine) as connection:
        if not deliveries.receivers_due(connection, service.clock()):
            return False

    async def deliver() -> None:
        async with pool(PublicOnly(resolving, service.webhook_hosts)) as connections:
            sender = Sender(connections, service.clock, service.webhook_hosts)
            await Delivery(service.engine, sender, service.clock, service.tokens, stopping).run()

    anyio.run(deliver)
    return False
