"""Adversarial validation: a classifier that distinguishes training leads from test leads, and the features it uses.

It reads features only, never an outcome. A feature that carries the classifier drifts: the model will meet values that
it has rarely seen. Such a feature is named and never blocks training.
"""

import numpy as np

from models.arrays import Integers
from models.encoding import Encoding
from training.data.rows import Rows
from training.data.splits import Split
from training.evaluation.leak_findings import DriftingFeature
from training.evaluation.metrics import auc, null_auc_error
from training.evaluation.two_sample_classifier import MIN_GAIN_SHARE, ClassifierSettings, cross_validate

DRIFTING_AUC = 0.65
_MAX_ROWS, _MIN_ROWS = 20_000, 100
_STANDARD_ERRORS = 4.0
_ROUNDS = 3
_SETTINGS = ClassifierSettings(learning_rate=0.2)


def drifting(rows: Rows, encoding: Encoding, split: Split, rng: np.random.Generator) -> list[DriftingFeature]:
    """The features that distinguish training leads from test leads, most first; none where the two look alike.

    A strong feature hides weaker ones. So the features found are left out and the classifier is fitted again, at most
    three times.
    """
    train = _sampled(split.train[rows.at_creation[split.train]], rng)
    test = _sampled(split.test, rng)
    if min(len(train), len(test)) < _MIN_ROWS:
        return []
    matrix = rows.matrix[np.concatenate((train, test))]
    later = np.repeat([0.0, 1.0], [len(train), len(test)])
    fold = (rng.random(len(later)) < 0.5).astype(np.int64)
    candidates, named = np.arange(len(encoding.features)), list[DriftingFeature]()
    for _ in range(_ROUNDS):
        if not len(candidates):
            break
        some = Encoding(tuple(encoding.features[j] for j in candidates))
        validated = cross_validate(matrix[:, candidates], later, some, fold, _SETTINGS)
        separation = float(np.mean([auc(later[fold == half], validated.score[fold == half]) for half in (0, 1)]))
        if separation < DRIFTING_AUC or separation - 0.5 < _STANDARD_ERRORS * null_auc_error(later):
            break
        shares = zip(some.names, validated.gain_share.tolist(), strict=True)
        carrying = [_feature(name, separation, share, len(named)) for name, share in shares if share >= MIN_GAIN_SHARE]
        named += sorted(carrying, key=lambda feature: (-feature.share, feature.name))
        candidates = candidates[validated.gain_share < MIN_GAIN_SHARE]
    return named


def _feature(name: str, separation: float, share: float, left_out: int) -> DriftingFeature:
    rest = f" once the {left_out} that tell more are left out" if left_out else ""
    words = f"carries {share:.0%} of what tells training from test leads{rest} (AUC {separation:.3f})"
    return DriftingFeature(name, separation, share, words)


def _sampled(positions: Integers, rng: np.random.Generator) -> Integers:
    """At most `_MAX_ROWS` of the positions, drawn without replacement, in order."""
    return np.sort(rng.choice(positions, _MAX_ROWS, replace=False)) if len(positions) > _MAX_ROWS else positions
