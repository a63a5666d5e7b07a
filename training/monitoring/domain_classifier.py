"""The domain classifier: how well a classifier separates recent leads from those before the champion's training.

It reads features, never an outcome, and no feature that dates a lead, such as the month or a partner's growing history.
In a living business any later window of leads differs a little from an earlier one. So past pairs of windows are
separated in the same way, and only a better separation than theirs is an alarm.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoding import Encoding
from training.evaluation.bootstrap import ClusterBootstrap, central_95
from training.evaluation.metrics import auc, auc_by_weight
from training.evaluation.two_sample_classifier import MIN_GAIN_SHARE, ClassifierSettings, cross_validate
from training.monitoring.leads import ObservedLeads
from training.monitoring.windows import WindowPair, drift_p_value

_FOLDS, _DRAWS = 5, 200
_SETTINGS = ClassifierSettings(learning_rate=0.1, balanced=True)
_MAX_ROWS = 5000


@dataclass(frozen=True)
class DomainSeparation:
    """How well a classifier separates two windows of leads.

    Attributes:
        auc: cross-validated with whole accounts in one fold; .5 where the windows are alike.
        interval: its central 95 %, by account.
        error: its standard error.
        carriers: the features that carry the classifier, with their shares of the gain, most first.
    """

    auc: float
    interval: tuple[float, float]
    error: float
    carriers: tuple[tuple[str, float], ...]

    @property
    def carried(self) -> str:
        """The features that carry the classifier, in words."""
        return ", ".join(f"{name} ({share:.0%})" for name, share in self.carriers) or "no feature in particular"

    def p_value(self, past: Sequence["DomainSeparation"]) -> float:
        """The probability of an AUC as high if recent leads were like the past pairs (without pairs: alike)."""
        return drift_p_value(self.auc, self.error, [(one.auc, one.error) for one in past], 0.5)

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"auc": self.auc, "auc_95": list(self.interval), "carriers": dict(self.carriers)}


def domain_separation(
    leads: ObservedLeads, encoding: Encoding, names: Collection[str], pair: WindowPair, seed: int
) -> DomainSeparation:
    """How well the named features separate the later leads from the earlier ones; without features, not at all."""
    columns = [column for column, name in enumerate(encoding.names) if name in names]
    encoding = Encoding(tuple(encoding.features[column] for column in columns))
    if not columns:
        return DomainSeparation(0.5, (0.5, 0.5), 0.0, ())
    rng = np.random.default_rng(seed)
    rows = np.concatenate([_sampled(np.flatnonzero(flags), rng) for flags in (pair.before, pair.after)])
    target, cluster = pair.after[rows].astype(np.float64), leads.cluster[rows]
    matrix = leads.matrix[rows][:, columns]
    validated = cross_validate(matrix, target, encoding, _folds(cluster, rng), _SETTINGS)
    draws = ClusterBootstrap(cluster, rng, _DRAWS).draw(auc_by_weight(target, validated.score))
    order = np.argsort(-validated.gain_share, kind="stable")
    carriers = tuple(
        (encoding.names[j], float(validated.gain_share[j])) for j in order if validated.gain_share[j] >= MIN_GAIN_SHARE
    )
    return DomainSeparation(auc(target, validated.score), central_95(draws), float(np.std(draws)), carriers)


def _sampled(positions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(positions, _MAX_ROWS, replace=False) if len(positions) > _MAX_ROWS else positions


def _folds(cluster: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each row; an account lies in one fold, else the classifier would recognise it by its size."""
    names, position = np.unique(cluster, return_inverse=True)
    folds: NDArray[np.int64] = (rng.permutation(len(names)) % _FOLDS)[position]
    return folds
