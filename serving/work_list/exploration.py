"""The lists that sales works with a share of their leads at random places, and the log of what sales saw."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from operations.exploration import OFF, Draw, Exploration, Exposure, arranged
from operations.work_list import View, views
from serving.decisions import current_scores
from serving.decisions.current_scores import CurrentScore
from serving.store.database import reading
from serving.work_list import exposures

_LOG = logging.getLogger(__name__)


def is_explored(view: View, partner_id: str | None, exploration: Exploration) -> bool:
    """Whether a view, of one partner's leads or of all, has random places: only where sales works it."""
    return exploration.share > OFF and partner_id is None and view in views("sales")


@dataclass(frozen=True)
class ListPage:
    """A page of a list; `exposures` holds the place of each of its `scores`."""

    scores: Sequence[CurrentScore]
    exposures: Sequence[Exposure] = ()


def page(
    connection: Connection, view: View, exploration: Exploration, *, now: int, limit: int, offset: int
) -> ListPage:
    """A page of a view in the order of the UTC day of `now`; the pages of a day fit together.

    Args:
        connection: the store's.
        view: which leads.
        exploration: how priorities are randomised.
        now: the moment, microseconds.
        limit: how many leads a page has.
        offset: how many leads come before this page.
    """
    ranked = current_scores.ranked_ids(connection, qualifications=view.qualifications, pending=view.pending)
    by_score = {lead_id: place for place, lead_id in enumerate(ranked, start=1)}
    chosen = arranged(ranked, now, exploration)[offset : offset + limit]
    scores = current_scores.of_leads(connection, [draw.lead_id for draw in chosen])

    def exposure(position: int, draw: Draw, score: CurrentScore) -> Exposure:
        return Exposure(
            lead_id=draw.lead_id,
            day=draw.day,
            decision_id=score.decision_id,
            score=score.close_probability,
            share=exploration.share,
            seed=exploration.seed,
            randomised=draw.randomised,
            view=view.name,
            listed=len(ranked),
            position=position,
            position_by_score=by_score[draw.lead_id],
        )

    pairs = zip(chosen, scores, strict=True)
    return ListPage(scores, [exposure(place, *pair) for place, pair in enumerate(pairs, start=offset + 1)])


def log(engine: Engine, shown: Sequence[Exposure]) -> None:
    """Logs the leads that were shown, once a lead and day. A failed log is a warning; the list is shown anyway."""
    try:
        with reading(engine) as connection:
            new = exposures.unlogged(connection, shown)
        if new:
            with engine.begin() as connection:
                exposures.add(connection, new)
    except SQLAlchemyError as error:
        _LOG.warning("what sales was shown is not logged: %s", type(error).__name__)
