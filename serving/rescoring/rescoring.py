"""Rescoring: open leads are scored again after a new fact, a promotion or a night."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from features.batched import batched
from features.value_types import SECOND
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY
from serving.decisions import current_scores, rescore_queue
from serving.logs import log_error
from serving.records import versions
from serving.scoring.scoring import Scoring
from serving.scoring.stored_leads import rescore
from serving.store.database import reading

_LOG = logging.getLogger(__name__)
BATCH = 500
"""Leads that are claimed and scored at once."""
CLAIM = 300 * SECOND
"""Microseconds that a worker may take to score them, before another worker may claim them."""
RETRY_AFTER = 3600 * SECOND
"""Microseconds until a lead that could not be scored is tried again."""
PROMOTION_GRACE = 10 * CHECK_EVERY
"""Microseconds that rescoring waits for the watcher to load a promoted model; it looks every `CHECK_EVERY`."""
_QUEUE_BATCH = 5_000


def rescore_due(scoring: Scoring) -> int:
    """Scores some of the queued leads that no worker holds; returns how many, 0 where none are left.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the store did not answer.
    """
    engine, clock = scoring.store.engine, scoring.store.clock
    now = clock()
    with engine.begin() as connection:
        claimed = rescore_queue.claim(connection, BATCH, now=now, until=now + CLAIM)
    if not claimed:
        return 0
    if _awaits_promotion(scoring):
        with engine.begin() as connection:
            rescore_queue.enqueue(connection, claimed, now)
        return 0
    failed = _rescore(scoring, claimed)
    with engine.begin() as connection:
        rescore_queue.complete(connection, sorted({*claimed} - {*failed}), now + CLAIM)
        rescore_queue.postpone(connection, failed, now + CLAIM, clock() + RETRY_AFTER)
    return len(claimed)


def _awaits_promotion(scoring: Scoring) -> bool:
    """Whether the watcher is about to load a model that was promoted a moment ago.

    Scores of the model before would be outdated at once. After the grace period the promoted model counts as one that
    cannot be served.
    """
    served = scoring.champion.scorer().served
    with reading(scoring.store.engine) as connection:
        change = bundles.current(connection)
    if change is None or (served is not None and served.bundle.sha256 == change.sha256):
        return False
    return scoring.store.clock() < change.at + PROMOTION_GRACE


def _rescore(scoring: Scoring, lead_ids: list[str]) -> list[str]:
    """Scores these leads and returns those that failed; a failing lead does not hold up the others."""
    try:
        list(rescore(scoring, lead_ids))
    except SQLAlchemyError:
        raise
    except Exception as error:
        if len(lead_ids) == 1:
            log_error(_LOG, "a lead cannot be scored", error)
            return lead_ids
        return [failed for lead_id in lead_ids for failed in _rescore(scoring, [lead_id])]
    return []


def queue_open_leads(scoring: Scoring) -> int:
    """Queues all open leads for scoring; returns how many.

    Leads that the lists still show are queued too: a close that was recorded ahead of its date takes effect by time
    alone, and whoever scores the lead then finds it closed.
    """
    store = scoring.store
    now = store.clock()
    with reading(store.engine) as connection:
        lead_ids = sorted({*versions.open_leads(connection, now), *current_scores.open_ids(connection)})
    for batch in batched(lead_ids, _QUEUE_BATCH):
        with store.engine.begin() as connection:
            rescore_queue.enqueue(connection, batch, now)
    return len(lead_ids)
