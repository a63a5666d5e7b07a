"""The rolling origins with their data: what rungs and settings are fitted on and judged by, before any test."""

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
from training.fitting.calibration import fit_intercept, fit_slope
from training.fitting.intercept_sample import InterceptSample, intercept_leads, select_intercept_sample
from training.fitting.ladder import STAGES, TreeSettings, fit_trees, staged_margins


@dataclass(frozen=True)
class RollingOrigins:
    """Rolling origins at which something can be fitted.

    Attributes:
        rows: every snapshot.
        encoding: of their features.
        directions: of the features.
        folds: positions to fit on and to judge by.
        cluster: each row's account, group or lead.
        seed: of every draw.
        level: the leads that say how often leads close.
    """

    rows: Rows
    encoding: Encoding
    directions: Sequence[int]
    folds: tuple[Fold, ...]
    cluster: NDArray[np.str_]
    seed: int
    level: InterceptSample = "all"

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
        """Those of the folds that have wins and losses enough to fit and leads to judge by."""
        usable = tuple(fold for fold in folds if has_enough_outcomes(rows.won[fold.fit]) and len(fold.judge))
        level = select_intercept_sample(rows, folds, cluster, seed)
        return cls(rows, encoding, directions, usable, cluster, seed, level)

    @cached_property
    def judged(self) -> Integers:
        """Integers of the rows judged by, fold by fold."""
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
    def clusters(self) -> ClusterBootstrap:
        """The judged rows' clusters, the same draws each time."""
        return ClusterBootstrap(self.cluster[self.judged], np.random.default_rng(self.seed))

    @property
    def digest(self) -> str:
        """Names the data, the folds and the seed."""
        found = hashlib.sha256(repr((self.encoding, list(self.directions), self.seed)).encode())
        for array in (self.rows.matrix, self.rows.won, self.rows.weight, *(fold.fit for fold in self.folds)):
            found.update(array.tobytes())
        return found.hexdigest()[:16]

    def scored_rows(self, fold: Fold) -> Integers:
        """Integers of the rows whose margins are scored_rows of a model fitted at a fold.

        Those it is judged by, then those it learned from that its level is taken from.
        """
        return np.concatenate([fold.judge, intercept_leads(self.rows, fold.fit, self.level)])

    def tree_margins(self, fold: Fold, settings: TreeSettings) -> dict[int, Reals]:
        """Margins of the rows `scored_rows`, by number of trees, of trees fitted at a fold with these settings."""
        most = replace(settings, trees=STAGES[-1])
        fitted = fit_trees(self.rows.take(fold.fit), self.encoding, self.directions, most, self.seed)
        return staged_margins(fitted, self.rows.matrix[self.scored_rows(fold)], STAGES)

    def judged_margins(self, margins: Sequence[Reals]) -> Reals:
        """Of margins of the rows `scored_rows`, an array a fold, those of the judged rows."""
        return np.concatenate([margin[: len(fold.judge)] for fold, margin in zip(self.folds, margins, strict=True)])

    def calibrated(self, margins: Sequence[Reals]) -> Reals:
        """Probabilities of the judged rows, of margins of the rows `scored_rows`, an array a fold.

        A fold's slope is that of the others; its level that of the leads it learned from.
        """
        judged, probability = self.judged_margins(margins), np.empty(len(self.judged))
        for number, (fold, margin) in enumerate(zip(self.folds, margins, strict=True)):
            own = self.fold_of == number
            log_odds = fit_slope(judged[~own], self.won[~own]) * margin
            learned = self.rows.won[self.scored_rows(fold)[len(fold.judge) :]]
            after, before = np.split(log_odds, [len(fold.judge)])
            probability[own] = sigmoid(after + fit_intercept(before, learned))
        return probability
