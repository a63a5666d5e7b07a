"""Choosing the rung: each fitted at every rolling origin, judged by out-of-time log loss, the simpler in doubt."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.arrays import Reals
from models.encoding import Encoding, Matrix
from models.probability import TREES, MarginModel, Rung, SegmentRates, losses
from training.data.rows import Rows, has_enough_outcomes
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import auc, log_loss
from training.evaluation.report import RungMetrics
from training.fitting.intercept_sample import InterceptSample, intercept_leads
from training.fitting.ladder import (
    STAGES,
    TreeSettings,
    fit_base_rate,
    fit_logistic,
    fit_logistics,
    fit_segment_rates,
    fit_trees,
    staged_margins,
)
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.tuning import NOT_TUNED, Tuned

Settings = Mapping[str, float]

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""The logistic rung's regularisation, as scikit-learn's C."""


@dataclass(frozen=True)
class Choice:
    """The rung to serve and how it won.

    Attributes:
        rung: the one served.
        reason: why, in words.
        settings: what was chosen with it.
        tuned: the settings of tree rungs, but for the number of trees.
        level: the leads that say how often leads close.
        margins: its uncalibrated margins of the rows that the origins asked for, an array an origin.
        table: figures by rung on the rows judged, calibrated.
    """

    rung: Rung
    reason: str
    settings: Settings
    tuned: Tuned
    level: InterceptSample
    margins: tuple[Reals, ...] = ()
    table: tuple[RungMetrics, ...] = ()

    def with_scaled_trees(self, origins: RollingOrigins, leads: int) -> "Choice":
        """It for so many leads: with the square root as many more trees as they are more than at an origin on average.

        The number that did best at the origins is too small for what learns from more (docs/model.md has the figures).
        """
        if self.rung not in TREES:
            return self
        learned = np.mean([origins.rows.at_creation[fold.fit].sum() for fold in origins.folds])
        trees = round(self.settings["trees"] * float(np.sqrt(leads / learned)))
        return replace(self, settings={**self.settings, "trees": trees})

    def fit(self, rows: Rows, encoding: Encoding, directions: Sequence[int], seed: int) -> MarginModel:
        """The chosen rung on all training rows, or the base rate on the leads of its level."""
        if self.rung == "base_rate":
            return fit_base_rate(_of_level(rows, self.level))
        if self.rung == "segment_rates":
            return _segment_rates(rows, encoding, int(self.settings["segment"]))
        if self.rung == "logistic":
            return fit_logistic(rows, encoding, directions, self.settings["strength"])
        settings = _of_rung(self.tuned.settings, self.rung, int(self.settings["trees"]))
        return fit_trees(rows, encoding, directions, settings, seed)


def _of_level(rows: Rows, level: InterceptSample) -> Rows:
    return rows.take(intercept_leads(rows, np.arange(len(rows.won)), level))


@dataclass(frozen=True)
class FittedRung:
    """A rung with the settings that did best, its margins of the rows asked, and its probabilities of those judged."""

    rung: Rung
    settings: Settings
    margins: tuple[Reals, ...]
    probability: Reals


def choose(
    origins: RollingOrigins, created: Reals, progress: Callable[[str], None], tuned: Tuned = NOT_TUNED
) -> Choice:
    """The rung to serve, from the rolling origins alone.

    Args:
        origins: what rungs are fitted on and judged by.
        created: outcomes of the training leads at creation, to say how few there are.
        progress: told of each origin.
        tuned: the settings of tree rungs, but for the number of trees.
    """
    if not origins.encoding.features:
        return _base_rate(origins, "no feature varies among the training leads")
    if not has_enough_outcomes(origins.won):
        reason = f"{created.sum():.0f} wins among {len(created)} training leads are too few to fit and judge more"
        return _base_rate(origins, reason)
    found = candidates(origins, progress, tuned.settings)
    rung, reason = select_rung(origins.won, {c.rung: c.probability for c in found}, origins.clusters)
    chosen = next(c for c in found if c.rung == rung)
    table = tuple(_metrics(c.rung, origins.won, c.probability) for c in found)
    return Choice(rung, reason, chosen.settings, tuned, origins.level, chosen.margins, table)


def _base_rate(origins: RollingOrigins, reason: str) -> Choice:
    """The base rate, chosen before anything was judged."""
    return Choice("base_rate", reason, {}, NOT_TUNED, origins.level)


