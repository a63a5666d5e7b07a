"""The tasks of the service's worker, and its schedules."""

from collections.abc import Callable, Iterable
from functools import partial

import anyio
from sqlalchemy import Connection

from features.value_types import SECOND
from serving.decisions import seals
from serving.privacy.retention import Retention, purge
from serving.records.partner_history_job import derive_partner_history
from serving.rescoring.promotions import announce_promotions
from serving.rescoring.rescoring import queue_open_leads, rescore_due
from serving.scoring.scoring import Scoring
from serving.store.database import reading
from serving.store.store import Store
from serving.webhooks import deliveries
from serving.webhooks.addresses import AllowedHosts
from serving.webhooks.connections import PublicOnly, Resolve, pool, resolve
from serving.webhooks.delivery import Delivery
from serving.webhooks.sending import Sender
from serving.worker.runs import planned
from serving.worker.schedules import Schedule, daily, every, run_due
from serving.worker.worker import Task

HEARTBEAT = 60 * SECOND
"""Microseconds between two signs of life of a worker."""
RETENTION_HOUR = 0
HISTORY_HOUR = 1
NIGHTLY_HOUR = 2
RETRAINING_HOUR = 3
_HEARTBEAT = "beat"
_EVENTS_BATCH = 500
_MINUTES = 60 * SECOND


def tasks(
    scoring: Scoring,
    plan: Iterable[Schedule],
    stopping: Callable[[], bool],
    hosts: AllowedHosts | None = None,
    resolving: Resolve = resolve,
) -> list[Task]:
    """The tasks of a worker, in the order in which one makes work for the next.

    Args:
        scoring: what decides, with the store.
        plan: the schedules.
        stopping: whether the worker is stopping.
        hosts: the hosts of the operator's own network that webhooks may go to; by default none.
        resolving: resolves the hosts of webhooks.
    """
    store = scoring.store
    return [
        Task("promotions", partial(announce_promotions, scoring)),
        *(Task(schedule.name, partial(_run_schedule, store, schedule)) for schedule in plan),
        Task("rescoring", lambda: rescore_due(scoring) > 0),
        Task("seals", partial(_seal, store)),
        Task("fan-out", partial(_fan_out, store)),
        Task("delivery", partial(_deliver, store, stopping, hosts or AllowedHosts(), resolving)),
    ]


def schedules(scoring: Scoring, retention: Retention, retrain: Callable[[], str] | None = None) -> list[Schedule]:
    """The scheduled tasks: the heartbeat; nightly retention, partner history, rescoring; and, if given, retraining."""
    store = scoring.store

    def derive() -> str:
        with store.engine.begin() as connection:
            return f"{derive_partner_history(connection):,} days of partners and tiers"

    def queue() -> str:
        return f"{queue_open_leads(scoring):,} open leads due"

    def retain() -> str:
        done = purge(store.engine, retention, store.clock())
        return ", ".join(f"{rows:,} {name}" for name, rows in done.items())

    nightly = [
        Schedule("retention", daily(RETENTION_HOUR), retain, timeout=120 * _MINUTES),
        Schedule("partner history", daily(HISTORY_HOUR), derive, timeout=30 * _MINUTES),
        Schedule("nightly rescoring", daily(NIGHTLY_HOUR), queue, timeout=30 * _MINUTES),
    ]
    retraining = [Schedule("retraining", daily(RETRAINING_HOUR), retrain, timeout=720 * _MINUTES)] if retrain else []
    heartbeat = Schedule(_HEARTBEAT, every(HEARTBEAT), lambda: None, timeout=HEARTBEAT, recorded=False)
    return [heartbeat, *nightly, *retraining]


def last_beat(connection: Connection) -> int | None:
    """When a worker last gave a sign of life, microseconds; None before the first one."""
    next_at = planned(connection).get(_HEARTBEAT)
    return None if next_at is None else next_at - HEARTBEAT


def _run_schedule(store: Store, schedule: Schedule) -> bool:
    run_due(store.engine, schedule, store.clock)
    return False


def _seal(store: Store) -> bool:
    with reading(store.engine) as connection:
        if not seals.unsealed(connection):
            return False
    with store.engine.begin() as connection:
        return seals.seal(connection, store.clock()) is not None


def _fan_out(store: Store) -> bool:
    with store.engine.begin() as connection:
        return deliveries.fan_out(connection, _EVENTS_BATCH) > 0


def _deliver(store: Store, stopping: Callable[[], bool], hosts: AllowedHosts, resolving: Resolve) -> bool:
    with reading(store.engine) as connection:
        if not deliveries.receivers_due(connection, store.clock()):
            return False

    async def deliver() -> None:
        async with pool(PublicOnly(resolving, hosts.names)) as connections:
            sender = Sender(connections, store.clock, hosts.names)
            await Delivery(store, sender, stopping).run()

    anyio.run(deliver)
    return False
