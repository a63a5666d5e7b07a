"""Every rung of the ladder on the same rows, calibrated, with the best settings at the rolling origins.

The trainer builds a bundle of the chosen rung only. Here every rung that can be fitted gets a bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.arrays import Reals
from models.bundle import Bundle
from models.probability import Rung, sigmoid
from training.data.matrix import Progress, TrainingData
from training.data.rows import has_enough_outcomes
from training.evaluation.metrics import log_loss
from training.evaluation.test_window import log_odds
from training.fitting.ladder import STAGES, TreeSettings
from training.fitting.model_selection import Choice, candidates, select_rung
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.trainer import bundle_of
from training.fitting.tuning import NOT_TUNED, Tuned

MAX_LEAVES = 32
"""The limit for deep trees, the same as in tuning."""


def origins_of(data: TrainingData, seed: int) -> RollingOrigins:
    """The rolling origins of a matrix."""
    return RollingOrigins.of(data.rows, data.encoding, data.directions, data.split.folds, data.snapshots.cluster, seed)


@dataclass(frozen=True)
class Ladder:
    """The rungs that can be fitted, with their results at the rolling origins.

    Attributes:
        served: the rung that the trainer would choose.
        choices: each rung as if it had been chosen; empty if there are too few wins to compare rungs.
        losses: the out-of-time log loss of each rung.
    """

    served: Rung
    choices: Mapping[Rung, Choice]
    losses: Mapping[Rung, float]

    @property
    def best_fitted(self) -> Choice | None:
        """The rung above the base rate with the lowest out-of-time log loss; None without any."""
        above = [rung for rung in self.choices if rung != "base_rate"]
        return self.choices[min(above, key=lambda rung: self.losses[rung])] if above else None


def fit_ladder(data: TrainingData, seed: int, progress: Progress) -> Ladder:
    """Every rung at its best settings, and the rung that the trainer would choose."""
    origins = origins_of(data, seed)
    if not origins.encoding.features or not has_enough_outcomes(origins.won):
        return Ladder("base_rate", {}, {})
    rungs = candidates(origins, progress, NOT_TUNED.settings)
    served, _ = select_rung(origins, {each.rung: each.probability for each in rungs})
    choices = {each.rung: _choice_of(origins, each.rung, each.settings, each.margins, NOT_TUNED) for each in rungs}
    return Ladder(served, choices, {each.rung: log_loss(origins.won, each.probability) for each in rungs})


def _choice_of(
    origins: RollingOrigins, rung: Rung, settings: Mapping[str, float], margins: Sequence[Reals], tuned: Tuned
) -> Choice:
    return Choice(
        rung=rung,
        reason="fitted to compare",
        settings=settings,
        tuned=tuned,
        intercept_sample=origins.intercept_sample,
        margins=tuple(margins),
    )


def choice_of_depth(data: TrainingData, depth: int, seed: int) -> Choice:
    """The LightGBM rung with trees of a depth; the rolling origins choose the number of trees."""
    origins = origins_of(data, seed)
    settings = TreeSettings(depth=depth, leaves=min(2**depth, MAX_LEAVES))
    staged = [origins.tree_margins(fold, settings) for fold in origins.folds]
    margins = {stage: [margins[stage] for margins in staged] for stage in STAGES}
    trees = min(STAGES, key=lambda stage: log_loss(origins.won, origins.calibrated(margins[stage])))
    return _choice_of(origins, "lightgbm", {"trees": trees}, margins[trees], Tuned(settings, f"depth {depth}", 0))


def choice_bundle(data: TrainingData, choice: Choice, seed: int) -> Bundle:
    """The bundle of a choice, fitted without the immature leads."""
    return bundle_of(data, origins_of(data, seed), choice, data.rows.take(data.split.train), ())


def test_probabilities(data: TrainingData, bundle: Bundle) -> Reals:
    """The probabilities of a bundle for the test leads."""
    return np.asarray(sigmoid(log_odds(bundle, data.rows.matrix[data.split.test])))
