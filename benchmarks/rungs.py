"""Every rung of the ladder on the same rows, at the settings that did best at the rolling origins, calibrated.

The trainer makes a bundle of the rung it chooses alone; here each that can be fitted gets one.
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

MOST_LEAVES = 32
"""Of deeper trees; tuning tries no more either."""


def origins_of(data: TrainingData, seed: int) -> RollingOrigins:
    """The rolling origins of a matrix."""
    return RollingOrigins.of(data.rows, data.encoding, data.directions, data.split.folds, data.snapshots.cluster, seed)


@dataclass(frozen=True)
class Ladder:
    """What the rolling origins say of each rung that can be fitted.

    Attributes:
        served: the one that would be served.
        choices: each as if it had been chosen; none where wins are too few to judge.
        losses: the out-of-time log loss of each.
    """

    served: Rung
    choices: Mapping[Rung, Choice]
    losses: Mapping[Rung, float]

    @property
    def best_fitted(self) -> Choice | None:
        """The rung above the base rate that loses least out of time, served or not."""
        above = [rung for rung in self.choices if rung != "base_rate"]
        return self.choices[min(above, key=lambda rung: self.losses[rung])] if above else None


def climbed(data: TrainingData, seed: int, progress: Progress) -> Ladder:
    """Every rung at its best settings, and how far the trainer would climb."""
    origins = origins_of(data, seed)
    if not origins.encoding.features or not has_enough_outcomes(origins.won):
        return Ladder("base_rate", {}, {})
    found = candidates(origins, progress, NOT_TUNED.settings)
    served, _ = select_rung(origins.won, {each.rung: each.probability for each in found}, origins.bootstrap)
    chosen = {each.rung: _as_chosen(origins, each.rung, each.settings, each.margins, NOT_TUNED) for each in found}
    return Ladder(served, chosen, {each.rung: log_loss(origins.won, each.probability) for each in found})


def _as_chosen(
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


def of_depth(data: TrainingData, depth: int, seed: int) -> Choice:
    """The LightGBM rung with trees of this depth, their number chosen at the rolling origins."""
    origins = origins_of(data, seed)
    settings = TreeSettings(depth=depth, leaves=min(2**depth, MOST_LEAVES))
    staged = [origins.tree_margins(fold, settings) for fold in origins.folds]
    margins = {stage: [margins[stage] for margins in staged] for stage in STAGES}
    trees = min(STAGES, key=lambda stage: log_loss(origins.won, origins.calibrated(margins[stage])))
    return _as_chosen(origins, "lightgbm", {"trees": trees}, margins[trees], Tuned(settings, f"depth {depth}", 0))


def bundled(data: TrainingData, choice: Choice, seed: int) -> Bundle:
    """What would be served had this been chosen, without the recent leads."""
    return bundle_of(data, origins_of(data, seed), choice, data.rows.take(data.split.train), ())


def tested(data: TrainingData, bundle: Bundle) -> Reals:
    """A bundle's probabilities of the test leads."""
    return np.asarray(sigmoid(log_odds(bundle, data.rows.matrix[data.split.test])))
