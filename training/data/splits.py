"""Splits that respect time: a purged test window at the end, rolling origins before it.

Between what is learned from and what is judged on lies the whole horizon (the purge): every training label was complete
before the first moment of the window that judges it. Undated leads split by their order, and without one by groups.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.value_types import DAY
from models.arrays import Integers
from training.data.snapshots import NothingToLearn, Snapshots

TEST_SHARE_DATED, TEST_SHARE_ORDERED = 0.25, 0.30
ORIGINS = (0.4, 0.55, 0.7, 0.85)
"""Shares of the development leads before each rolling origin. The last is late, so that some of what is judged was
fitted on nearly as much as what is served: early ones alone favour simpler rungs than the whole deserves."""


@dataclass(frozen=True)
class Fold:
    """Row positions to fit on and to judge by; the latter at creation."""

    fit: Integers
    judge: Integers


@dataclass(frozen=True)
class Split:
    """How snapshots are divided.

    Attributes:
        train: rows the served model is fitted on.
        test: creation rows of the last window, touched once.
        folds: rolling origins inside the training rows.
        how: the division in words.
    """

    train: Integers
    test: Integers
    folds: tuple[Fold, ...]
    how: str


def split(snapshots: Snapshots) -> Split:
    """The split of labelled snapshots.

    Raises:
        NothingToLearn: nothing lies before the test window and its purge.
    """
    found = _divide(snapshots)
    if not len(found.train):
        mend = "import a longer history" + (", or train with a shorter horizon" if snapshots.horizon_days else "")
        raise NothingToLearn(f"nothing is left to train on once {found.how}, is set aside to test on; {mend}")
    return found


def _divide(snapshots: Snapshots) -> Split:
    if snapshots.horizon_days is not None or snapshots.dated:
        return _by_time(snapshots)
    if snapshots.order is not None:
        return _by_position(snapshots.order.astype(np.float64), "the last 30 % by order")
    return _by_position(_group_positions(snapshots.cluster), "30 % of the groups; no order is known")


def _by_time(snapshots: Snapshots) -> Split:
    purge = (snapshots.horizon_days or 0) * DAY
    created = np.sort(snapshots.as_of[snapshots.at_creation])
    start = created[int(len(created) * (1 - TEST_SHARE_DATED))]
    train = _complete_before(start, snapshots.as_of, purge)
    test = np.flatnonzero(snapshots.at_creation & (snapshots.as_of >= start))
    how = f"the last 25 % by creation, purged by {snapshots.horizon_days or 0} days"
    if not len(train):
        return Split(train, test, (), how)
    develop = np.sort(snapshots.as_of[train][snapshots.at_creation[train]])
    bounds = [develop[int(len(develop) * share)] for share in ORIGINS]
    folds = []
    for origin, end in zip(bounds, [*bounds[1:], start], strict=True):
        fit = train[_complete_before(origin, snapshots.as_of[train], purge)]
        moments = snapshots.as_of[train]
        judge = train[snapshots.at_creation[train] & (moments >= origin) & (moments < end)]
        folds.append(Fold(fit, judge))
    return Split(train, test, tuple(folds), how)


def _complete_before(start: np.int64, as_of: Integers, purge: int) -> Integers:
    """Integers of rows made before `start` whose label was complete by then."""
    return np.flatnonzero((as_of < start) & (as_of + purge <= start))


def _by_position(position: NDArray[np.float64], how: str) -> Split:
    start = np.quantile(position, 1 - TEST_SHARE_ORDERED, method="higher")
    train, test = np.flatnonzero(position < start), np.flatnonzero(position >= start)
    if not len(train):
        return Split(train, test, (), how)
    bounds = [np.quantile(position[train], part, method="higher") for part in ORIGINS]
    folds = []
    for origin, end in zip(bounds, [*bounds[1:], np.inf], strict=True):
        judge = train[(position[train] >= origin) & (position[train] < end)]
        folds.append(Fold(train[position[train] < origin], judge))
    return Split(train, test, tuple(folds), how)


def _group_positions(cluster: NDArray[np.str_]) -> NDArray[np.float64]:
    """A place in [0, 1) for every group, the same for all its rows and independent of their order."""
    places = {name: int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12 for name in np.unique(cluster)}
    return np.array([places[name] for name in cluster])
