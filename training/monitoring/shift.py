"""Drift of single features: the population stability index, measured against what chance and habit make of it.

Where two samples of n and m leads come from one distribution in B bins, PSI / (1/n + 1/m) is about chi-square with
B - 1 degrees of freedom: its mean is (B - 1)(1/n + 1/m), whatever .1 and .25 say. Leads of one account are alike and
features move with the season, so the same is measured of earlier windows; how much more than chance these moved scales
the null (quasi-likelihood), and the test is F. What moves steadily moves the index by the square of the time between,
so a habit that is plain in the earlier windows is stretched by that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.encoding import EncodedFeature
from training.monitoring.leads import Flags, Reals

HABIT = 3.0
"""A feature that earlier windows moved more times than chance dates a lead by itself."""
FEWEST = 100
"""Leads on either side without which no drift is looked for."""
_EXPECTED = 5.0
_PLAIN = 0.01
"""A habit is plain where chance would so seldom make as much of the earlier windows."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Shift:
    """How far one feature of recent leads is from what it was in training.

    Attributes:
        name: the feature.
        psi: population stability index, natural logarithm.
        null_mean: what chance alone makes of it, (B - 1)(1/n + 1/m).
        usual: how many times that habit makes of it, by earlier windows; at least 1.
        limit: what 95 in 100 windows stay below, were nothing changed.
        p: probability of so much, were nothing changed.
        missing: shares of missing values, in training and recently.
        mean: means of the present values, likewise; None for categories, or where nothing is present.
        missing_share: how much of the index the missing values make.
    """

    name: str
    psi: float
    null_mean: float
    usual: float
    limit: float
    p: float
    missing: tuple[float, float]
    mean: tuple[float, float] | None
    missing_share: float

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
        how = f"PSI {self.psi:.3f}, where {self.limit:.3f} would be unusual"
        if self.missing_share > 0.5:
            then, now = self.missing
            return f"{self.name} is missing in {now:.1%} of recent leads, {then:.1%} in training ({how})"
        between = f" from a mean of {self.mean[0]:.4g} to {self.mean[1]:.4g}" if self.mean else ""
        return f"{self.name} has moved{between} ({how})"

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {
            "name": self.name,
            "psi": self.psi,
            "null_mean": self.null_mean,
            "usual": self.usual,
            "limit": self.limit,
            "p": self.p,
            "missing": list(self.missing),
            "mean": None if self.mean is None else list(self.mean),
        }


def psi(training: Counts, recent: Counts) -> Reals:
    """Each bin's part of the index of two samples counted in the same bins; half a lead is added to each."""
    t, r = ((c + 0.5) / (c.sum() + 0.5 * len(c)) for c in (training, recent))
    parts: Reals = (r - t) * np.log(r / t)
    return parts


def null_mean(bins: int, training: int, recent: int) -> float:
    """The index that two samples of one distribution have on average."""
    return (bins - 1) * (1 / training + 1 / recent)


def binned(column: Reals, feature: EncodedFeature, reference: Mapping[str, Any]) -> Counts:
    """Each value's bin: between the training deciles, or its level; -1 where it is missing."""
    missing = np.isnan(column)
    if feature.kind == "category":
        codes = np.where(missing, -1, column)
    else:
        edges = np.unique(reference.get("deciles", [])[1:-1])
        codes = np.where(missing, -1, np.searchsorted(edges, column, side="left"))
    return codes.astype(np.int64)


def shift(
    column: Reals,
    feature: EncodedFeature,
    reference: Mapping[str, Any],
    training: Flags,
    recent: Flags,
    windows: Sequence[Flags],
    reach: float,
) -> Shift:
    """How far a feature of the recent leads is from training.

    Args:
        column: the feature of all leads, NaN where missing.
        feature: how it is encoded.
        reference: the bundle's, of this feature.
        training: which leads the champion learned from.
        recent: which leads are recent; some are.
        windows: earlier windows; each is held against the training leads outside it.
        reach: square of the time from training to the recent leads, as a multiple of that to the windows; at least 1.
    """
    codes = _grouped(binned(column, feature, reference), training, recent)
    total, mean, bins = _index(codes, training, recent)
    past = [_ratio(*_index(codes, training & ~window, window)) for window in windows]
    freedom = bins - 1
    usual = _habit(past, freedom, reach)
    null = stats.f(freedom, freedom * len(past)) if past else stats.chi2(freedom, scale=1 / max(freedom, 1))
    blank = np.isnan(column)
    return Shift(
        name=feature.name,
        psi=total,
        null_mean=mean,
        usual=usual,
        limit=float(null.ppf(0.95)) * usual * mean if freedom else 0.0,
        p=float(null.sf(total / mean / usual)) if freedom else 1.0,
        missing=(float(blank[training].mean()), float(blank[recent].mean())),
        mean=_mean(column, training, recent) if feature.kind == "number" else None,
        missing_share=_index(blank.astype(np.int64), training, recent)[0] / total if total else 0.0,
    )


def _habit(past: Sequence[float], freedom: int, reach: float) -> float:
    """How many times more than chance a feature moves anyway."""
    if not past or not freedom:
        return 1.0
    usual = max(1.0, float(np.mean(past)))
    plain = stats.chi2.sf(sum(past) * freedom, freedom * len(past)) < _PLAIN
    return 1 + (usual - 1) * reach if plain else usual


def _grouped(codes: Counts, training: Flags, recent: Flags) -> Counts:
    """The codes with bins put together where too few leads are expected in the smaller sample; dense from 0."""
    both = training | recent
    smaller = min(int(training.sum()), int(recent.sum())) / int(both.sum())
    values, codes = np.unique(codes, return_inverse=True)
    expected = np.bincount(codes[both], minlength=len(values)) * smaller
    rare = expected < _EXPECTED
    if 0 < expected[rare].sum() < _EXPECTED and not rare.all():
        rare |= expected == expected[~rare].min()
    groups = np.where(rare, len(values), np.arange(len(values)))
    dense: Counts = np.unique(groups, return_inverse=True)[1][codes]
    return dense


def _index(codes: Counts, one: Flags, other: Flags) -> tuple[float, float, int]:
    """The index of two samples, its mean by chance, and the bins that either fills."""
    bins = int(codes[one | other].max()) + 1
    first, second = (np.bincount(codes[rows], minlength=bins) for rows in (one, other))
    filled = (first + second) > 0
    found = float(psi(first[filled], second[filled]).sum())
    return found, null_mean(int(filled.sum()), int(first.sum()), int(second.sum())), int(filled.sum())


def _ratio(index: float, by_chance: float, _bins: int) -> float:
    return index / by_chance if by_chance else 1.0


def _mean(column: Reals, training: Flags, recent: Flags) -> tuple[float, float] | None:
    t, r = (column[rows & ~np.isnan(column)] for rows in (training, recent))
    return (float(t.mean()), float(r.mean())) if len(t) and len(r) else None
