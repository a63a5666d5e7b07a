"""Adversarial train and test: a classifier that tells training leads from those of the test window, and by what.

It reads features only, never an outcome. What carries it drifts: the model will meet values it has seen little of. It
is named, and never blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.arrays import Integers, Reals
from models.encoding import Encoding
from training.data.rows import MIN_ROWS_FOR_THREADS, Rows
from training.data.splits import Split
from training.evaluation.metrics import auc
from training.leaks.single_feature_auc import null_error

DRIFTING_AUC = 0.65
CARRIES = 0.1
"""Least share of the classifier's gain that names a feature."""
_MOST_ROWS, _FEWEST = 20_000, 100
_STANDARD_ERRORS = 4.0
_ROUNDS = 30
_TIMES = 3


@dataclass(frozen=True)
class Drift:
    """A feature by which training and test leads are told apart.

    Attributes:
        name: the feature.
        auc: how well the classifier tells them apart.
        share: of the classifier's gain that the feature carries.
        without: how many features had been left out, since they tell more.
    """

    name: str
    auc: float
    share: float
    without: int

    @property
    def evidence(self) -> str:
        """What was seen, in words."""
        rest = f" once the {self.without} that tell more are left out" if self.without else ""
        return f"carries {self.share:.0%} of what tells training from test leads{rest} (AUC {self.auc:.3f})"

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"name": self.name, "auc": self.auc, "share": self.share, "evidence": self.evidence}


def drifting(rows: Rows, encoding: Encoding, split: Split, rng: np.random.Generator) -> list[Drift]:
    """The features by which training and test leads are told apart, worst first; none where they are not.

    What one feature tells hides what others tell, so those found are left out and the rest asked again, a few times.
    """
    train = _some(split.train[rows.at_creation[split.train]], rng)
    test = _some(split.test, rng)
    if min(len(train), len(test)) < _FEWEST:
        return []
    matrix = rows.matrix[np.concatenate((train, test))]
    later = np.repeat([0.0, 1.0], [len(train), len(test)])
    half = rng.random(len(later)) < 0.5
    asked, named = np.arange(len(encoding.features)), list[Drift]()
    for _ in range(_TIMES):
        if not len(asked):
            break
        some = Encoding(tuple(encoding.features[j] for j in asked))
        found, gain = _told_apart(matrix[:, asked], later, some, half)
        if found < DRIFTING_AUC or found - 0.5 < _STANDARD_ERRORS * null_error(later):
            break
        shares = zip(some.names, gain.tolist(), strict=True)
        carrying = [Drift(name, found, share, len(named)) for name, share in shares if share >= CARRIES]
        named += sorted(carrying, key=lambda one: (-one.share, one.name))
        asked = asked[gain < CARRIES]
    return named


def _some(positions: Integers, rng: np.random.Generator) -> Integers:
    return np.sort(rng.choice(positions, _MOST_ROWS, replace=False)) if len(positions) > _MOST_ROWS else positions


def _told_apart(matrix: Reals, later: Reals, encoding: Encoding, side: NDArray[np.bool_]) -> tuple[float, Reals]:
    """The AUC, each half judged by the other, and each feature's share of the gain."""
    aucs, gains = [], []
    for fit, judge in ((side, ~side), (~side, side)):
        booster = _fit(matrix[fit], later[fit], encoding)
        aucs.append(auc(later[judge], np.asarray(booster.predict(matrix[judge], num_threads=_threads(len(later))))))
        gains.append(booster.feature_importance("gain"))
    gain = np.sum(gains, axis=0)
    return float(np.mean(aucs)), gain / max(float(gain.sum()), 1e-12)


def _fit(matrix: Reals, later: Reals, encoding: Encoding) -> lightgbm.Booster:
    categories = [j for j, feature in enumerate(encoding.features) if feature.kind == "category"]
    data = lightgbm.Dataset(matrix, later, categorical_feature=categories, free_raw_data=True)
    settings = {
        "objective": "binary",
        "num_leaves": 8,
        "min_data_in_leaf": 20,
        "learning_rate": 0.2,
        "num_threads": _threads(len(later)),
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train(settings, data, num_boost_round=_ROUNDS)


def _threads(rows: int) -> int:
    return 2 if rows >= MIN_ROWS_FOR_THREADS else 1
