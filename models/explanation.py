"""The explanation: what each feature adds, in log-odds and in percentage points, both exactly additive.

Log-odds are the calibrated contributions: base + contributions = served log-odds. Points rescale them by the chord of
the sigmoid between base and served log-odds, phi * (p - p0) / (m - m0), which is the Aumann-Shapley value of the
sigmoid of a sum; they add up to 100 * (p - p0).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FAMILIES
from features.value_types import Scalar
from models.probability import sigmoid


class Contribution(NamedTuple):
    """What one feature adds.

    Attributes:
        feature: its name.
        family: its family.
        value: its value for this lead; None is missing.
        log_odds: added to the baseline's log-odds.
        points: added to the baseline, in percentage points.
        sentence: how sales reads the value.
    """

    feature: str
    family: str
    value: Scalar
    log_odds: float
    points: float
    sentence: str


@dataclass(frozen=True)
class Explanation:
    """A probability taken apart.

    Attributes:
        baseline: the probability before any feature speaks.
        contributions: strongest first.
        families: percentage points by family, in the catalogue's order.
    """

    baseline: float
    contributions: tuple[Contribution, ...]
    families: Mapping[str, float]


def explain(
    catalogue: Catalogue, names: tuple[str, ...], parts: NDArray[np.float64], features: Mapping[str, Scalar]
) -> Explanation:
    """The explanation of one row of calibrated parts (features + 1, the base last), named in order by `names`."""
    base, total = float(parts[-1]), float(parts.sum())
    scale = 100 * chord(base, total)
    contributions = []
    for name, part in zip(names, parts[:-1].tolist(), strict=True):
        entry, value = catalogue[name], features[name]
        contributions.append(Contribution(name, entry.family, value, part, part * scale, entry.read(value)))
    contributions.sort(key=lambda c: (-abs(c.log_odds), c.feature))
    points: dict[str, list[float]] = {family: [] for family in FAMILIES}
    for contribution in contributions:
        points[contribution.family].append(contribution.points)
    families = {family: sum(of_family) for family, of_family in points.items()}
    return Explanation(float(sigmoid(base)), tuple(contributions), {f: p for f, p in families.items() if p})


def chord(base: float, total: float) -> float:
    """Mean slope of the sigmoid between two log-odds; its derivative where they meet."""
    if abs(total - base) < 1e-9:
        p = float(sigmoid(base))
        return p * (1 - p)
    return float((sigmoid(total) - sigmoid(base)) / (total - base))
