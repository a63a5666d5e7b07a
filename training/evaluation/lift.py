"""Lift at the capacity of sales: in each week of the test window the best leads are worked, and no others."""

from dataclasses import dataclass

import numpy as np

from features.value_types import DAY
from models.arrays import Reals
from training.evaluation.metrics import Predictions

LEADS_A_WEEK = 20
_WEEK = 7 * DAY


@dataclass(frozen=True)
class CapacityLift:
    """The result of working a number of leads a week.

    Attributes:
        leads_a_week: the capacity.
        worked: share of the leads that were worked.
        found: share of the wins among them.
        lift: `found` over `worked`, how many times better than a random choice; None where nothing was won.
    """

    leads_a_week: int
    worked: float
    found: float
    lift: float | None


def lift_at_capacity(predictions: Predictions, leads_a_week: int) -> CapacityLift | None:
    """The lift at a capacity; None where leads are undated, since undated leads have no weeks.

    Leads that tie for the last places of a week have an equal chance of them.

    Raises:
        ValueError: the capacity is not positive.
    """
    if leads_a_week < 1:
        raise ValueError(f"the capacity of sales must be at least 1 lead a week, not {leads_a_week}")
    if predictions.as_of.min() == predictions.as_of.max():
        return None
    week = (predictions.as_of - predictions.as_of.min()) // _WEEK
    chance = np.concatenate([top_shares(predictions.probability[week == w], leads_a_week) for w in np.unique(week)])
    won = np.concatenate([predictions.won[week == w] for w in np.unique(week)])
    worked = float(chance.mean())
    found = float((chance * won).sum() / won.sum()) if won.sum() else 0.0
    return CapacityLift(leads_a_week, worked, found, found / worked if won.sum() else None)


def top_shares(probability: Reals, places: float) -> Reals:
    """How much of each lead is among the best `places`; leads that tie at the edge share the places left.

    >>> top_shares(np.array([0.1, 0.9, 0.5, 0.5]), 2).tolist()
    [0.0, 1.0, 0.5, 0.5]
    """
    _, tied, counts = np.unique(-probability, return_inverse=True, return_counts=True)
    room = np.clip(places - (np.cumsum(counts) - counts), 0, counts)
    return np.asarray((room / counts)[tied])
