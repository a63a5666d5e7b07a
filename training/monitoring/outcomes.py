"""Outcomes against the champion's predictions: early wins first, then calibration as labels mature.

Intervals and errors are by account. A gap is the observed share won less the predicted one. All matured leads are
compared with the champion's predictions themselves. Early wins and segments are compared with the predictions times the
ratio of wins to predicted wins at the champion's training, so that only a new gap counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from features.value_types import DAY, iso_date
from models.arrays import Booleans, Reals
from models.bundle import Bundle
from models.probability import log_losses, sigmoid
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.calibration_slope import bootstrap_slope
from training.evaluation.metrics import log_loss
from training.fitting.calibration import MIN_ROWS_FOR_SLOPE
from training.hazard import Hazard
from training.monitoring.leads import SEGMENTS, ObservedLeads, Periods
from training.monitoring.windows import ComparedWindows, WindowPair, drift_p_value

EARLY_DAYS = (14, 30)
MIN_LEADS, MIN_EXPECTED_WINS = 50, 10.0
"""Leads, and predicted wins and log_losses, that a test of a gap needs."""
SLOPES = (0.9, 1.1)


@dataclass(frozen=True, kw_only=True)
class OutcomeGap:
    """Observed and predicted shares won of some leads.

    Attributes:
        of: the leads, in words.
        rows: how many leads.
        observed, predicted: shares won.
        interval: the central 95 % of the observed share, by account.
        p: probability of a gap as large if the champion were as good as at its training; None for too few leads.
    """

    of: str
    rows: int
    observed: float
    predicted: float
    interval: tuple[float, float]
    p: float | None

    @property
    def sentence(self) -> str:
        """The finding in words."""
        low, high = self.interval
        return (
            f"{self.of}: {self.observed:.1%} won ({low:.1%} to {high:.1%}) of {self.rows:,} leads, "
            f"{self.predicted:.1%} predicted{self._verdict}"
        )

    @property
    def _verdict(self) -> str:
        low, high = self.interval
        if high < self.predicted:
            return "; fewer than predicted"
        return "; more than predicted" if low > self.predicted else ""

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {
            "of": self.of,
            "rows": self.rows,
            "observed": self.observed,
            "observed_95": list(self.interval),
            "predicted": self.predicted,
            "p": self.p,
        }


@dataclass(frozen=True)
class _Mean:
    """A mean over rows with its clustered standard error."""

    mean: float
    error: float


def expected_losses(probability: Reals) -> Reals:
    """The expected log loss of each row if its probability is true, the entropy; no outcome is needed (CBPE).

    >>> expected_losses(np.array([0.5])) == np.log(2)
    array([ True])
    """
    return probability * log_losses(np.ones(len(probability)), probability) + (1 - probability) * log_losses(
        np.zeros(len(probability)), probability
    )


@dataclass(frozen=True, kw_only=True)
class ExpectedLoss:
    """The expected loss without labels; it sees covariate shift only, never a change in how such leads close.

    Attributes:
        recent: of recent leads, if their probabilities are true.
        before: of the last leads before the champion's training, likewise.
        judged: of the champion's test leads, likewise.
        realised: the log loss of the champion's test leads.
        constant: the log loss of the base rate on the champion's test leads.
        p: probability of a rise as large in an unchanged world.
    """

    recent: float
    before: float
    judged: float
    realised: float
    constant: float
    p: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        return (
            f"the expected log loss of recent leads is {self.recent:.4f}, against {self.before:.4f} before the "
            f"champion was made; when it was judged, {self.judged:.4f} was expected and {self.realised:.4f} realised "
            "(this sees covariate shift only)"
        )

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {**self.__dict__, "sees": "covariate shift only"}


def expected_loss(
    leads: ObservedLeads, periods: Periods, windows: ComparedWindows, bundle: Bundle, seed: int
) -> ExpectedLoss:
    """The expected loss of recent leads, beside that of the leads before and of the champion's test leads."""
    judged = leads.take(periods.judged)
    won = judged.won_within(bundle.horizon_days or 0)
    recent, before = (_expected(leads.take(rows), seed) for rows in (windows.recent.after, windows.recent.before))
    return ExpectedLoss(
        recent=recent.mean,
        before=before.mean,
        judged=float(expected_losses(judged.probability).mean()),
        realised=log_loss(won, judged.probability),
        constant=log_loss(won, np.full(len(won), bundle.base_rate)),
        p=drift_p_value(*_rise(leads, windows.recent, seed), [_rise(leads, pair, seed) for pair in windows.past], 0.0),
    )


