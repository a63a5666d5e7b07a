"""Model selection: each rung is fitted at every rolling origin and judged by out-of-time log loss.

In doubt the simpler rung is selected.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.arrays import Matrix, Reals
from models.encoding import Encoding
from models.probability import TREES, MarginModel, Rung, SegmentRates, log_losses
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


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The selected rung.

    Attributes:
        rung: the rung to serve.
        reason: why this rung, in words.
        settings: the selected value of the rung's own setting, by its name.
        tuned: the settings of tree rungs, except the number of trees.
        intercept_sample: the training leads that set the intercept.
        margins: the rung's uncalibrated margins of the rows that each origin scores, an array an origin.
        table: the metrics of each rung on the judged rows, calibrated.
    """

    rung: Rung
    reason: str
    settings: Settings
    tuned: Tuned
    intercept_sample: InterceptSample
    margins: tuple[Reals, ...] = ()
    table: tuple[RungMetrics, ...] = ()

    def with_scaled_trees(self, origins: RollingOrigins, leads: int) -> "Choice":
        """The choice with its number of trees scaled up for the number of leads that the served model trains on.

        The best number of trees is found at the rolling origins, which train on fewer leads than the served model. It
        is multiplied by the square root of the ratio of leads (docs/model.md has the figures).
        """
        if self.rung not in TREES:
            return self
        learned = np.mean([origins.rows.at_creation[fold.fit].sum() for fold in origins.folds])
        trees = round(self.settings["trees"] * float(np.sqrt(leads / learned)))
        return replace(self, settings={**self.settings, "trees": trees})

    def fit(self, rows: Rows, encoding: Encoding, directions: Sequence[int], seed: int) -> MarginModel:
        """The rung fitted on rows; the base rate is fitted on the intercept sample of the rows."""
        if self.rung == "base_rate":
            return fit_base_rate(_intercept_rows(rows, self.intercept_sample))
        if self.rung == "segment_rates":
            return _segment_rates(rows, encoding, int(self.settings["segment"]))
        if self.rung == "logistic":
            return fit_logistic(rows, encoding, directions, self.settings["strength"])
        settings = _of_rung(self.tuned.settings, self.rung, int(self.settings["trees"]))
        return fit_trees(rows, encoding, directions, settings, seed)


def _intercept_rows(rows: Rows, sample: InterceptSample) -> Rows:
    return rows.take(intercept_leads(rows, np.arange(len(rows.won)), sample))


@dataclass(frozen=True)
class FittedRung:
    """A rung with its best setting, its margins of the scored rows, and its probabilities of the judged rows."""

    rung: Rung
    settings: Settings
    margins: tuple[Reals, ...]
    probability: Reals


def choose(
    origins: RollingOrigins, created: Reals, progress: Callable[[str], None], tuned: Tuned = NOT_TUNED
) -> Choice:
    """The rung to serve, from the rolling origins alone.

    Args:
        origins: the rows to fit on and to judge by.
        created: outcomes of the training leads at creation, for the reason where they are too few.
        progress: gets a message at each origin.
        tuned: the settings of tree rungs, except the number of trees.
    """
    if not origins.encoding.features:
        return _base_rate(origins, "no feature varies among the training leads")
    if not has_enough_outcomes(origins.won):
        reason = f"{created.sum():.0f} wins among {len(created)} training leads are too few to fit and judge more"
        return _base_rate(origins, reason)
    fitted_rungs = candidates(origins, progress, tuned.settings)
    rung, reason = select_rung(origins.won, {c.rung: c.probability for c in fitted_rungs}, origins.bootstrap)
    chosen = next(c for c in fitted_rungs if c.rung == rung)
    table = tuple(_metrics(c.rung, origins.won, c.probability) for c in fitted_rungs)
    return Choice(
        rung=rung,
        reason=reason,
        settings=chosen.settings,
        tuned=tuned,
        intercept_sample=origins.intercept_sample,
        margins=chosen.margins,
        table=table,
    )


def _base_rate(origins: RollingOrigins, reason: str) -> Choice:
    """The base rate, selected before any rung was judged."""
    return Choice(
        rung="base_rate", reason=reason, settings={}, tuned=NOT_TUNED, intercept_sample=origins.intercept_sample
    )


