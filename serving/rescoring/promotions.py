"""Announcing promotions: each one is an event once, after all open leads were queued for the new model."""

from collections.abc import Iterable

from serving.champion import bundles
from serving.champion.bundles import CHAMPION, AliasChange
from serving.rescoring.rescoring import queue_open_leads
from serving.scoring.scoring import Scoring
from serving.store import outbox
from serving.store.database import reading


def announce_promotions(scoring: Scoring) -> bool:
    """Announces the promotions that are not announced yet; returns whether there were any."""
    engine = scoring.store.engine
    with reading(engine) as connection:
        new = bundles.unannounced(connection)
    if not new:
        return False
    if any(change.alias == CHAMPION for change in new.values()):
        queue_open_leads(scoring)
    with engine.begin() as connection:
        claimed = [new[number] for number in bundles.announce(connection, new)]
        outbox.add(connection, _events(scoring, claimed))
    return True


def _events(scoring: Scoring, changes: Iterable[AliasChange]) -> list[outbox.Event]:
    return [
        outbox.event(
            "model.promoted",
            None,
            {"name": change.name, "version": change.version, "sha256": change.sha256},
            at=change.at,
            tokens=scoring.store.tokens,
        )
        for change in changes
        if change.alias == CHAMPION
    ]
