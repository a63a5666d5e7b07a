"""The level: which leads say how often leads close, all that were learned from or the latest of them.

Shares won move. Whether the latest leads then tell more of the next than all of them do is asked at the rolling
origins, of the plainest forecast there is, the share won.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.probability import losses
from models.statistics import NORMAL_95
from training.data.rows import Rows
from training.data.splits import Fold
from training.evaluation.bootstrap import ClusterBootstrap
from training.fitting.ladder import share_won

InterceptSample: TypeAlias = Literal["all", "latest"]
LATEST_SHARE = 0.25


def intercept_leads(rows: Rows, learned: Integers, level: InterceptSample) -> Integers:
    """Integers, among those of the rows learned from, of the leads at creation that the level is taken from.

    `latest` is the last quarter of them in time, or all where nothing orders them.
    """
    created = learned[rows.at_creation[learned]]
    if level == "all" or rows.position is None or not len(created):
        return created
    position = rows.position[created]
    return created[position >= np.quantile(position, 1 - LATEST_SHARE, method="lower")]


def select_intercept_sample(rows: Rows, folds: Sequence[Fold], cluster: NDArray[np.str_], seed: int) -> InterceptSample:
    """`latest` where its share won foretold significantly better (95 %, clustered) what came after the origins."""
    asked = [fold for fold in folds if len(fold.judge) and rows.at_creation[fold.fit].any()]
    if not asked:
        return "all"
    gain = np.concatenate([_loss(rows, fold, "all") - _loss(rows, fold, "latest") for fold in asked])
    judged = np.concatenate([fold.judge for fold in asked])
    error = ClusterBootstrap(cluster[judged], np.random.default_rng(seed)).standard_error(gain)
    return "latest" if gain.mean() > NORMAL_95 * error else "all"


def _loss(rows: Rows, fold: Fold, level: InterceptSample) -> Reals:
    share = share_won(rows.won[intercept_leads(rows, fold.fit, level)])
    return losses(rows.won[fold.judge], np.full(len(fold.judge), share))
