"""The two-sample classifier: whether LightGBM can tell two samples of leads apart by their features, and by which.

An AUC of .5 means that the samples look alike. Training uses it between training and test leads, monitoring between
recent leads and those before.
"""

from dataclasses import dataclass

import lightgbm
import numpy as np

from models.arrays import Integers, Reals
from models.encoding import Encoding

ROUNDS = 30
MIN_GAIN_SHARE = 0.1
"""A feature is named where it carries at least this share of the classifier's gain."""


@dataclass(frozen=True)
class ClassifierSettings:
    """Settings of the classifier.

    Attributes:
        learning_rate: LightGBM's.
        balanced: whether both samples have the same total weight, so that the score of a fold does not depend on how
            many leads of each sample are in it.
    """

    learning_rate: float
    balanced: bool = False


@dataclass(frozen=True)
class CrossValidated:
    """Scores by models that did not see the row, and the importance of the features.

    Attributes:
        score: of each row; .5 where no model could be fitted.
        gain_share: the share of each feature in the classifiers' gain.
    """

    score: Reals
    gain_share: Reals


def cross_validate(
    matrix: Reals, target: Reals, encoding: Encoding, fold: Integers, settings: ClassifierSettings
) -> CrossValidated:
    """Cross-validate the classifier.

    Args:
        matrix: the features of both samples (rows, features), NaN for missing.
        target: 1 for rows of the later sample, 0 for the others.
        encoding: the encoding of the features.
        fold: the fold of each row; a fold is scored by the model fitted on the others.
        settings: of the classifier.
    """
    score, gain = np.full(len(target), 0.5), np.zeros(len(encoding.features))
    for number in np.unique(fold):
        judged = fold == number
        if np.ptp(target[~judged]) > 0:
            booster = _fit(matrix[~judged], target[~judged], encoding, settings)
            score[judged] = np.asarray(booster.predict(matrix[judged], num_threads=1))
            gain += booster.feature_importance("gain")
    return CrossValidated(score, gain / max(float(gain.sum()), 1e-12))


def _fit(matrix: Reals, target: Reals, encoding: Encoding, settings: ClassifierSettings) -> lightgbm.Booster:
    categories = [j for j, feature in enumerate(encoding.features) if feature.kind == "category"]
    weight = np.where(target == 1, 0.5 / target.mean(), 0.5 / (1 - target.mean())) if settings.balanced else None
    data = lightgbm.Dataset(matrix, target, weight=weight, categorical_feature=categories, free_raw_data=True)
    parameters = {
        "objective": "binary",
        "num_leaves": 8,
        "min_data_in_leaf": 20,
        "learning_rate": settings.learning_rate,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train(parameters, data, num_boost_round=ROUNDS)
