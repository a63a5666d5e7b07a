"""Lift at the capacity that sales really has: each week of the test window its best leads are worked, and no others."""

from dataclasses import dataclass

import numpy as np

from features.values import DAY
from models.arrays import Reals
from training.evaluation.metrics import Predictions

LEADS_A_WEEK = 20
_WEEK = 7 * DAY


@dataclass(frozen=True)
class AtCapacity:
    """What working so many leads a week finds.

    Attributes:
        leads_a_week: the capacity.
        worked: share of the leads that were worked.
        found: share of the wins among them.
        lift: `found` over `worked`, how many times better than taking any; None where nothing was won.
    """

    leads_a_week: int
    worked: float
    found: float
    lift: float | None


def at_capacity(predictions: Predictions, leads_a_week: int) -> AtCapacity | None:
    """The lift at a capacity; None where leads are undated, for then there are no weeks.

    Leads that tie for a week's last places have an equal chance of them.

    Raises:
        ValueError: the capacity is not positive.
    """
    if leads_a_week < 1:
        raise ValueError(f"sales can work at least 1 lead a week, not {leads_a_week}")
    if predictions.as_of.min() == predictions.as_of.max():
        return None
    week = (predictions.as_of - predictions.as_of.min()) // _WEEK
    chance = np.concatenate([_worked(predictions.probability[week == w], leads_a_week) for w in np.unique(week)])
    won = np.concatenate([predictions.won[week == w] for w in np.unique(week)])
    worked = float(chance.mean())
    found = float((chance * won).sum() / won.sum()) if won.sum() else 0.0
    return AtCapacity(leads_a_week, worked, found, found / worked if won.sum() else None)


def _worked(probability: Reals, places: int) -> Reals:
    """Each lead's chance of being among the best so many."""
    _, tied, counts = np.unique(-probability, return_inverse=True, return_counts=True)
    room = np.clip(places - (np.cumsum(counts) - counts), 0, counts)
    return np.asarray((room / counts)[tied])
