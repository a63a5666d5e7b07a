"""Global importance: the mean absolute contribution over rows, by feature and by family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Importance:
    """What moves a model's log-odds, strongest first.

    Attributes:
        features: mean absolute contribution by feature.
        families: mean absolute sum of a family's contributions; features that cancel within a lead count for nothing.
    """

    features: Mapping[str, float]
    families: Mapping[str, float]


def importance(names: Sequence[str], families: Mapping[str, str], parts: NDArray[np.float64]) -> Importance:
    """The importance of features, in order by name, from calibrated parts (rows, features + 1, the base last)."""
    strength = dict(zip(names, np.abs(parts[:, :-1]).mean(axis=0).tolist(), strict=True))
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(families[name], []).append(place)
    together = {family: float(np.abs(parts[:, at].sum(axis=1)).mean()) for family, at in members.items()}
    return Importance(_strongest_first(strength), _strongest_first(together))


def _strongest_first(strength: Mapping[str, float]) -> Mapping[str, float]:
    return dict(sorted(strength.items(), key=lambda item: (-item[1], item[0])))
