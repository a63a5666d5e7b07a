"""What probabilities come to on the test leads, beside ours, with account-clustered intervals, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.arrays import Reals
from models.probability import log_losses, logit
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import auc
from training.promotion.guardrails import SLOPE

OURS, CONSTANT = "EQL", "constant"
FEW_DRAWS = 200
"""Of the slope and of smECE, which take long."""
MAX_GAP = 0.01


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def above(self) -> bool:
        """Whether it lies wholly above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether it lies wholly below 0."""
        return self.high < 0

    def text(self, digits: int) -> str:
        """The figure and its interval."""
        return f"{self.value:z.{digits}f} ({self.low:z.{digits}f} to {self.high:z.{digits}f})"


@dataclass(frozen=True)
class Figures:
    """What one contestant came to.

    Attributes:
        log_loss, brier, auc, smooth_error: as named; the last is smECE, the distance from calibration.
        slope: of a logistic regression of outcomes on log-odds; None where nothing varies.
        beside_ours: its log loss less ours, lead by lead; below 0 it is better.
    """

    log_loss: Estimate
    brier: Estimate
    auc: Estimate
    slope: Estimate | None
    smooth_error: Estimate
    beside_ours: Estimate


def measure(won: Reals, probability: Reals, ours: Reals, cluster: NDArray[np.str_], seed: int) -> Figures:
    """The figures of `probability`; `ours` are those of EQL for the same leads, `cluster` their accounts."""
    clusters = ClusterBootstrap(cluster, np.random.default_rng(seed))
    few = ClusterBootstrap(cluster, np.random.default_rng(seed), FEW_DRAWS)
    ones = np.ones(len(won))
    return Figures(
        _mean(clusters, log_losses(won, probability)),
        _mean(clusters, (won - probability) ** 2),
        Estimate(auc(won, probability), *clusters.interval(lambda weight: auc(won, probability, weight))),
        _slope(won, probability, few),
        Estimate(_smooth(won, probability, ones), *few.interval(lambda weight: _smooth(won, probability, weight))),
        _mean(clusters, log_losses(won, probability) - log_losses(won, ours)),
    )


def _mean(clusters: ClusterBootstrap, values: Reals) -> Estimate:
    return Estimate(float(values.mean()), *clusters.mean_interval(values))


def _slope(won: Reals, probability: Reals, clusters: ClusterBootstrap) -> Estimate | None:
    odds = np.asarray(logit(np.clip(probability, 1e-12, 1 - 1e-12)))
    if np.ptp(odds) < 1e-9:
        return None
    # On standardised log-odds the solver's tolerance means the same however little they vary.
    scale = odds.std()
    design = ((odds - odds.mean()) / scale)[:, None]

    def fitted(weight: Reals) -> float:
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
        return float(model.fit(design, won, sample_weight=weight).coef_[0, 0] / scale)

    return Estimate(fitted(np.ones(len(won))), *clusters.interval(fitted))


def _smooth(won: Reals, probability: Reals, weight: Reals) -> float:
    from relplot import smECE

    times = weight.astype(int)
    return float(smECE(np.repeat(probability, times), np.repeat(won, times)))


@dataclass(frozen=True)
class Verdict:
    """Whether ours holds up on one set.

    Attributes:
        above_constant: its log loss is significantly above the constant's.
        better: contestants with a log loss significantly below ours.
        best: the contestant with the least log loss.
        gap: how far ours lies above that.
        slope: the calibration slope; None where every lead gets the same.
        trained, tested: the share won in training, and among the test leads.
        drifting: features by which training tells test leads from those before.
    """

    above_constant: bool
    better: Sequence[str]
    best: str
    gap: float
    slope: Estimate | None
    trained: float
    tested: Estimate
    drifting: Sequence[str]

    @property
    def calibrated(self) -> bool:
        """Whether the slope's interval meets .9 to 1.1, or there is no slope."""
        return self.slope is None or (self.slope.low <= SLOPE[1] and self.slope.high >= SLOPE[0])

    @property
    def drifted(self) -> bool:
        """Whether the test leads' share won differs significantly from that of training."""
        return not self.tested.low <= self.trained <= self.tested.high

    @property
    def holds(self) -> bool:
        """Not above the constant, none better, and calibrated or drifted."""
        return not (self.above_constant or self.better) and (self.calibrated or self.drifted)


def judge(
    figures: Mapping[str, Figures],
    won: Reals,
    cluster: NDArray[np.str_],
    trained: float,
    drifting: Sequence[str],
    seed: int,
) -> Verdict:
    """The verdict on ours among contestants by name; `trained` is the share won in training."""
    best = min(figures, key=lambda name: figures[name].log_loss.value)
    better = [name for name, found in figures.items() if name not in (OURS, CONSTANT) and found.beside_ours.below]
    return Verdict(
        figures[CONSTANT].beside_ours.below,
        better,
        best,
        figures[OURS].log_loss.value - figures[best].log_loss.value,
        figures[OURS].slope,
        trained,
        _mean(ClusterBootstrap(cluster, np.random.default_rng(seed)), won),
        drifting,
    )
