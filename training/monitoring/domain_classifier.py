"""The domain classifier: whether recent leads can be told from those before the champion was made, and by what.

It reads features, never an outcome, and none that dates a lead, such as the month or a partner's growing history. In a
living business leads of any later window are told from earlier ones a little; so the same is asked of windows before
the champion was made, and only being told apart better than those is drift.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.arrays import Reals
from models.encoding import Encoding
from training.evaluation.metrics import Clusters, auc
from training.monitoring.leads import Leads
from training.monitoring.windows import Pair, beyond

_FOLDS, _ROUNDS, _DRAWS = 5, 30, 200
_MOST_ROWS = 5000
_CARRIES = 0.1
"""Least share of the classifier's gain that names a feature."""


@dataclass(frozen=True)
class Apart:
    """How well two windows of leads are told apart.

    Attributes:
        auc: cross-validated, whole accounts together; .5 where they are alike.
        interval: its central 95 %, by account.
        error: its standard error.
        carriers: the features that carry it, with their shares of the gain, most first.
    """

    auc: float
    interval: tuple[float, float]
    error: float
    carriers: tuple[tuple[str, float], ...]

    @property
    def carried(self) -> str:
        """The features that carry it, in words."""
        return ", ".join(f"{name} ({share:.0%})" for name, share in self.carriers) or "no feature in particular"

    def beyond(self, past: Sequence["Apart"]) -> float:
        """The probability of being told apart so well if no better than past windows (without any: than by chance)."""
        return beyond(self.auc, self.error, [(one.auc, one.error) for one in past], 0.5)

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"auc": self.auc, "auc_95": list(self.interval), "carriers": dict(self.carriers)}


def apart(leads: Leads, encoding: Encoding, names: Collection[str], pair: Pair, seed: int) -> Apart:
    """How well the later leads are told from the earlier ones by the features named; by none not at all."""
    columns = [column for column, name in enumerate(encoding.names) if name in names]
    encoding = Encoding(tuple(encoding.features[column] for column in columns))
    if not columns:
        return Apart(0.5, (0.5, 0.5), 0.0, ())
    rng = np.random.default_rng(seed)
    rows = np.concatenate([_some(np.flatnonzero(flags), rng) for flags in (pair.before, pair.after)])
    target, cluster = pair.after[rows].astype(np.float64), leads.cluster[rows]
    matrix = leads.matrix[rows][:, columns]
    found, gain = _cross_validated(matrix, target, encoding, _folds(cluster, rng))
    clusters = Clusters(cluster, rng, _DRAWS)
    draws: list[float] = []

    def remembered(weight: Reals) -> float:
        draws.append(auc(target, found, weight))
        return draws[-1]

    interval = clusters.interval(remembered)
    order = np.argsort(-gain, kind="stable")
    carriers = tuple((encoding.names[j], float(gain[j])) for j in order if gain[j] >= _CARRIES)
    return Apart(auc(target, found), interval, float(np.std(draws)), carriers)


def _some(positions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(positions, _MOST_ROWS, replace=False) if len(positions) > _MOST_ROWS else positions


def _folds(cluster: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Each row's fold; an account lies in one, or the classifier would know it by its size."""
    names, place = np.unique(cluster, return_inverse=True)
    found: NDArray[np.int64] = (rng.permutation(len(names)) % _FOLDS)[place]
    return found


def _cross_validated(matrix: Reals, target: Reals, encoding: Encoding, fold: NDArray[np.int64]) -> tuple[Reals, Reals]:
    """Out-of-fold scores, and each feature's share of the gain."""
    score, gain = np.full(len(target), 0.5), np.zeros(len(encoding.features))
    for one in range(_FOLDS):
        judge = fold == one
        if judge.any() and np.ptp(target[~judge]) > 0:
            booster = _fit(matrix[~judge], target[~judge], encoding)
            score[judge] = np.asarray(booster.predict(matrix[judge], num_threads=1))
            gain += booster.feature_importance("gain")
    return score, gain / max(float(gain.sum()), 1e-12)


def _fit(matrix: Reals, target: Reals, encoding: Encoding) -> lightgbm.Booster:
    categories = [j for j, feature in enumerate(encoding.features) if feature.kind == "category"]
    # Both windows weigh alike, so that the score of a fold does not hang on how many of each it got.
    weight = np.where(target == 1, 0.5 / target.mean(), 0.5 / (1 - target.mean()))
    data = lightgbm.Dataset(matrix, target, weight=weight, categorical_feature=categories, free_raw_data=True)
    settings = {
        "objective": "binary",
        "num_leaves": 8,
        "min_data_in_leaf": 20,
        "learning_rate": 0.1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train(settings, data, num_boost_round=_ROUNDS)
