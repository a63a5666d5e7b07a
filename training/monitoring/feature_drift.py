"""Drift of single features: the population stability index, measured against what chance and habit make of it.

Where two samples of n and m leads come from one distribution in B bins, PSI / (1/n + 1/m) is about chi-square with
B - 1 degrees of freedom: its mean is (B - 1)(1/n + 1/m), whatever .1 and .25 say. ObservedLeads of one account are alike and
features move with the season, so the same is measured of earlier windows; how much more than chance these moved scales
the null (quasi-likelihood), and the test is F. What moves steadily moves the index by the square of the time between,
so a habit that is plain in the earlier windows is stretched by that. What habit moves far, such as a partner's win
rate, which all its leads share, has no index to speak of: there only missing values are looked at.
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
"""A feature that earlier windows moved more times than chance dates a lead by itself."""
_EXPECTED = 5.0
_PLAIN = 0.01
"""A habit is plain where chance would so seldom make as much of the earlier windows."""
_PRIOR = 10.0
"""Where none is plain, that features move by chance alone counts as so many degrees of freedom beside the windows'."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature of recent leads is from what it was before the champion was made.

    Attributes:
        name: the feature.
        psi: population stability index, natural logarithm; where the feature dates a lead, of being missing alone.
        null_mean: what chance alone makes of it, (B - 1)(1/n + 1/m).
        usual: how many times that habit makes of it, by earlier windows; at least 1.
        limit: what 95 in 100 windows stay below, were nothing changed.
        p: probability of so much, were nothing changed.
        dates: whether habit moves it so far that it dates a lead.
        missing: shares of missing values, before and recently.
        mean: means of the present values, likewise; None for categories, or where nothing is present.
        missing_share: how much of the index the missing values make.
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
        """What was seen, in words."""
        how = f"PSI {self.psi:.3f}, where {self.limit:.3f} would be unusual"
        if self.dates or self.missing_share > 0.5:
            then, now = self.missing
            return f"{self.name} is missing in {now:.1%} of recent leads, {then:.1%} before ({how})"
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
            "dates": self.dates,
            "missing": list(self.missing),
            "mean": None if self.mean is None else list(self.mean),
        }


def psi(before: Counts, after: Counts) -> Reals:
    """Each bin's part of the index of two samples counted in the same bins; half a lead is added to each."""
    b, a = ((c + 0.5) / (c.sum() + 0.5 * len(c)) for c in (before, after))
    parts: Reals = (a - b) * np.log(a / b)
    return parts


def null_mean(bins: int, before: int, after: int) -> float:
    """The index that two samples of one distribution have on average."""
    return (bins - 1) * (1 / before + 1 / after)


def binned(column: Reals, feature: EncodedFeature, reference: Mapping[str, Any]) -> Counts:
    """Each value's bin: between the training deciles, or its level; -1 where it is missing."""
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
    """How far a feature of the recent leads is from what it was before.

    Args:
        column: the feature of all leads, NaN where missing.
        feature: how it is encoded.
        reference: the bundle's, of this feature.
        windows: who is compared with whom; both sides of the recent pair hold a lead.
    """
    blank = np.isnan(column)
    lost = blank.astype(np.int64)
    whole = _test(binned(column, feature, reference), windows)
    dates = whole.usual > BASELINE_DRIFT
    tested = _test(lost, windows) if dates else whole
    before, after = windows.recent.before, windows.recent.after
    return FeatureDrift(
        name=feature.name,
        psi=tested.index,
        null_mean=tested.by_chance,
        usual=tested.usual,
        limit=tested.limit,
        p=tested.p,
        dates=dates,
        missing=(float(blank[before].mean()), float(blank[after].mean())),
        mean=_mean(column, windows.recent) if feature.kind == "number" else None,
        missing_share=_index(lost, windows.recent)[0] / whole.index if whole.index else 0.0,
    )


@dataclass(frozen=True)
class _Test:
    """An index against chance and habit.

    Attributes:
        index: of the recent leads.
        by_chance: its mean, were they alike.
        freedom: bins less one.
        usual: how many times that habit makes of it.
        known: degrees of freedom by which that is known.
    """

    index: float
    by_chance: float
    freedom: int
    usual: float
    known: float

    @property
    def limit(self) -> float:
        """What 95 in 100 windows stay below."""
        return float(self._null.ppf(0.95)) * self.usual * self.by_chance if self.freedom else 0.0

    @property
    def p(self) -> float:
        """The probability of so much, were nothing changed."""
        return float(self._null.sf(self.index / self.by_chance / self.usual)) if self.freedom else 1.0

    @property
    def _null(self) -> Any:
        return stats.f(self.freedom, self.known)


def _test(codes: Counts, windows: ComparedWindows) -> _Test:
    codes = _grouped(codes, windows.recent)
    index, by_chance, bins = _index(codes, windows.recent)
    freedom = bins - 1
    past = [found / chance if chance else 1.0 for found, chance, _ in (_index(codes, pair) for pair in windows.past)]
    return _Test(index, by_chance, freedom, *_baseline_drift(past, freedom, windows.time_gap_ratio))


def _baseline_drift(past: Sequence[float], freedom: int, time_gap_ratio: float) -> tuple[float, float]:
    """How many times more than chance a feature moves anyway, and by how many degrees of freedom that is known."""
    own = freedom * len(past)
    if own and stats.chi2.sf(sum(past) * freedom, own) < _PLAIN:
        return 1 + max(0.0, float(np.mean(past)) - 1) * time_gap_ratio, own
    return max(1.0, (_PRIOR + sum(past) * freedom) / (_PRIOR + own)), _PRIOR + own


def _grouped(codes: Counts, pair: WindowPair) -> Counts:
    """The codes with bins put together where too few leads are expected in the smaller sample; dense from 0."""
    both = pair.before | pair.after
    smaller = pair.fewest / int(both.sum())
    values, codes = np.unique(codes, return_inverse=True)
    expected = np.bincount(codes[both], minlength=len(values)) * smaller
    rare = expected < _EXPECTED
    if 0 < expected[rare].sum() < _EXPECTED and not rare.all():
        rare |= expected == expected[~rare].min()
    groups = np.where(rare, len(values), np.arange(len(values)))
    dense: Counts = np.unique(groups, return_inverse=True)[1][codes]
    return dense


def _index(codes: Counts, pair: WindowPair) -> tuple[float, float, int]:
    """The index of two samples, its mean by chance, and the bins that either fills."""
    bins = int(codes[pair.before | pair.after].max()) + 1
    first, second = (np.bincount(codes[rows], minlength=bins) for rows in (pair.before, pair.after))
    filled = (first + second) > 0
    found = float(psi(first[filled], second[filled]).sum())
    return found, null_mean(int(filled.sum()), int(first.sum()), int(second.sum())), int(filled.sum())


def _mean(column: Reals, pair: WindowPair) -> tuple[float, float] | None:
    b, a = (column[rows & ~np.isnan(column)] for rows in (pair.before, pair.after))
    return (float(b.mean()), float(a.mean())) if len(b) and len(a) else None
