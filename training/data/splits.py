"""Splits that respect time: a purged test window at the end, and rolling origins before it.

The whole horizon (the purge) lies between the rows to learn from and the rows to judge by: every training label was
complete before the first moment of the window that judges it. Undated leads are split by their order. Without an order
they are split by groups, and repeated cross-validation takes the place of the origins: origins over an arbitrary order
would learn from few rows and judge few.
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
"""Shares of the development leads before each rolling origin. The last origin is late, so that a model fitted on
nearly as many leads as the served one judges some rows: early origins alone favour rungs that are too simple."""


PARTS, REPEATS = 5, 3
"""Of the cross-validation of leads without an order: the parts of each division, and the number of divisions."""


@dataclass(frozen=True)
class Fold:
    """Positions of the rows to fit on, and of the creation rows to judge by."""

    fit: Integers
    judge: Integers


@dataclass(frozen=True)
class Split:
    """The split of the snapshots.

    Attributes:
        train: positions of the rows that the served model is fitted on.
        test: positions of the creation rows of the test window, read once.
        folds: the rolling origins inside the training rows; those of a cross-validation judge each row several times.
        how: the test window in words.
        judged_by: how the rungs are judged, in words.
    """

    train: Integers
    test: Integers
    folds: tuple[Fold, ...]
    how: str
    judged_by: str = "rolling origins"


def split(snapshots: Snapshots) -> Split:
    """The split of labelled snapshots.

    Raises:
        NothingToLearn: nothing lies before the test window and its purge.
    """
    division = _divide(snapshots)
    if not len(division.train):
        fix = "import a longer history" + (", or train with a shorter horizon" if snapshots.horizon_days else "")
        raise NothingToLearn(f"nothing is left to train on once {division.how}, is set aside to test on; {fix}")
    return division


def _divide(snapshots: Snapshots) -> Split:
    if snapshots.horizon_days is not None or snapshots.dated:
        return _by_time(snapshots)
    if snapshots.order is not None:
        return _by_position(snapshots.order.astype(np.float64), "the last 30 % by order")
    return _by_groups(snapshots.cluster)


def _by_time(snapshots: Snapshots) -> Split:
    purge = (snapshots.horizon_days or 0) * DAY
    created = np.sort(snapshots.as_of[snapshots.at_creation])
    start = created[int(len(created) * (1 - TEST_SHARE_DATED))]
    # The purge: a row is trained on only if its whole horizon ended before the first test row.
    train = _complete_before(start, snapshots.as_of, purge)
    test = np.flatnonzero(snapshots.at_creation & (snapshots.as_of >= start))
    how = f"the last 25 % by creation, purged by {snapshots.horizon_days or 0} days"
    if not len(train):
        return Split(train, test, (), how)
    develop = np.sort(snapshots.as_of[train][snapshots.at_creation[train]])
    bounds = [develop[int(len(develop) * share)] for share in ORIGINS]
    folds = []
    # Each origin is judged by the leads created up to the next origin; the last one up to the test window.
    for origin, end in zip(bounds, [*bounds[1:], start], strict=True):
        fit = train[_complete_before(origin, snapshots.as_of[train], purge)]
        moments = snapshots.as_of[train]
        judge = train[snapshots.at_creation[train] & (moments >= origin) & (moments < end)]
        folds.append(Fold(fit, judge))
    return Split(train, test, tuple(folds), how)


def _complete_before(start: np.int64, as_of: Integers, purge: int) -> Integers:
    """Positions of the rows made before `start` whose label was complete by then."""
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


def _by_groups(cluster: NDArray[np.str_]) -> Split:
    position = _group_positions(cluster)
    start = np.quantile(position, 1 - TEST_SHARE_ORDERED, method="higher")
    train, test = np.flatnonzero(position < start), np.flatnonzero(position >= start)
    how = "30 % of the groups; no order is known"
    if not len(train):
        return Split(train, test, (), how)
    folds = []
    for repeat in range(REPEATS):
        part = (_group_positions(cluster[train], f"{repeat}:") * PARTS).astype(int)
        folds += [Fold(train[part != number], train[part == number]) for number in range(PARTS)]
    return Split(train, test, tuple(folds), how, f"{REPEATS} times {PARTS}-fold cross-validation by group")


def _group_positions(cluster: NDArray[np.str_], salt: str = "") -> NDArray[np.float64]:
    """A position in [0, 1) for every group, from a hash of its name: independent of the order of the rows."""
    hashes = {name: hashlib.sha256(f"{salt}{name}".encode()).hexdigest()[:12] for name in np.unique(cluster)}
    return np.array([int(hashes[name], 16) / 16**12 for name in cluster])