def candidates(origins: RollingOrigins, progress: Callable[[str], None], trees: TreeSettings) -> list[FittedRung]:
    """Every rung that the features allow, each with its best setting."""
    by_rung: dict[Rung, dict[float, list[Reals]]] = {"base_rate": {}, **{rung: {} for rung in SETTINGS}}
    for number, fold in enumerate(origins.folds, start=1):
        rows, leads = len(fold.fit), len(fold.judge)
        progress(f"rolling origin {number} of {len(origins.folds)}: {rows:,} rows, judged on {leads:,} leads")
        fit, scored = origins.rows.take(fold.fit), origins.rows.matrix[origins.scored_rows(fold)]
        for rung, value, margin in _margins(origins, fit, scored, trees):
            by_rung[rung].setdefault(value, []).append(margin)
    return [_best(rung, margins, origins) for rung, margins in by_rung.items() if margins]


SETTINGS: Mapping[Rung, str] = {
    "segment_rates": "segment",
    "logistic": "strength",
    "additive": "trees",
    "lightgbm": "trees",
}
"""The setting that is selected for each fitted rung: the category, the regularisation, the number of trees."""


def _margins(
    origins: RollingOrigins, fit: Rows, scored: Matrix, trees: TreeSettings
) -> Iterator[tuple[Rung, float, Reals]]:
    """The margins of every rung at every setting: rung, setting, margins of the rows `scored`."""
    encoding, directions = origins.encoding, origins.directions
    yield (
        "base_rate",
        0,
        fit_base_rate(_intercept_rows(fit, origins.intercept_sample)).contributions(scored).sum(axis=1),
    )
    for segment, feature in enumerate(encoding.features):
        if feature.kind == "category":
            yield "segment_rates", segment, _segment_rates(fit, encoding, segment).contributions(scored).sum(axis=1)
    for strength, fitted in zip(STRENGTHS, fit_logistics(fit, encoding, directions, STRENGTHS), strict=True):
        yield "logistic", strength, fitted.contributions(scored).sum(axis=1)
    for rung in TREES:
        booster = fit_trees(fit, encoding, directions, _of_rung(trees, rung, STAGES[-1]), origins.seed)
        for stage, margin in staged_margins(booster, scored, STAGES).items():
            yield rung, stage, margin


def _of_rung(settings: TreeSettings, rung: Rung, trees: int) -> TreeSettings:
    """The settings of a tree rung with this number of trees."""
    return replace(settings.stumps() if rung == "additive" else settings, trees=trees)


def _segment_rates(rows: Rows, encoding: Encoding, segment: int) -> SegmentRates:
    return fit_segment_rates(rows, segment, len(encoding.features[segment].levels))


def _best(rung: Rung, margins: Mapping[float, list[Reals]], origins: RollingOrigins) -> FittedRung:
    """The setting with the lowest out-of-time log loss once calibrated; the first one in ties."""
    probability = {value: origins.calibrated(found) for value, found in margins.items()}
    value = min(probability, key=lambda candidate: log_loss(origins.won, probability[candidate]))
    settings = {SETTINGS[rung]: value} if rung in SETTINGS else {}
    return FittedRung(rung, settings, tuple(margins[value]), probability[value])


_FIRST_STEP = 2.5
"""Standard errors: with four candidates, chance alone takes this step in at most 1 of 40 trainings (Bonferroni)."""


def select_rung(won: Reals, probabilities: Mapping[Rung, Reals], bootstrap: ClusterBootstrap) -> tuple[Rung, str]:
    """Move up from rung to rung while that pays out of time; returns the rung and the reason.

    The first step up from the base rate must gain significantly (95 %, clustered, four candidate rungs), because the
    base rate claims no skill. Between fitted rungs the one-standard-error rule keeps the simpler rung in doubt.
    """
    rung: Rung = "base_rate"
    reason = "no fitted rung predicts out of time significantly better than the base rate"
    for higher in (rung for rung in SETTINGS if rung in probabilities):
        gain = log_losses(won, probabilities[rung]) - log_losses(won, probabilities[higher])
        error = bootstrap.standard_error(gain)
        # Off the base rate a gain must be significant; between fitted rungs one standard error is enough.
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