def _expected(some: ObservedLeads, seed: int) -> _Mean:
    return _mean(some, expected_losses(some.probability), seed)


def _rise(leads: ObservedLeads, pair: WindowPair, seed: int) -> tuple[float, float]:
    """The rise of the expected loss from the earlier to the later leads, and its standard error."""
    before, after = (_expected(leads.take(rows), seed) for rows in (pair.before, pair.after))
    return after.mean - before.mean, float(np.hypot(before.error, after.error))


def early(
    leads: ObservedLeads,
    periods: Periods,
    bundle: Bundle,
    as_of: int,
    days: int,
    seed: int,
    hazard: Hazard | None = None,
) -> list[OutcomeGap]:
    """Wins known within 14 and 30 days of creation against predictions, of the latest leads that are old enough.

    Every such lead was observed for all those days, so the incidence is a plain share: a lost lead competes and is
    never censored. The prediction is the hazard's F(14) or F(30), without a hazard the champion's probability, times
    the ratio of wins to predicted wins at the champion's training.
    """
    before = periods.training | periods.judged
    incidence = None if hazard is None else hazard.incidence(leads.matrix)
    gaps = []
    for within in (some for some in EARLY_DAYS if some < (bundle.horizon_days or 0)):
        newest = as_of - within * DAY
        cohort = (leads.created <= newest) & (leads.created > newest - days * DAY) & ~before
        if cohort.any():
            predicted = leads if incidence is None else replace(leads, probability=incidence.won_by(float(within)))
            gaps.append(
                _gap(f"won within {within} days", predicted, cohort, before, leads.known_won_within(within), seed)
            )
    return gaps


