"""The intercept sample: the training leads that set the served intercept, all of them or only the latest.

The share won moves over time. Whether the latest leads predict the next share won better than all leads do is tested at
the rolling origins, with the simplest forecast there is: the share won itself.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.probability import log_losses
from models.statistics import NORMAL_95
from training.data.rows import Rows
from training.data.splits import Fold
from training.evaluation.bootstrap import ClusterBootstrap
from training.fitting.ladder import share_won

InterceptSample: TypeAlias = Literal["all", "latest"]
LATEST_SHARE = 0.25


def intercept_leads(rows: Rows, learned: Integers, sample: InterceptSample) -> Integers:
    """Positions of the leads at creation, among the training rows `learned`, that the intercept is taken from.

    `latest` is the last quarter of them in time, or all of them where no order is known.
    """
    created = learned[rows.at_creation[learned]]
    if sample == "all" or rows.position is None or not len(created):
        return created
    position = rows.position[created]
    return created[position >= np.quantile(position, 1 - LATEST_SHARE, method="lower")]


def select_intercept_sample(rows: Rows, folds: Sequence[Fold], cluster: NDArray[np.str_], seed: int) -> InterceptSample:
    """`latest` where its share won predicted the leads after the origins significantly better (95 %, clustered)."""
    usable = [fold for fold in folds if len(fold.judge) and rows.at_creation[fold.fit].any()]
    if not usable:
        return "all"
    gain = np.concatenate([_loss(rows, fold, "all") - _loss(rows, fold, "latest") for fold in usable])
    judged = np.concatenate([fold.judge for fold in usable])
    error = ClusterBootstrap(cluster[judged], np.random.default_rng(seed)).standard_error(gain)
    return "latest" if gain.mean() > NORMAL_95 * error else "all"


def _loss(rows: Rows, fold: Fold, sample: InterceptSample) -> Reals:
    share = share_won(rows.won[intercept_leads(rows, fold.fit, sample)])
    return log_losses(rows.won[fold.judge], np.full(len(fold.judge), share))
