"""Drift of single features: the population stability index (PSI) against chance and against baseline drift.

Chance. Where two samples of n and m leads come from one distribution in B bins, PSI / (1/n + 1/m) is about chi-square
with B - 1 degrees of freedom. So the mean of the index is (B - 1)(1/n + 1/m); the usual limits of .1 and .25 ignore it.

Baseline drift. Leads of one account are alike, and features move with the season. So the index of past pairs of windows
is computed too. The factor by which it exceeds chance scales the null distribution (quasi-likelihood), and the test
becomes an F test. A steady trend moves the index with the square of the time between the windows, so a clear baseline
drift is stretched by the square of the ratio of the time gaps.

A feature that time itself moves far, such as a partner's win rate which all its leads share, dates a lead. For such a
feature only the missing values are tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.arrays import Reals
from models.encoding import EncodedFeature
from training.monitoring.windows import ComparedWindows, WindowPair

BASELINE_DRIFT = 3.0
"""A feature whose baseline drift is more than this many times chance dates a lead."""
_MIN_EXPECTED = 5.0
"""Leads that a bin of the smaller sample must be expected to have, the usual rule of chi-square tests."""
_CLEAR = 0.01
"""Baseline drift is clear where chance makes as much of the past pairs with a probability below this."""
_PRIOR = 10.0
"""Where baseline drift is not clear, "chance alone" counts as this many degrees of freedom beside the pairs' own."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """How far one feature of recent leads has moved since the champion's training.

    Attributes:
        name: the feature.
        psi: population stability index, natural logarithm; of being missing only, where the feature dates a lead.
        null_mean: the mean index by chance alone, (B - 1)(1/n + 1/m).
        usual: the baseline drift, as a multiple of `null_mean`; at least 1.
        limit: 95 in 100 unchanged windows have an index below this.
        p: probability of an index as high in an unchanged world.
        dates: whether the baseline drift is so large that the feature dates a lead.
        missing: shares of missing values, before and recently.
        mean: means of the present values, before and recently; None for categories and where no value is present.
        missing_share: the share of the index that the missing values make.
    """

    name: str
    psi: float
    null_mean: float
    usual: float
    limit: float
    p: float
    dates: bool
    missing: tuple[float, float]
    mean: tuple[float, float] | None
    missing_share: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        how = f"PSI {self.psi:.3f}, where {self.limit:.3f} would be unusual"
        if self.dates or self.missing_share > 0.5:
            then, now = self.missing
            return f"{self.name} is missing in {now:.1%} of recent leads, {then:.1%} before ({how})"
        between = f" from a mean of {self.mean[0]:.4g} to {self.mean[1]:.4g}" if self.mean else ""
        return f"{self.name} has moved{between} ({how})"

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {
            "name": self.name,
            "psi": self.psi,
            "null_mean": self.null_mean,
            "usual": self.usual,
            "limit": self.limit,
            "p": self.p,
            "dates": self.dates,
            "missing": list(self.missing),
            "mean": None if self.mean is None else list(self.mean),
        }


def psi(before: Counts, after: Counts) -> Reals:
    """Each bin's part of the index of two samples counted in the same bins; half a lead is added to each bin.

    >>> psi(np.array([10, 20]), np.array([10, 20])).tolist()
    [0.0, 0.0]
    """
    b, a = ((c + 0.5) / (c.sum() + 0.5 * len(c)) for c in (before, after))
    parts: Reals = (a - b) * np.log(a / b)
    return parts


def null_mean(bins: int, before: int, after: int) -> float:
    """The mean index of two samples of one distribution.

    >>> null_mean(11, 100, 100)
    0.2
    """
    return (bins - 1) * (1 / before + 1 / after)


def binned(column: Reals, feature: EncodedFeature, reference: Mapping[str, Any]) -> Counts:
    """The bin of each value: between training deciles, or the level of a category; -1 where the value is missing."""
    missing = np.isnan(column)
    if feature.kind == "category":
        codes = np.where(missing, -1, column)
    else:
        edges = np.unique(reference.get("deciles", [])[1:-1])
        codes = np.where(missing, -1, np.searchsorted(edges, column, side="left"))
    return codes.astype(np.int64)


def feature_drift(
    column: Reals, feature: EncodedFeature, reference: Mapping[str, Any], windows: ComparedWindows
) -> FeatureDrift:
    """The drift of one feature.

    Args:
        column: the feature of all leads, NaN where missing.
        feature: the encoding of the feature.
        reference: the bundle's reference of this feature.
        windows: the pairs to compare; both sides of the recent pair hold a lead.
    """
    blank = np.isnan(column)
    is_blank = blank.astype(np.int64)
    whole = _test(binned(column, feature, reference), windows)
    dates = whole.baseline.factor > BASELINE_DRIFT
    tested = _test(is_blank, windows) if dates else whole
    before, after = windows.recent.before, windows.recent.after
    return FeatureDrift(
        name=feature.name,
        psi=tested.index,
        null_mean=tested.by_chance,
        usual=tested.baseline.factor,
        limit=tested.limit,
        p=tested.p,
        dates=dates,
        missing=(float(blank[before].mean()), float(blank[after].mean())),
        mean=_mean(column, windows.recent) if feature.kind == "number" else None,
        missing_share=_index(is_blank, windows.recent).value / whole.index if whole.index else 0.0,
    )


@dataclass(frozen=True)
class _Test:
    """An index with its null distribution.

    Attributes:
        index: of the recent pair.
        by_chance: its mean by chance alone.
        freedom: degrees of freedom, bins less one.
        baseline: the baseline drift.
    """

    index: float
    by_chance: float
    freedom: int
    baseline: "_Baseline"

    @property
    def limit(self) -> float:
        """The index that 95 in 100 unchanged windows stay below."""
        return float(self._null.ppf(0.95)) * self.baseline.factor * self.by_chance if self.freedom else 0.0

    @property
    def p(self) -> float:
        """The probability of an index as high in an unchanged world."""
        return float(self._null.sf(self.index / self.by_chance / self.baseline.factor)) if self.freedom else 1.0

    @property
    def _null(self) -> Any:
        return stats.f(self.freedom, self.baseline.freedom)


def _test(codes: Counts, windows: ComparedWindows) -> _Test:
    codes = _grouped(codes, windows.recent)
    recent = _index(codes, windows.recent)
    freedom = recent.bins - 1
    past = [index.value / index.by_chance if index.by_chance else 1.0 for index in _past(codes, windows)]
    baseline = _baseline_drift(past, freedom, windows.time_gap_ratio)
    return _Test(recent.value, recent.by_chance, freedom, baseline)


@dataclass(frozen=True)
class _Baseline:
    """How many times more than by chance a feature moves anyway, with the degrees of freedom of that estimate."""

    factor: float
    freedom: float


def _baseline_drift(past: Sequence[float], freedom: int, time_gap_ratio: float) -> _Baseline:
    """The baseline drift, from the indices of the past pairs as multiples of chance."""
    own = freedom * len(past)
    if own and stats.chi2.sf(sum(past) * freedom, own) < _CLEAR:
        # Clear: the excess over chance is a trend, so it grows with the square of the time between the windows.
        return _Baseline(1 + max(0.0, float(np.mean(past)) - 1) * time_gap_ratio, own)
    # Not clear: the mean of the pairs and of a prior at 1 (chance alone), weighted by degrees of freedom.
    return _Baseline(max(1.0, (_PRIOR + sum(past) * freedom) / (_PRIOR + own)), _PRIOR + own)


def _grouped(codes: Counts, pair: WindowPair) -> Counts:
    """The codes, dense from 0, with the bins merged in which the smaller sample is expected to have too few leads."""
    both = pair.before | pair.after
    smaller = pair.smaller / int(both.sum())
    values, codes = np.unique(codes, return_inverse=True)
    expected = np.bincount(codes[both], minlength=len(values)) * smaller
    rare = expected < _MIN_EXPECTED
    if 0 < expected[rare].sum() < _MIN_EXPECTED and not rare.all():
        rare |= expected == expected[~rare].min()
    groups = np.where(rare, len(values), np.arange(len(values)))
    dense: Counts = np.unique(groups, return_inverse=True)[1][codes]
    return dense


@dataclass(frozen=True)
class _Index:
    """The index of two samples, its mean by chance, and the number of bins that either sample fills."""

    value: float
    by_chance: float
    bins: int


def _past(codes: Counts, windows: ComparedWindows) -> list[_Index]:
    return [_index(codes, pair) for pair in windows.past]


def _index(codes: Counts, pair: WindowPair) -> _Index:
    bins = int(codes[pair.before | pair.after].max()) + 1
    first, second = (np.bincount(codes[rows], minlength=bins) for rows in (pair.before, pair.after))
    filled = (first + second) > 0
    index = float(psi(first[filled], second[filled]).sum())
    count = int(filled.sum())
    return _Index(index, null_mean(count, int(first.sum()), int(second.sum())), count)


def _mean(column: Reals, pair: WindowPair) -> tuple[float, float] | None:
    b, a = (column[rows & ~np.isnan(column)] for rows in (pair.before, pair.after))
    return (float(b.mean()), float(a.mean())) if len(b) and len(a) else None
