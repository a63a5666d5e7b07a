"""The lists that sales works, with a share of their leads at random places, and the log of what sales saw of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from operations.exploration import OFF, Draw, Exploration, Exposure, arranged
from operations.work_list import View, views
from serving.decisions import stored_decisions as decisions
from serving.decisions.stored_decisions import CurrentScore
from serving.store.database import reading
from serving.work_list import exposures

_LOG = logging.getLogger(__name__)


def explored(view: View, partner_id: str | None, exploration: Exploration) -> bool:
    """Whether a view, of one partner's leads or of all, has random places: only where sales works it."""
    return exploration.share > OFF and partner_id is None and view in views("sales")


@dataclass(frozen=True)
class Page:
    """A page of a list; `exposures` says of each of its `scores` where the lead stands."""

    scores: Sequence[CurrentScore]
    exposures: Sequence[Exposure] = ()


def page(connection: Connection, view: View, exploration: Exploration, *, now: int, limit: int, offset: int) -> Page:
    """A page of a view as it is arranged on the UTC day of `now`; any two pages of a day fit together.

    Args:
        connection: the store's.
        view: which leads.
        exploration: how priorities are randomised.
        now: the moment, microseconds.
        limit: how many leads a page has.
        offset: how many leads come before this page.
    """
    ranked = decisions.ranked_ids(connection, qualifications=view.qualifications, pending=view.pending)
    by_score = {lead_id: place for place, lead_id in enumerate(ranked, start=1)}
    chosen = arranged(ranked, now, exploration)[offset : offset + limit]
    scores = decisions.of_leads(connection, [one.lead_id for one in chosen])

    def exposure(position: int, one: Draw, score: CurrentScore) -> Exposure:
        return Exposure(
            lead_id=one.lead_id,
            day=one.day,
            decision_id=score.decision_id,
            score=score.close_probability,
            share=exploration.share,
            seed=exploration.seed,
            randomised=one.randomised,
            view=view.name,
            listed=len(ranked),
            position=position,
            position_by_score=by_score[one.lead_id],
        )

    pairs = zip(chosen, scores, strict=True)
    return Page(scores, [exposure(place, *pair) for place, pair in enumerate(pairs, start=offset + 1)])


def log(engine: Engine, shown: Sequence[Exposure]) -> None:
    """Logs what was shown, once a lead and day. A log that cannot be written is told of, and hides no list."""
    try:
        with reading(engine) as connection:
            new = exposures.unlogged(connection, shown)
        if new:
            with engine.begin() as connection:
                exposures.add(connection, new)
    except SQLAlchemyError as error:
        _LOG.warning("what sales was shown is not logged: %s", type(error).__name__)
