"""Choosing the rung: each fitted at every rolling origin, judged by out-of-time log loss, the simpler in doubt."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoding import Encoding, Matrix
from models.probability import TREES, MarginModel, Rung, SegmentRates, sigmoid
from training.evaluation import Clusters, auc, log_loss, losses
from training.ladder import (
    STAGES,
    Rows,
    TreeSettings,
    fit_base_rate,
    fit_logistic,
    fit_segment_rates,
    fit_trees,
    staged_margins,
)
from training.origins import Origins, enough
from training.tuning import NOT_TUNED, Tuned

Reals = NDArray[np.float64]
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
        judged: positions of the rolling origins' rows.
        latest: which of them the last origin judged.
        margins: its uncalibrated out-of-time margins on those rows.
        table: figures by rung on those rows, calibrated.
    """

    rung: Rung
    reason: str
    settings: Settings
    tuned: Tuned
    judged: NDArray[np.int64]
    latest: NDArray[np.bool_]
    margins: Reals
    table: Sequence[Mapping[str, Any]] = ()

    def fit(self, rows: Rows, encoding: Encoding, directions: Sequence[int], seed: int) -> MarginModel:
        """The chosen rung on all training rows."""
        if self.rung == "base_rate":
            return fit_base_rate(rows)
        if self.rung == "segment_rates":
            return _segment_rates(rows, encoding, int(self.settings["segment"]))
        if self.rung == "logistic":
            return fit_logistic(rows, encoding, directions, self.settings["strength"])
        settings = replace(self.tuned.settings, trees=int(self.settings["trees"]), additive=self.rung == "additive")
        return fit_trees(rows, encoding, directions, settings, seed)


@dataclass(frozen=True)
class _Candidate:
    """A rung with the settings that did best, and its margins of the judged rows."""

    rung: Rung
    settings: Settings
    margin: Reals


def choose(origins: Origins, created: Reals, progress: Callable[[str], None], tuned: Tuned = NOT_TUNED) -> Choice:
    """The rung to serve, from the rolling origins alone.

    Args:
        origins: what rungs are fitted on and judged by.
        created: outcomes of the training leads at creation, to say how few there are.
        progress: told of each origin.
        tuned: the settings of tree rungs, but for the number of trees.
    """
    if not origins.encoding.features:
        return _base_rate("no feature varies among the training leads")
    if not enough(origins.won):
        reason = f"{created.sum():.0f} wins among {len(created)} training leads are too few to fit and judge more"
        return _base_rate(reason)
    candidates = _candidates(origins, progress, tuned.settings)
    calibrated = {c.rung: _judged(c, origins) for c in candidates}
    rung, reason = climb(origins.won, calibrated, origins.clusters)
    chosen = next(c for c in candidates if c.rung == rung)
    table = [{"rung": name, **_figures(origins.won, probability)} for name, probability in calibrated.items()]
    latest = origins.fold_of == origins.fold_of.max()
    return Choice(rung, reason, chosen.settings, tuned, origins.judged, latest, chosen.margin, table)


def _base_rate(reason: str) -> Choice:
    """The base rate, chosen before anything was judged."""
    return Choice("base_rate", reason, {}, NOT_TUNED, np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))


def _candidates(origins: Origins, progress: Callable[[str], None], trees: TreeSettings) -> list[_Candidate]:
    """Every rung that the features allow, each with its best settings."""
    found: dict[Rung, dict[float, list[Reals]]] = {rung: {} for rung in SETTINGS}
    base: list[Reals] = []
    for number, fold in enumerate(origins.folds, start=1):
        rows, leads = len(fold.fit), len(fold.judge)
        progress(f"rolling origin {number} of {len(origins.folds)}: {rows:,} rows, judged on {leads:,} leads")
        fit, judge = origins.rows.take(fold.fit), origins.rows.matrix[fold.judge]
        base.append(fit_base_rate(fit).contributions(judge).sum(axis=1))
        for rung, value, margin in _margins(origins, fit, judge, trees):
            found[rung].setdefault(value, []).append(margin)
    fitted = [_best(rung, setting, found[rung], origins) for rung, setting in SETTINGS.items() if found[rung]]
    return [_Candidate("base_rate", {}, np.concatenate(base)), *fitted]


SETTINGS: Mapping[Rung, str] = {
    "segment_rates": "segment",
    "logistic": "strength",
    "additive": "trees",
    "lightgbm": "trees",
}
"""What is chosen of each fitted rung: the category, the regularisation, the number of trees."""


def _margins(origins: Origins, fit: Rows, judge: Matrix, trees: TreeSettings) -> Iterator[tuple[Rung, float, Reals]]:
    """The margins of every fitted rung at every setting."""
    encoding, directions = origins.encoding, origins.directions
    for segment, feature in enumerate(encoding.features):
        if feature.kind == "category":
            yield "segment_rates", segment, _segment_rates(fit, encoding, segment).contributions(judge).sum(axis=1)
    for strength in STRENGTHS:
        fitted = fit_logistic(fit, encoding, directions, strength)
        yield "logistic", strength, fitted.contributions(judge).sum(axis=1)
    for rung in TREES:
        settings = replace(trees, trees=STAGES[-1], additive=rung == "additive")
        booster = fit_trees(fit, encoding, directions, settings, origins.seed)
        for stage, margin in staged_margins(booster, judge, STAGES).items():
            yield rung, stage, margin


def _segment_rates(rows: Rows, encoding: Encoding, segment: int) -> SegmentRates:
    return fit_segment_rates(rows, segment, len(encoding.features[segment].levels))


def _best(rung: Rung, setting: str, margins: Mapping[float, list[Reals]], origins: Origins) -> _Candidate:
    """The setting with the least out-of-time log loss once calibrated on the other folds; the first in ties."""
    whole = {value: np.concatenate(parts) for value, parts in margins.items()}
    loss = {value: log_loss(origins.won, origins.calibrated(margin)) for value, margin in whole.items()}
    value = min(loss, key=lambda candidate: loss[candidate])
    return _Candidate(rung, {setting: value}, whole[value])


def _judged(candidate: _Candidate, origins: Origins) -> Reals:
    """A rung's out-of-time probabilities, calibrated.

    The base rate is judged at its better, as it is served or calibrated like the others: else, where wins grow rarer,
    even noise would climb by its level alone.
    """
    calibrated = origins.calibrated(candidate.margin)
    if candidate.rung != "base_rate":
        return calibrated
    served = np.asarray(sigmoid(candidate.margin))
    return served if log_loss(origins.won, served) < log_loss(origins.won, calibrated) else calibrated


_FIRST_STEP = 2.5
"""Standard errors: with four rungs trying, chance alone takes the step in at most 1 of 40 trainings (Bonferroni)."""


def climb(won: Reals, probabilities: Mapping[Rung, Reals], clusters: Clusters) -> tuple[Rung, str]:
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


def _figures(won: Reals, probability: Reals) -> Mapping[str, Any]:
    return {
        "rows": len(won),
        "log_loss": log_loss(won, probability),
        "auc": auc(won, probability),
        "brier": float(np.mean((won - probability) ** 2)),
    }
