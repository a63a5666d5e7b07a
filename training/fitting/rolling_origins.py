"""The rolling origins with their data: rungs and settings are fitted on the rows before an origin and judged after it.

Each origin is a fold of the training rows. The test window is never read here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.encoding import Encoding
from models.probability import sigmoid
from training.data.rows import Rows, has_enough_outcomes
from training.data.splits import Fold
from training.evaluation.bootstrap import ClusterBootstrap
from training.fitting.calibration import fit_intercept, fit_slope, trust
from training.fitting.intercept_sample import InterceptSample, intercept_leads, select_intercept_sample
from training.fitting.ladder import STAGES, TreeSettings, fit_trees, staged_margins


@dataclass(frozen=True, kw_only=True)
class RollingOrigins:
    """The rolling origins with enough outcomes to fit.

    Attributes:
        rows: every snapshot.
        encoding: the encoding of their features.
        directions: the direction of each feature.
        folds: positions of the rows to fit on and to judge by.
        cluster: the account, group or lead of each row.
        seed: random seed.
        intercept_sample: the training leads that set the intercept.
    """

    rows: Rows
    encoding: Encoding
    directions: Sequence[int]
    folds: tuple[Fold, ...]
    cluster: NDArray[np.str_]
    seed: int
    intercept_sample: InterceptSample = "all"

    @classmethod
    def of(
        cls,
        rows: Rows,
        encoding: Encoding,
        directions: Sequence[int],
        folds: Sequence[Fold],
        cluster: NDArray[np.str_],
        seed: int,
    ) -> "RollingOrigins":
        """The folds that have enough wins and losses to fit, and leads to judge by."""
        usable = tuple(fold for fold in folds if has_enough_outcomes(rows.won[fold.fit]) and len(fold.judge))
        sample = select_intercept_sample(rows, folds, cluster, seed)
        return cls(
            rows=rows,
            encoding=encoding,
            directions=directions,
            folds=usable,
            cluster=cluster,
            seed=seed,
            intercept_sample=sample,
        )

    @cached_property
    def judged(self) -> Integers:
        """Positions of the judged rows, fold by fold."""
        return np.concatenate([np.zeros(0, np.int64), *(fold.judge for fold in self.folds)])

    @cached_property
    def won(self) -> Reals:
        """Outcomes of the judged rows."""
        return self.rows.won[self.judged]

    @cached_property
    def fold_of(self) -> Integers:
        """The fold of each judged row."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.judge) for fold in self.folds])

    @property
    def trust(self) -> float:
        """How far the outcomes of the judged rows are believed; a row that is judged several times counts once."""
        return trust(self.rows.won[np.unique(self.judged)])

    @property
    def bootstrap(self) -> ClusterBootstrap:
        """The bootstrap of the judged rows' clusters, with the same draws each time."""
        return ClusterBootstrap(self.cluster[self.judged], np.random.default_rng(self.seed))

    @property
    def digest(self) -> str:
        """A name for the data, the folds and the seed."""
        digest = hashlib.sha256(repr((self.encoding, list(self.directions), self.seed)).encode())
        for array in (self.rows.matrix, self.rows.won, self.rows.weight, *(fold.fit for fold in self.folds)):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def scored_rows(self, fold: Fold) -> Integers:
        """Positions of the rows that a model fitted at a fold scores: its judged rows, then its intercept sample."""
        return np.concatenate([fold.judge, intercept_leads(self.rows, fold.fit, self.intercept_sample)])

    def tree_margins(self, fold: Fold, settings: TreeSettings) -> dict[int, Reals]:
        """Margins of the `scored_rows`, by number of trees, of trees fitted at a fold with these settings."""
        all_stages = replace(settings, trees=STAGES[-1])
        fitted = fit_trees(self.rows.take(fold.fit), self.encoding, self.directions, all_stages, self.seed)
        return staged_margins(fitted, self.rows.matrix[self.scored_rows(fold)], STAGES)

    def judged_margins(self, margins: Sequence[Reals]) -> Reals:
        """The margins of the judged rows, from margins of the `scored_rows` (an array a fold)."""
        return np.concatenate([margin[: len(fold.judge)] for fold, margin in zip(self.folds, margins, strict=True)])

    def calibrated(self, margins: Sequence[Reals]) -> Reals:
        """Calibrated probabilities of the judged rows, from margins of the `scored_rows` (an array a fold).

        No fold is calibrated by its own judged rows: its slope is fitted on the judged rows of the other folds, and its
        intercept on the intercept sample of its own training rows.
        """
        judged, probability = self.judged_margins(margins), np.empty(len(self.judged))
        for number, (fold, margin) in enumerate(zip(self.folds, margins, strict=True)):
            own = self.fold_of == number
            # The slope of the other folds: judged rows must not calibrate themselves. A cross-validation that is
            # repeated judges them in other folds too.
            others = ~np.isin(self.judged, fold.judge)
            log_odds = fit_slope(judged[others], self.won[others]) * margin
            learned = self.rows.won[self.scored_rows(fold)[len(fold.judge) :]]
            after, before = np.split(log_odds, [len(fold.judge)])
            probability[own] = sigmoid(after + fit_intercept(before, learned))
        return probability
