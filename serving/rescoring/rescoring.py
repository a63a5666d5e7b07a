"""Scoring leads anew: those that a fact, a promotion or a night made due."""

import logging
import traceback
from collections.abc import Iterable
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from features.value_types import SECOND
from serving.champion import bundles
from serving.champion.bundles import CHAMPION, Appointment
from serving.champion.watcher import CHECK_EVERY
from serving.decisions import rescore_queue as due
from serving.records import versions as records
from serving.scoring.decide import rescore
from serving.service import Service
from serving.store import outbox
from serving.store.database import reading

_LOG = logging.getLogger(__name__)
CHUNK = 500
"""Leads that are claimed and scored at once."""
CLAIM = 300 * SECOND
"""How long a worker may take to score them, before another may."""
PUT_OFF = 3600 * SECOND
"""Until a lead that could not be scored is tried again."""
FOLLOWS_WITHIN = 10 * CHECK_EVERY
"""How long after a promotion the scorer is waited for; it looks for one every `CHECK_EVERY`."""
_MARKED_AT_ONCE = 5_000


def rescore_due(service: Service) -> int:
    """Scores some of the leads that are due and that nobody else is at; returns how many were, 0 where none are left.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the store did not answer.
    """
    now = service.clock()
    with service.engine.begin() as connection:
        claimed = due.claim(connection, CHUNK, now=now, until=now + CLAIM)
    if not claimed:
        return 0
    if _outdated(service):
        with service.engine.begin() as connection:
            due.mark(connection, claimed, now)
        return 0
    failed = _scored(service, claimed)
    with service.engine.begin() as connection:
        due.strike_off(connection, sorted({*claimed} - {*failed}), now + CLAIM)
        due.put_off(connection, failed, now + CLAIM, service.clock() + PUT_OFF)
    return len(claimed)


def _outdated(service: Service) -> bool:
    """Whether the scorer is about to follow a promotion of a moment ago: scores of the model before help nobody.

    One that has not followed by then will not, because what was promoted cannot be served.
    """
    served = service.champion.scorer().served
    with reading(service.engine) as connection:
        appointed = bundles.current(connection)
    if appointed is None or (served is not None and served.bundle.sha256 == appointed.sha256):
        return False
    return service.clock() < appointed.at + FOLLOWS_WITHIN


def _scored(service: Service, lead_ids: list[str]) -> list[str]:
    """Scores these leads, and returns those that could not be: one that fails must not keep the others waiting."""
    try:
        list(rescore(service, lead_ids))
    except SQLAlchemyError:
        raise
    except Exception as error:
        if len(lead_ids) == 1:
            # Not its text, which may quote the lead's facts.
            trace = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("a lead cannot be scored: %s\n%s", type(error).__name__, trace)
            return lead_ids
        return [failed for lead_id in lead_ids for failed in _scored(service, [lead_id])]
    return []


def mark_open_leads(service: Service) -> int:
    """Makes all open leads due; returns how many."""
    now = service.clock()
    with reading(service.engine) as connection:
        remaining = iter(found := records.open_leads(connection, now))
    while chunk := list(islice(remaining, _MARKED_AT_ONCE)):
        with service.engine.begin() as connection:
            due.mark(connection, chunk, now)
    return len(found)


def announce_promotions(service: Service) -> bool:
    """Tells of each promotion once, after making all open leads due; whether there was one."""
    with reading(service.engine) as connection:
        new = bundles.unannounced(connection)
    if not new:
        return False
    if any(appointment.alias == CHAMPION for appointment in new.values()):
        mark_open_leads(service)
    with service.engine.begin() as connection:
        told = [new[number] for number in bundles.announce(connection, new)]
        outbox.add(connection, _events(service, told))
    return True


def _events(service: Service, told: Iterable[Appointment]) -> list[outbox.Event]:
    return [
        outbox.event(
            "model.promoted",
            None,
            {"name": each.name, "version": each.version, "sha256": each.sha256},
            at=each.at,
            tokens=service.tokens,
        )
        for each in told
        if each.alias == CHAMPION
    ]