def candidates(origins: RollingOrigins, progress: Callable[[str], None], trees: TreeSettings) -> list[FittedRung]:
    """Every rung that the features allow, each with its best settings."""
    found: dict[Rung, dict[float, list[Reals]]] = {"base_rate": {}, **{rung: {} for rung in SETTINGS}}
    for number, fold in enumerate(origins.folds, start=1):
        rows, leads = len(fold.fit), len(fold.judge)
        progress(f"rolling origin {number} of {len(origins.folds)}: {rows:,} rows, judged on {leads:,} leads")
        fit, asked = origins.rows.take(fold.fit), origins.rows.matrix[origins.scored_rows(fold)]
        for rung, value, margin in _margins(origins, fit, asked, trees):
            found[rung].setdefault(value, []).append(margin)
    return [_best(rung, margins, origins) for rung, margins in found.items() if margins]


SETTINGS: Mapping[Rung, str] = {
    "segment_rates": "segment",
    "logistic": "strength",
    "additive": "trees",
    "lightgbm": "trees",
}
"""What is chosen of each fitted rung: the category, the regularisation, the number of trees."""


def _margins(
    origins: RollingOrigins, fit: Rows, asked: Matrix, trees: TreeSettings
) -> Iterator[tuple[Rung, float, Reals]]:
    """The margins of every rung at every setting."""
    encoding, directions = origins.encoding, origins.directions
    yield "base_rate", 0, fit_base_rate(_of_level(fit, origins.level)).contributions(asked).sum(axis=1)
    for segment, feature in enumerate(encoding.features):
        if feature.kind == "category":
            yield "segment_rates", segment, _segment_rates(fit, encoding, segment).contributions(asked).sum(axis=1)
    for strength, fitted in zip(STRENGTHS, fit_logistics(fit, encoding, directions, STRENGTHS), strict=True):
        yield "logistic", strength, fitted.contributions(asked).sum(axis=1)
    for rung in TREES:
        booster = fit_trees(fit, encoding, directions, _of_rung(trees, rung, STAGES[-1]), origins.seed)
        for stage, margin in staged_margins(booster, asked, STAGES).items():
            yield rung, stage, margin


def _of_rung(settings: TreeSettings, rung: Rung, trees: int) -> TreeSettings:
    """A tree rung's settings with so many trees."""
    return replace(settings.stumps() if rung == "additive" else settings, trees=trees)


def _segment_rates(rows: Rows, encoding: Encoding, segment: int) -> SegmentRates:
    return fit_segment_rates(rows, segment, len(encoding.features[segment].levels))


def _best(rung: Rung, margins: Mapping[float, list[Reals]], origins: RollingOrigins) -> FittedRung:
    """The setting with the least out-of-time log loss once calibrated; the first in ties."""
    probability = {value: origins.calibrated(found) for value, found in margins.items()}
    value = min(probability, key=lambda candidate: log_loss(origins.won, probability[candidate]))
    settings = {SETTINGS[rung]: value} if rung in SETTINGS else {}
    return FittedRung(rung, settings, tuple(margins[value]), probability[value])


_FIRST_STEP = 2.5
"""Standard errors: with four rungs trying, chance alone takes the step in at most 1 of 40 trainings (Bonferroni)."""


def select_rung(won: Reals, probabilities: Mapping[Rung, Reals], clusters: ClusterBootstrap) -> tuple[Rung, str]:
    """Climb from rung to rung while it pays out of time; returns the rung and why.

    The first step off the base rate must gain significantly (95 %, clustered, four rungs trying), for a base rate
    claims nothing; between fitted rungs the one-standard-error rule keeps the simpler one in doubt.
    """
    rung: Rung = "base_rate"
    reason = "no fitted rung predicts out of time significantly better than the base rate"
    for higher in (rung for rung in SETTINGS if rung in probabilities):
        gain = losses(won, probabilities[rung]) - losses(won, probabilities[higher])
        error = clusters.standard_error(gain)
        needed = _FIRST_STEP if rung == "base_rate" else 1.0
        if gain.mean() > needed * error:
            reason = (
                f"out of time it loses {gain.mean():.4f} nats a lead less than {rung}, "
                f"more than {needed:g} times the standard error of {error:.4f}"
            )
            rung = higher
    return rung, reason


def _metrics(rung: Rung, won: Reals, probability: Reals) -> RungMetrics:
    return RungMetrics(
        rung=rung,
        rows=len(won),
        log_loss=log_loss(won, probability),
        auc=auc(won, probability),
        brier=float(np.mean((won - probability) ** 2)),
    )
