"""Choosing the rung: each fitted at every rolling origin, judged by out-of-time log loss, the simpler in doubt."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoding import Encoding, Matrix
from models.probability import TREES, MarginModel, Rung, SegmentRates, sigmoid
from training.calibrating import calibrate
from training.evaluation import Clusters, auc, log_loss, losses
from training.ladder import (
    Rows,
    TreeSettings,
    fit_base_rate,
    fit_logistic,
    fit_segment_rates,
    fit_trees,
    staged_margins,
)
from training.splits import Fold, Split

Reals = NDArray[np.float64]
Settings = Mapping[str, float]

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""The logistic rung's regularisation, as scikit-learn's C."""
STAGES = (25, 50, 100, 150, 200, 300, 450, 600)
"""Numbers of trees."""
FEWEST_WINS = 10
"""Wins, and losses, that a rung above the base rate needs to be fitted and judged."""


@dataclass(frozen=True)
class Choice:
    """The rung to serve and how it won.

    Attributes:
        rung: the one served.
        reason: why, in words.
        settings: what was chosen with it.
        judged: positions of the rolling origins' rows.
        latest: which of them the last origin judged.
        margins: its uncalibrated out-of-time margins on those rows.
        table: figures by rung on those rows, calibrated.
    """

    rung: Rung
    reason: str
    settings: Settings
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
        settings = TreeSettings(trees=int(self.settings["trees"]), additive=self.rung == "additive")
        return fit_trees(rows, encoding, directions, settings, seed)


@dataclass(frozen=True)
class _Candidate:
    """A rung with the settings that did best: its margins by fold."""

    rung: Rung
    settings: Settings
    margins: tuple[Reals, ...]


def choose(
    rows: Rows,
    encoding: Encoding,
    directions: Sequence[int],
    split: Split,
    cluster: NDArray[np.str_],
    progress: Callable[[str], None],
    seed: int,
) -> Choice:
    """The rung to serve, from the rolling origins alone; `cluster` names each row's account, group or lead."""
    if not encoding.features:
        return _base_rate("no feature varies among the training leads")
    folds = [fold for fold in split.folds if _enough(rows.won[fold.fit]) and len(fold.judge)]
    judged = np.concatenate([fold.judge for fold in folds]) if folds else np.array([], dtype=np.int64)
    if not _enough(rows.won[judged]):
        won = rows.won[split.train][rows.at_creation[split.train]]
        reason = f"{won.sum():.0f} wins among {len(won)} training leads are too few to fit and judge more"
        return _base_rate(reason)
    candidates = _candidates(rows, encoding, directions, folds, progress, seed)
    won = rows.won[judged]
    fold_of = np.repeat(np.arange(len(folds)), [len(fold.judge) for fold in folds])
    calibrated = {c.rung: _judged(c, won, fold_of) for c in candidates}
    rung, reason = climb(won, calibrated, Clusters(cluster[judged], np.random.default_rng(seed)))
    chosen = next(c for c in candidates if c.rung == rung)
    table = [{"rung": name, **_figures(won, probability)} for name, probability in calibrated.items()]
    latest = fold_of == fold_of.max()
    return Choice(rung, reason, chosen.settings, judged, latest, np.concatenate(chosen.margins), table)


def _base_rate(reason: str) -> Choice:
    """The base rate, chosen before anything was judged."""
    return Choice("base_rate", reason, {}, np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))


def _enough(won: Reals) -> bool:
    return bool(min(won.sum(), (1 - won).sum()) >= FEWEST_WINS)


def _candidates(
    rows: Rows,
    encoding: Encoding,
    directions: Sequence[int],
    folds: Sequence[Fold],
    progress: Callable[[str], None],
    seed: int,
) -> list[_Candidate]:
    """Every rung that the features allow, each with its best settings."""
    found: dict[Rung, dict[float, list[Reals]]] = {rung: {} for rung in SETTINGS}
    base: list[Reals] = []
    for number, fold in enumerate(folds, start=1):
        progress(
            f"rolling origin {number} of {len(folds)}: {len(fold.fit):,} rows, judged on {len(fold.judge):,} leads"
        )
        fit, judge = rows.take(fold.fit), rows.matrix[fold.judge]
        base.append(fit_base_rate(fit).contributions(judge).sum(axis=1))
        for rung, value, margin in _margins(fit, judge, encoding, directions, seed):
            found[rung].setdefault(value, []).append(margin)
    wins = [rows.won[fold.judge] for fold in folds]
    fitted = [_best(rung, setting, found[rung], wins) for rung, setting in SETTINGS.items() if found[rung]]
    return [_Candidate("base_rate", {}, tuple(base)), *fitted]


SETTINGS: Mapping[Rung, str] = {
    "segment_rates": "segment",
    "logistic": "strength",
    "additive": "trees",
    "lightgbm": "trees",
}
"""What is chosen of each fitted rung: the category, the regularisation, the number of trees."""


def _margins(
    fit: Rows, judge: Matrix, encoding: Encoding, directions: Sequence[int], seed: int
) -> Iterator[tuple[Rung, float, Reals]]:
    """The margins of every fitted rung at every setting."""
    for segment, feature in enumerate(encoding.features):
        if feature.kind == "category":
            yield "segment_rates", segment, _segment_rates(fit, encoding, segment).contributions(judge).sum(axis=1)
    for strength in STRENGTHS:
        fitted = fit_logistic(fit, encoding, directions, strength)
        yield "logistic", strength, fitted.contributions(judge).sum(axis=1)
    for rung in TREES:
        settings = TreeSettings(trees=STAGES[-1], additive=rung == "additive")
        booster = fit_trees(fit, encoding, directions, settings, seed)
        for stage, margin in staged_margins(booster, judge, STAGES).items():
            yield rung, stage, margin


def _segment_rates(rows: Rows, encoding: Encoding, segment: int) -> SegmentRates:
    return fit_segment_rates(rows, segment, len(encoding.features[segment].levels))


def _best(rung: Rung, setting: str, margins: Mapping[float, list[Reals]], wins: Sequence[Reals]) -> _Candidate:
    """The setting with the least out-of-time log loss once calibrated on the other folds; the first in ties."""
    won, fold_of = np.concatenate(wins), np.repeat(np.arange(len(wins)), [len(w) for w in wins])
    loss = {value: log_loss(won, _cross_calibrated(np.concatenate(m), won, fold_of)) for value, m in margins.items()}
    value = min(loss, key=lambda candidate: loss[candidate])
    return _Candidate(rung, {setting: value}, tuple(margins[value]))


def _judged(candidate: _Candidate, won: Reals, fold_of: NDArray[np.int64]) -> Reals:
    """A rung's out-of-time probabilities, calibrated.

    The base rate is judged at its better, as it is served or calibrated like the others: else, where wins grow rarer,
    even noise would climb by its level alone.
    """
    margin = np.concatenate(candidate.margins)
    calibrated = _cross_calibrated(margin, won, fold_of)
    if candidate.rung != "base_rate":
        return calibrated
    served = np.asarray(sigmoid(margin))
    return served if log_loss(won, served) < log_loss(won, calibrated) else calibrated


def _cross_calibrated(margin: Reals, won: Reals, fold_of: NDArray[np.int64]) -> Reals:
    """Probabilities of each fold under the calibration map of the others, so that no rung wins by its level alone."""
    probability = np.empty(len(margin))
    for fold in np.unique(fold_of):
        others, own = fold_of != fold, fold_of == fold
        map_ = calibrate(margin[others], won[others])
        probability[own] = sigmoid(map_.log_odds(margin[own]))
    return probability


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
