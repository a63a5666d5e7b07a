"""The domain classifier: whether recent leads can be told from those before the champion was made, and by what.

It reads features, never an outcome, and none that dates a lead, such as the month or a partner's growing history. In a
living business leads of any later window are told from earlier ones a little; so the same is asked of windows before
the champion was made, and only being told apart better than those is drift.
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
_MOST_ROWS = 5000


@dataclass(frozen=True)
class DomainSeparation:
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

    def p_value(self, past: Sequence["DomainSeparation"]) -> float:
        """The probability of being told apart so well if no better than past windows (without any: than by chance)."""
        return drift_p_value(self.auc, self.error, [(one.auc, one.error) for one in past], 0.5)

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"auc": self.auc, "auc_95": list(self.interval), "carriers": dict(self.carriers)}


def domain_separation(
    leads: ObservedLeads, encoding: Encoding, names: Collection[str], pair: WindowPair, seed: int
) -> DomainSeparation:
    """How well the later leads are told from the earlier ones by the features named; by none not at all."""
    columns = [column for column, name in enumerate(encoding.names) if name in names]
    encoding = Encoding(tuple(encoding.features[column] for column in columns))
    if not columns:
        return DomainSeparation(0.5, (0.5, 0.5), 0.0, ())
    rng = np.random.default_rng(seed)
    rows = np.concatenate([_some(np.flatnonzero(flags), rng) for flags in (pair.before, pair.after)])
    target, cluster = pair.after[rows].astype(np.float64), leads.cluster[rows]
    matrix = leads.matrix[rows][:, columns]
    found = cross_validate(matrix, target, encoding, _folds(cluster, rng), _SETTINGS)
    draws = ClusterBootstrap(cluster, rng, _DRAWS).draw(auc_by_weight(target, found.score))
    order = np.argsort(-found.gain_share, kind="stable")
    carriers = tuple(
        (encoding.names[j], float(found.gain_share[j])) for j in order if found.gain_share[j] >= MIN_GAIN_SHARE
    )
    return DomainSeparation(auc(target, found.score), central_95(draws), float(np.std(draws)), carriers)


def _some(positions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(positions, _MOST_ROWS, replace=False) if len(positions) > _MOST_ROWS else positions


def _folds(cluster: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Each row's fold; an account lies in one, or the classifier would know it by its size."""
    names, place = np.unique(cluster, return_inverse=True)
    found: NDArray[np.int64] = (rng.permutation(len(names)) % _FOLDS)[place]
    return found