def matured(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> OutcomeGap | None:
    """All leads whose outcome became known after the champion's training; None without any.

    The error of the gap includes the uncertainty of the calibration, from the bundle's draws.
    """
    some = leads.take(periods.since)
    if not len(some):
        return None
    won = some.won_within(bundle.horizon_days or 0)
    gap = _mean(some, won - some.probability, seed)
    error = float(np.hypot(_error(gap, some.probability), _calibration_error(some, bundle)))
    clusters = ClusterBootstrap(some.cluster, np.random.default_rng(seed))
    enough = _enough(len(some), float(some.probability.mean()))
    return OutcomeGap(
        of=f"won within {bundle.horizon_days} days",
        rows=len(some),
        observed=float(won.mean()),
        predicted=float(some.probability.mean()),
        interval=clusters.mean_interval(won),
        p=_two_sided(gap.mean, error) if enough else None,
    )


def _calibration_error(some: ObservedLeads, bundle: Bundle) -> float:
    """The standard error of the mean prediction, from the calibration's draws."""
    drawn = [float(sigmoid(slope * some.margin + intercept).mean()) for slope, intercept in bundle.calibration.draws]
    return float(np.std(drawn)) if drawn else 0.0


def by_segment(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> list[OutcomeGap]:
    """Gaps by partner, region and channel with enough leads, against the gap in the champion's test window."""
    won, gaps = leads.won_within(bundle.horizon_days or 0), []
    for name in SEGMENTS:
        column = getattr(leads, name)
        for value in np.unique(column[periods.since]).tolist():
            here, of = column == value, f"{name} {value or 'unknown'}"
            now, before = periods.since & here, periods.judged & here
            if _can_test(leads, now, before, won):
                gaps.append(_gap(of, leads, now, before, won, seed))
    return gaps


def by_month(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> list[OutcomeGap]:
    """Gaps by month of creation (UTC), without a test."""
    months = np.array([iso_date(created - created % DAY)[:7] for created in leads.created.tolist()])
    gaps = []
    for month in np.unique(months[periods.since]).tolist():
        some = leads.take(periods.since & (months == month))
        won = some.won_within(bundle.horizon_days or 0)
        interval = ClusterBootstrap(some.cluster, np.random.default_rng(seed)).mean_interval(won)
        gaps.append(
            OutcomeGap(
                of=month,
                rows=len(some),
                observed=float(won.mean()),
                predicted=float(some.probability.mean()),
                interval=interval,
                p=None,
            )
        )
    return gaps


@dataclass(frozen=True)
class SlopeCheck:
    """The calibration slope on matured leads, with its interval by account; 1 is calibrated, less is overconfident."""

    value: float
    interval: tuple[float, float]
    p: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        low, high = self.interval
        return f"the calibration slope on matured leads is {self.value:.2f} ({low:.2f} to {high:.2f}), where 1 is right"

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"value": self.value, "interval_95": list(self.interval), "p": self.p}


def slope(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> SlopeCheck | None:
    """The slope, once enough labels have matured; the test is against the nearest value of .9 to 1.1."""
    some = leads.take(periods.since)
    won = some.won_within(bundle.horizon_days or 0)
    if len(some) < MIN_ROWS_FOR_SLOPE:
        return None
    estimate = bootstrap_slope(won, some.probability, some.cluster, seed)
    if estimate is None:
        return None
    away = max(SLOPES[0] - estimate.value, estimate.value - SLOPES[1], 0.0)
    return SlopeCheck(
        estimate.value, (estimate.low, estimate.high), 2 * float(stats.norm.sf(away / max(estimate.error, 1e-9)))
    )


def _calibration_ratio(leads: ObservedLeads, before: Booleans, won: Reals) -> float:
    """The ratio of wins to predicted wins among earlier leads."""
    return float(won[before].mean() / leads.probability[before].mean())


def _can_test(leads: ObservedLeads, now: Booleans, before: Booleans, won: Reals) -> bool:
    """Whether both sides have enough leads, wins and log_losses for a test."""
    if not now.any() or not before.any():
        return False
    predicted = _calibration_ratio(leads, before, won) * float(leads.probability[now].mean())
    return _enough(int(now.sum()), predicted) and _enough(int(before.sum()), float(won[before].mean()))


def _gap(of: str, leads: ObservedLeads, now: Booleans, before: Booleans, won: Reals, seed: int) -> OutcomeGap:
    """A gap against the champion's predictions times the ratio of the earlier leads; both sides hold a lead."""
    some, past = leads.take(now), leads.take(before)
    ratio = _calibration_ratio(leads, before, won)
    predicted = ratio * some.probability
    gap = _mean(some, won[now] - predicted, seed)
    ratio_error = _mean(past, won[before] - ratio * past.probability, seed).error
    error = float(np.hypot(_error(gap, predicted), ratio_error * some.probability.mean() / past.probability.mean()))
    return OutcomeGap(
        of=of,
        rows=len(some),
        observed=float(won[now].mean()),
        predicted=float(predicted.mean()),
        interval=ClusterBootstrap(some.cluster, np.random.default_rng(seed)).mean_interval(won[now]),
        p=_two_sided(gap.mean, error) if _can_test(leads, now, before, won) else None,
    )


def _enough(rows: int, share: float) -> bool:
    return rows >= MIN_LEADS and min(share, 1 - share) * rows >= MIN_EXPECTED_WINS


def _mean(some: ObservedLeads, values: Reals, seed: int) -> _Mean:
    clusters = ClusterBootstrap(some.cluster, np.random.default_rng(seed))
    return _Mean(float(values.mean()), clusters.standard_error(values))


def _error(gap: _Mean, predicted: Reals) -> float:
    """The error of a gap, by account; at least the binomial error, else a share of 0 wins would have no error."""
    share = float(np.clip(predicted.mean(), 0.0, 1.0))
    return max(gap.error, float(np.sqrt(share * (1 - share) / len(predicted))))


def _two_sided(gap: float, error: float) -> float:
    return 2 * float(stats.norm.sf(abs(gap) / max(error, 1e-9)))
