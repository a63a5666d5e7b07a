"""Metrics of probabilities against outcomes, with intervals that resample whole accounts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.probability import MIN_PROBABILITY, log_losses
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.calibration_slope import calibration_slope


def log_loss(won: Reals, probability: Reals, weight: Reals | None = None) -> float:
    """Mean negative log-likelihood of outcomes (0 or 1), in nats.

    A probability of one half costs log 2, whatever the outcome:

    >>> log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == float(np.log(2))
    True
    """
    return float(np.average(log_losses(won, probability), weights=weight))


def auc(won: Reals, probability: Reals, weight: Reals | None = None) -> float:
    """Area under the ROC curve, ties counting half; .5 where one class is missing.

    Of the four pairs of a won and a lost lead here, three are in the right order and one ties:

    >>> auc(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.4, 0.4, 0.1]))
    0.875
    """
    return auc_by_weight(won, probability)(np.ones(len(won)) if weight is None else weight)


def auc_by_weight(won: Reals, probability: Reals) -> Callable[[Reals], float]:
    """The AUC as a function of row weights; the costly ranking is done once."""
    _, rank = np.unique(probability, return_inverse=True)

    def weighted(weight: Reals) -> float:
        positive = np.bincount(rank, weights=weight * won)
        negative = np.bincount(rank, weights=weight * (1 - won))
        below = np.cumsum(negative) - negative
        pairs = positive.sum() * negative.sum()
        return float((positive * (below + negative / 2)).sum() / pairs) if pairs else 0.5

    return weighted


def null_auc_error(won: Reals) -> float:
    """Standard deviation of the AUC of a ranking that is independent of `won`, which holds both outcomes.

    It is that of the Mann-Whitney statistic, sqrt((rows + 1) / (12 * wins * log_losses)):

    >>> null_auc_error(np.array([1.0, 0.0])) == 0.5
    True
    """
    wins = won.sum()
    return float(np.sqrt((len(won) + 1) / (12 * wins * (len(won) - wins))))


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A version's predictions of the out-of-time rows, one row a lead at creation, kept with the version.

    Attributes:
        lead_id: the lead of each row.
        as_of: the moment of each row, microseconds.
        cluster: the account, group or lead of each row.
        won: the outcome, 0 or 1.
        probability: the served probability.
        constant: the base rate of the version's training rows.
    """

    lead_id: NDArray[np.str_]
    as_of: Integers
    cluster: NDArray[np.str_]
    won: Reals
    probability: Reals
    constant: float


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics of a version on the out-of-time rows, beside those of the constant.

    Attributes:
        rows: leads judged.
        won: wins among them.
        base_rate: the constant, the share won of the training leads.
        observed_rate: share won of the leads judged.
        mean_probability: mean of the served probabilities.
        skill: whether a fitted rung is served and its AUC's interval lies above .5.
        log_loss, log_loss_constant: in nats a lead.
        log_loss_difference: the model's less the constant's; below 0 the model is better.
        log_loss_difference_95: the central 95 % of the difference.
        auc: area under the ROC curve; the constant's is .5.
        auc_95: its central 95 %.
        brier, brier_constant: mean squared errors.
        calibration_slope: 1 is calibrated; None where nothing varies.
    """

    rows: int
    won: int
    base_rate: float
    observed_rate: float
    mean_probability: float
    skill: bool
    log_loss: float
    log_loss_constant: float
    log_loss_difference: float
    log_loss_difference_95: tuple[float, float]
    auc: float
    auc_95: tuple[float, float]
    brier: float
    brier_constant: float
    calibration_slope: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON types, in the order of `eql evaluate --json`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def evaluate(predictions: Predictions, fitted_rung: bool, seed: int) -> Metrics:
    """The metrics of predictions.

    Args:
        predictions: of the out-of-time rows.
        fitted_rung: whether the served rung is above the base rate; the base rate has no skill by definition.
        seed: random seed of the bootstrap by account.
    """
    won, p = predictions.won, predictions.probability
    constant = np.full(len(won), predictions.constant)
    bootstrap = ClusterBootstrap(predictions.cluster, np.random.default_rng(seed))
    difference = log_losses(won, p) - log_losses(won, constant)
    auc_95 = bootstrap.interval(auc_by_weight(won, p))
    return Metrics(
        rows=len(won),
        won=int(won.sum()),
        base_rate=predictions.constant,
        observed_rate=float(won.mean()),
        mean_probability=float(p.mean()),
        skill=bool(fitted_rung and auc_95[0] > 0.5),
        log_loss=log_loss(won, p),
        log_loss_constant=log_loss(won, constant),
        log_loss_difference=float(difference.mean()),
        log_loss_difference_95=bootstrap.mean_interval(difference),
        auc=auc(won, p),
        auc_95=auc_95,
        brier=float(np.mean((won - p) ** 2)),
        brier_constant=float(np.mean((won - constant) ** 2)),
        calibration_slope=calibration_slope(won, p),
    )


@dataclass(frozen=True)
class AttainableSkill:
    """How much of the log-loss skill that the true probabilities have a version attains: 0 for the constant, 1 for all.

    Attributes:
        log_loss_truth: the log loss of the true probabilities.
        share_of_attainable_skill: the share on the outcomes drawn.
        share_of_attainable_skill_expected: the share in expectation over the outcomes, which cancels their noise.
    """

    log_loss_truth: float
    share_of_attainable_skill: float
    share_of_attainable_skill_expected: float

    def to_dict(self) -> dict[str, float]:
        """JSON types."""
        return asdict(self)


def attainable_skill(predictions: Predictions, truth: Reals) -> AttainableSkill:
    """The attainable skill of predictions, given the true probability of each row (of a simulated world)."""
    won, constant = predictions.won, np.full(len(predictions.won), predictions.constant)
    served_loss, constant_loss = log_loss(won, predictions.probability), log_loss(won, constant)
    best = log_loss(won, truth)
    expected = [_cross_entropy(truth, q) for q in (predictions.probability, constant, truth)]
    return AttainableSkill(
        log_loss_truth=best,
        share_of_attainable_skill=(constant_loss - served_loss) / (constant_loss - best),
        share_of_attainable_skill_expected=(expected[1] - expected[0]) / (expected[1] - expected[2]),
    )


def _cross_entropy(truth: Reals, probability: Reals) -> float:
    p = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log1p(-p)))
