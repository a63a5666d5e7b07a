"""Attributes that decide the outcome together though none of them does alone.

Four columns that each say a little of what happened after the outcome rank leads nearly perfectly side by side. The
search fits trees on everything that a model would read. Where they rank out-of-time outcomes above `DECISIVE_AUC`, it
looks for the fewest attributes that do so by themselves and without which most of the skill is gone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np

from models.arrays import Integers, Reals
from models.encoding import Encoding
from training.data.rows import Rows, has_enough_outcomes
from training.data.splits import Fold
from training.evaluation.leak_findings import Evidence
from training.evaluation.metrics import auc
from training.leaks.single_feature_auc import DECISIVE_AUC

MAX_GROUP = 10
_MAX_ROWS = 50_000
_FOLDS = 2
_TREES = 100
_SETTINGS = {"objective": "binary", "max_depth": 3, "num_leaves": 8, "learning_rate": 0.1, "verbosity": -1}
_SETTINGS |= {"deterministic": True, "force_row_wise": True, "num_threads": 1, "min_data_in_leaf": 20}


@dataclass(frozen=True)
class _Judge:
    """Fits trees on some features before the latest origins and ranks the leads after them."""

    rows: Rows
    encoding: Encoding
    folds: Sequence[Fold]
    rng: np.random.Generator

    def auc(self, features: Sequence[int]) -> tuple[float, Reals]:
        """The mean AUC, and the mean gain of each feature."""
        found = [self._judged(fold, features) for fold in self.folds]
        return float(np.mean([each for each, _ in found])), np.mean([gain for _, gain in found], axis=0)

    def _judged(self, fold: Fold, features: Sequence[int]) -> tuple[float, Reals]:
        fit = self._sample(fold.fit)
        matrix = self.rows.matrix[:, features]
        categories = [at for at, feature in enumerate(features) if self.encoding.features[feature].kind == "category"]
        data = lightgbm.Dataset(
            matrix[fit], self.rows.won[fit], weight=self.rows.weight[fit], categorical_feature=categories
        )
        trees = lightgbm.train({**_SETTINGS, "seed": 0}, data, num_boost_round=_TREES)
        ranked = np.asarray(trees.predict(matrix[fold.judge], raw_score=True), dtype=np.float64)
        gain = np.asarray(trees.feature_importance("gain"), dtype=np.float64)
        return auc(self.rows.won[fold.judge], ranked), gain

    def _sample(self, rows: Integers) -> Integers:
        return rows if len(rows) <= _MAX_ROWS else np.sort(self.rng.choice(rows, _MAX_ROWS, replace=False))


def evidence(
    rows: Rows, encoding: Encoding, folds: Sequence[Fold], attributes: Collection[str], rng: np.random.Generator
) -> Mapping[str, Evidence]:
    """Evidence by attribute of a group that decides the outcome; empty where there is none.

    Args:
        rows: the rows as the model reads them.
        encoding: the encoding of their features.
        folds: the rows to fit on and to judge by.
        attributes: names of the features that an import declared.
        rng: draws rows where they are many.
    """
    usable = [fold for fold in folds if has_enough_outcomes(rows.won[fold.fit]) and _both(rows.won[fold.judge])]
    if not usable or len(attributes) < 2 or not encoding.features:
        return {}
    judge = _Judge(rows, encoding, usable[-_FOLDS:], rng)
    everything = list(range(len(encoding.features)))
    whole, gains = judge.auc(everything)
    if whole <= DECISIVE_AUC:
        return {}
    declared = [at for at in np.argsort(-gains).tolist() if encoding.names[at] in attributes and gains[at] > 0]
    for count in range(2, min(len(declared), MAX_GROUP) + 1):
        members = declared[:count]
        others = [at for at in everything if at not in members]
        alone = judge.auc(members)[0]
        without = judge.auc(others)[0] if others else 0.5
        if alone > DECISIVE_AUC and without - 0.5 <= (whole - 0.5) / 2:
            return _explained([encoding.names[at] for at in members], alone, without)
    return {}


def _both(won: Reals) -> bool:
    return bool(0 < won.sum() < len(won))


def _explained(names: Sequence[str], alone: float, without: float) -> Mapping[str, Evidence]:
    def words(name: str) -> str:
        others = ", ".join(other for other in names if other != name)
        return (
            f"ranks out-of-time outcomes with AUC {alone:.3f} together with {others}; "
            f"without them a model has AUC {without:.3f}"
        )

    figures = {"auc": alone, "auc_without": without}
    return {
        name: Evidence(kind="group", words=words(name), strength=alone, decisive=True, figures=figures)
        for name in names
    }
