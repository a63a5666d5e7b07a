"""The figures of probabilities on the test leads, with account-clustered intervals, and the verdict on ours."""

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
SLOW_FIGURE_DRAWS = 200
"""Bootstrap draws for the slope and for smECE, which take long."""
MAX_GAP = 0.01


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0

    def text(self, digits: int) -> str:
        """The figure and its interval."""
        return f"{self.value:z.{digits}f} ({self.low:z.{digits}f} to {self.high:z.{digits}f})"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of one contestant.

    Attributes:
        log_loss: the log loss.
        brier: the Brier score.
        auc: the AUC.
        slope: the slope of a logistic regression of outcomes on log-odds; None if all leads have the same probability.
        smooth_error: the smECE, the distance from calibration.
        difference: the contestant's log loss minus ours; below 0, the contestant is better.
    """

    log_loss: Estimate
    brier: Estimate
    auc: Estimate
    slope: Estimate | None
    smooth_error: Estimate
    difference: Estimate


def measure(won: Reals, probability: Reals, ours: Reals, cluster: NDArray[np.str_], seed: int) -> Figures:
    """The figures of `probability`; `ours` has EQL's probabilities of the same leads, `cluster` their accounts."""
    clusters = ClusterBootstrap(cluster, np.random.default_rng(seed))
    few = ClusterBootstrap(cluster, np.random.default_rng(seed), SLOW_FIGURE_DRAWS)
    ones = np.ones(len(won))
    return Figures(
        log_loss=_mean(clusters, log_losses(won, probability)),
        brier=_mean(clusters, (won - probability) ** 2),
        auc=Estimate(auc(won, probability), *clusters.interval(lambda weight: auc(won, probability, weight))),
        slope=_slope(won, probability, few),
        smooth_error=Estimate(
            _smooth_error(won, probability, ones), *few.interval(lambda weight: _smooth_error(won, probability, weight))
        ),
        difference=_mean(clusters, log_losses(won, probability) - log_losses(won, ours)),
    )


def _mean(clusters: ClusterBootstrap, values: Reals) -> Estimate:
    return Estimate(float(values.mean()), *clusters.mean_interval(values))


def _slope(won: Reals, probability: Reals, clusters: ClusterBootstrap) -> Estimate | None:
    odds = np.asarray(logit(np.clip(probability, 1e-12, 1 - 1e-12)))
    if np.ptp(odds) < 1e-9:
        return None
    # Standardised log-odds make the tolerance of the solver independent of their scale.
    scale = odds.std()
    design = ((odds - odds.mean()) / scale)[:, None]

    def fitted(weight: Reals) -> float:
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
        return float(model.fit(design, won, sample_weight=weight).coef_[0, 0] / scale)

    return Estimate(fitted(np.ones(len(won))), *clusters.interval(fitted))


def _smooth_error(won: Reals, probability: Reals, weight: Reals) -> float:
    from relplot import smECE

    times = weight.astype(int)
    return float(smECE(np.repeat(probability, times), np.repeat(won, times)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on our model on one set.

    Attributes:
        above_constant: whether our log loss is significantly above that of the constant.
        better: contestants with a log loss significantly below ours.
        best: the contestant with the lowest log loss.
        gap: our log loss minus the lowest.
        slope: our calibration slope; None if every lead has the same probability.
        trained: the share won among the training leads.
        tested: the share won among the test leads.
        drifting: the features that separate the test leads from the training leads.
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
        """Whether the interval of the slope overlaps .9 to 1.1, or there is no slope."""
        return self.slope is None or (self.slope.low <= SLOPE[1] and self.slope.high >= SLOPE[0])

    @property
    def drifted(self) -> bool:
        """Whether the share won differs significantly between training and test leads."""
        return not self.tested.low <= self.trained <= self.tested.high

    @property
    def holds(self) -> bool:
        """Whether ours is neither above the constant nor worse than a contestant, and is calibrated or data drifted."""
        return not (self.above_constant or self.better) and (self.calibrated or self.drifted)


def judge(
    figures: Mapping[str, Figures],
    won: Reals,
    cluster: NDArray[np.str_],
    trained: float,
    drifting: Sequence[str],
    seed: int,
) -> Verdict:
    """The verdict on our model, from the figures of all contestants; `trained` is the share won in training."""
    best = min(figures, key=lambda name: figures[name].log_loss.value)
    better = [name for name, each in figures.items() if name not in (OURS, CONSTANT) and each.difference.below]
    return Verdict(
        above_constant=figures[CONSTANT].difference.below,
        better=better,
        best=best,
        gap=figures[OURS].log_loss.value - figures[best].log_loss.value,
        slope=figures[OURS].slope,
        trained=trained,
        tested=_mean(ClusterBootstrap(cluster, np.random.default_rng(seed)), won),
        drifting=drifting,
    )
