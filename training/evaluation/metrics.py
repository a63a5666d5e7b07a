"""Evaluation of probabilities against outcomes, with account-clustered bootstrap intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.arrays import Reals
from models.probability import SMALLEST, logit, losses

DRAWS = 1000


def log_loss(won: Reals, probability: Reals, weight: Reals | None = None) -> float:
    """Mean negative log-likelihood of outcomes (0 or 1), in nats."""
    return float(np.average(losses(won, probability), weights=weight))


def auc(won: Reals, probability: Reals, weight: Reals | None = None) -> float:
    """Area under the ROC curve, ties counting half; .5 where one class is missing."""
    return _auc_by_weight(won, probability)(np.ones(len(won)) if weight is None else weight)


def _auc_by_weight(won: Reals, probability: Reals) -> Callable[[Reals], float]:
    """The AUC as a function of row weights; the costly ranking is done once."""
    _, rank = np.unique(probability, return_inverse=True)

    def weighted(weight: Reals) -> float:
        positive = np.bincount(rank, weights=weight * won)
        negative = np.bincount(rank, weights=weight * (1 - won))
        below = np.cumsum(negative) - negative
        pairs = positive.sum() * negative.sum()
        return float((positive * (below + negative / 2)).sum() / pairs) if pairs else 0.5

    return weighted


def calibration_slope(won: Reals, probability: Reals) -> float | None:
    """Slope of a logistic regression of outcomes on log-odds: 1 is calibrated; None where nothing varies."""
    log_odds = logit(np.clip(probability, SMALLEST, 1 - SMALLEST))
    if np.ptp(log_odds) < 1e-9 or won.min() == won.max():
        return None
    return calibration_line(log_odds, won)[0]


def calibration_line(log_odds: Reals, won: Reals) -> tuple[float, float]:
    """Slope and intercept of a logistic regression of outcomes of both kinds on log-odds that vary."""
    # Standardised, the solver's tolerance means the same however little or much they vary.
    centre, scale = log_odds.mean(), log_odds.std()
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    fitted.fit(((log_odds - centre) / scale)[:, None], won)
    slope = float(fitted.coef_[0, 0] / scale)
    return slope, float(fitted.intercept_[0] - slope * centre)


class Clusters:
    """Bootstrap weights that resample whole clusters, the same draws for everything compared; one in memory at a time.

    Args:
        cluster: each row's cluster.
        rng: the source of randomness.
        draws: bootstrap replicates.
    """

    def __init__(self, cluster: NDArray[np.str_], rng: np.random.Generator, draws: int = DRAWS) -> None:
        _, self._row_cluster = np.unique(cluster, return_inverse=True)
        self._seed = int(rng.integers(2**63))
        self._draws = draws

    def _times(self) -> Iterator[Reals]:
        """How often each cluster is drawn, draw by draw."""
        rng = np.random.default_rng(self._seed)
        count = int(self._row_cluster.max()) + 1
        for _ in range(self._draws):
            yield np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)

    def interval(self, statistic: Callable[[Reals], float]) -> tuple[float, float]:
        """The central 95 % of a statistic of row weights."""
        return _central([statistic(times[self._row_cluster]) for times in self._times()])

    def mean_interval(self, values: Reals) -> tuple[float, float]:
        """The central 95 % of a mean over rows."""
        return _central(self._means(values))

    def standard_error(self, values: Reals) -> float:
        """The clustered standard error of a mean over rows."""
        return float(np.std(self._means(values)))

    def _means(self, values: Reals) -> list[float]:
        sums = np.bincount(self._row_cluster, weights=values)
        counts = np.bincount(self._row_cluster).astype(np.float64)
        return [float((times @ sums) / (times @ counts)) for times in self._times()]


def _central(drawn: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Predictions:
    """What a version said of the out-of-time rows, one row a lead at creation, kept with the version.

    Attributes:
        lead_id, as_of: the rows.
        cluster: each row's account, group or lead.
        won: what came of it.
        probability: the served probability.
        constant: the base rate of the version's training rows.
    """

    lead_id: NDArray[np.str_]
    as_of: NDArray[np.int64]
    cluster: NDArray[np.str_]
    won: Reals
    probability: Reals
    constant: float


def evaluate(predictions: Predictions, fitted_rung: bool, seed: int) -> Mapping[str, Any]:
    """The figures of `eql evaluate --json`; `skill` as CONTRACT.md defines it."""
    won, p = predictions.won, predictions.probability
    constant = np.full(len(won), predictions.constant)
    clusters = Clusters(predictions.cluster, np.random.default_rng(seed))
    difference = losses(won, p) - losses(won, constant)
    auc_low, auc_high = clusters.interval(_auc_by_weight(won, p))
    low, high = clusters.mean_interval(difference)
    return {
        "rows": len(won),
        "won": int(won.sum()),
        "base_rate": predictions.constant,
        "observed_rate": float(won.mean()),
        "mean_probability": float(p.mean()),
        "skill": bool(fitted_rung and auc_low > 0.5),
        "log_loss": log_loss(won, p),
        "log_loss_constant": log_loss(won, constant),
        "log_loss_difference": float(difference.mean()),
        "log_loss_difference_95": [low, high],
        "auc": auc(won, p),
        "auc_95": [auc_low, auc_high],
        "brier": float(np.mean((won - p) ** 2)),
        "brier_constant": float(np.mean((won - constant) ** 2)),
        "calibration_slope": calibration_slope(won, p),
    }


def attainable(predictions: Predictions, truth: Reals) -> Mapping[str, float]:
    """The share of attainable log-loss skill: 0 for the constant, 1 for the true probabilities."""
    won = predictions.won
    served = log_loss(won, predictions.probability)
    constant = log_loss(won, np.full(len(won), predictions.constant))
    best = log_loss(won, truth)
    # Against the outcomes' expectation under the truth rather than their draw, noise cancels.
    expected = [
        _cross_entropy(truth, q) for q in (predictions.probability, np.full(len(won), predictions.constant), truth)
    ]
    share = (expected[1] - expected[0]) / (expected[1] - expected[2])
    return {
        "log_loss_truth": best,
        "share_of_attainable_skill": (constant - served) / (constant - best),
        "share_of_attainable_skill_expected": share,
    }


def _cross_entropy(truth: Reals, probability: Reals) -> float:
    p = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log1p(-p)))
