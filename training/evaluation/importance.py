"""Global importance: the mean absolute contribution over rows, by feature and by family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Importance:
    """The importance of features and families for a model's log-odds, strongest first.

    Attributes:
        features: mean absolute contribution by feature.
        families: mean absolute sum of a family's contributions; features that cancel within a lead do not count.
    """

    features: Mapping[str, float]
    families: Mapping[str, float]


def importance(names: Sequence[str], families: Mapping[str, str], parts: NDArray[np.float64]) -> Importance:
    """The importance of features from their contributions.

    Args:
        names: the features, in the order of the columns.
        families: the family of each feature.
        parts: calibrated contributions, shape (rows, features + 1), the base last.
    """
    strength = dict(zip(names, np.abs(parts[:, :-1]).mean(axis=0).tolist(), strict=True))
    members: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(families[name], []).append(position)
    by_family = {family: float(np.abs(parts[:, at].sum(axis=1)).mean()) for family, at in members.items()}
    return Importance(_strongest_first(strength), _strongest_first(by_family))


def _strongest_first(strength: Mapping[str, float]) -> Mapping[str, float]:
    return dict(sorted(strength.items(), key=lambda item: (-item[1], item[0])))
