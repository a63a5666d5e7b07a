"""Randomised priorities: the lists of sales have a share of their leads at random positions, and a log of exposures."""

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
    """Whether a view has random positions: only the views of sales, without the restriction to a partner."""
    return exploration.share > OFF and partner_id is None and view in views("sales")


@dataclass(frozen=True)
class ListPage:
    """A page of a list; `exposures` has the position of each of its `scores`."""

    scores: Sequence[CurrentScore]
    exposures: Sequence[Exposure] = ()


def page(
    connection: Connection, view: View, exploration: Exploration, *, now: int, limit: int, offset: int
) -> ListPage:
    """A page of a view in the order of the UTC day of `now`, which is the same for all pages of a day.

    Args:
        connection: the store's.
        view: the view, which selects the leads.
        exploration: how priorities are randomised.
        now: the moment, microseconds.
        limit: the number of leads on a page.
        offset: the number of leads before this page.
    """
    ranked = current_scores.ranked_ids(connection, qualifications=view.qualifications, pending=view.pending)
    by_score = {lead_id: position for position, lead_id in enumerate(ranked, start=1)}
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
    return ListPage(scores, [exposure(position, *pair) for position, pair in enumerate(pairs, start=offset + 1)])


def log(engine: Engine, shown: Sequence[Exposure]) -> None:
    """Logs the shown leads, once for each lead and day. A failure is logged as a warning and does not fail the page."""
    try:
        with reading(engine) as connection:
            new = exposures.unlogged(connection, shown)
        if new:
            with engine.begin() as connection:
                exposures.add(connection, new)
    except SQLAlchemyError as error:
        _LOG.warning("the shown leads are not logged: %s", type(error).__name__)
