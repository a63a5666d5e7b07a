"""What came of leads against what the champion promised: early wins, then calibration as labels mature.

Intervals and errors are by account. A gap is observed less predicted; all leads are held against the
champion's promise itself, early wins and segments against what that was worth when the champion was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from features.values import DAY, iso_date
from models.arrays import Booleans, Reals
from models.bundle import Bundle
from models.probability import losses, sigmoid
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.calibration_slope import bootstrap_slope
from training.evaluation.metrics import log_loss
from training.fitting.calibration import ROWS_FOR_SLOPE
from training.hazard import Hazard
from training.monitoring.leads import SEGMENTS, ObservedLeads, Periods
from training.monitoring.windows import ComparedWindows, WindowPair, drift_p_value

EARLY_DAYS = (14, 30)
FEWEST, FEWEST_WINS = 50, 10.0
"""ObservedLeads, and wins and losses predicted, without which a gap says nothing."""
SLOPES = (0.9, 1.1)


@dataclass(frozen=True)
class OutcomeGap:
    """Observed less predicted, of some leads.

    Attributes:
        of: which leads.
        rows: how many.
        observed, predicted: shares won.
        interval: of the observed share, central 95 % by account.
        p: probability of so large a gap, were the champion as good as when it was made; None where too few tell.
    """

    of: str
    rows: int
    observed: float
    predicted: float
    interval: tuple[float, float]
    p: float | None

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
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

    def to_json(self) -> Mapping[str, Any]:
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
class _Share:
    """A mean over rows with its clustered error."""

    mean: float
    error: float


def expected_losses(probability: Reals) -> Reals:
    """Each row's expected log loss if its probability is true; no outcome is needed (CBPE)."""
    return probability * losses(np.ones(len(probability)), probability) + (1 - probability) * losses(
        np.zeros(len(probability)), probability
    )


@dataclass(frozen=True)
class ExpectedLoss:
    """Label-free expected loss; it sees covariate shift only, never that the same leads now close otherwise.

    Attributes:
        recent: of recent leads, if their probabilities are true.
        before: of the last leads before the champion was made, likewise.
        judged: of the leads that the champion was judged by, likewise.
        realised: what the log loss of those came to.
        constant: the log loss of the base rate on those.
        p: probability of so much more expected loss than before, were nothing changed.
    """

    recent: float
    before: float
    judged: float
    realised: float
    constant: float
    p: float

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
        return (
            f"the expected log loss of recent leads is {self.recent:.4f}, against {self.before:.4f} before the "
            f"champion was made; when it was judged, {self.judged:.4f} was expected and {self.realised:.4f} realised "
            "(this sees covariate shift only)"
        )

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {**self.__dict__, "sees": "covariate shift only"}


def expected_loss(
    leads: ObservedLeads, periods: Periods, windows: ComparedWindows, bundle: Bundle, seed: int
) -> ExpectedLoss:
    """The expected loss of recent leads beside that of the leads before, and of those the champion was judged by."""
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


def _expected(some: ObservedLeads, seed: int) -> _Share:
    return _share(some, expected_losses(some.probability), seed)


def _rise(leads: ObservedLeads, pair: WindowPair, seed: int) -> tuple[float, float]:
    """By how much the expected loss of the later leads is more, and the error of that."""
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
    """Wins known within 14 and 30 days of creation against prediction, of the latest leads as old as that.

    Every such lead was watched for all those days, so the incidence is a plain share: a lost lead competes and is never
    censored. Predicted is the hazard's F(14) or F(30), else the champion's probability, times what it was worth before.
    """
    before = periods.training | periods.judged
    incidence = None if hazard is None else hazard.incidence(leads.matrix)
    found = []
    for within in (some for some in EARLY_DAYS if some < (bundle.horizon_days or 0)):
        newest = as_of - within * DAY
        cohort = (leads.created <= newest) & (leads.created > newest - days * DAY) & ~before
        if cohort.any():
            promised = leads if incidence is None else replace(leads, probability=incidence.won_by(float(within)))
            found.append(
                _gap(f"won within {within} days", promised, cohort, before, leads.known_won_within(within), seed)
            )
    return found


def matured(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> OutcomeGap | None:
    """All leads whose outcome the champion never saw and that is known now; None without any.

    The calibration's own uncertainty counts, as the bundle's draws have it.
    """
    some = leads.take(periods.since)
    if not len(some):
        return None
    won = some.won_within(bundle.horizon_days or 0)
    gap = _share(some, won - some.probability, seed)
    error = float(np.hypot(_error(gap, some.probability), _promise_error(some, bundle)))
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


def _promise_error(some: ObservedLeads, bundle: Bundle) -> float:
    """How uncertain the mean promise is, by the calibration's draws."""
    drawn = [float(sigmoid(slope * some.margin + intercept).mean()) for slope, intercept in bundle.calibration.draws]
    return float(np.std(drawn)) if drawn else 0.0


def by_segment(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> list[OutcomeGap]:
    """The same by partner, region and channel where enough leads tell, against what the gap was when judged."""
    won, found = leads.won_within(bundle.horizon_days or 0), []
    for name in SEGMENTS:
        column = getattr(leads, name)
        for value in np.unique(column[periods.since]).tolist():
            here, of = column == value, f"{name} {value or 'unknown'}"
            now, before = periods.since & here, periods.judged & here
            if _telling(leads, now, before, won):
                found.append(_gap(of, leads, now, before, won, seed))
    return found


def by_month(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> list[OutcomeGap]:
    """The same by month of creation (UTC), as it is, without a test."""
    months = np.array([iso_date(created - created % DAY)[:7] for created in leads.created.tolist()])
    found = []
    for month in np.unique(months[periods.since]).tolist():
        some = leads.take(periods.since & (months == month))
        won = some.won_within(bundle.horizon_days or 0)
        interval = ClusterBootstrap(some.cluster, np.random.default_rng(seed)).mean_interval(won)
        found.append(OutcomeGap(month, len(some), float(won.mean()), float(some.probability.mean()), interval, None))
    return found


@dataclass(frozen=True)
class SlopeCheck:
    """The calibration slope on matured leads: 1 is calibrated, less is overconfident; with its interval by account."""

    value: float
    interval: tuple[float, float]
    p: float

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
        low, high = self.interval
        return f"the calibration slope on matured leads is {self.value:.2f} ({low:.2f} to {high:.2f}), where 1 is right"

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {"value": self.value, "interval_95": list(self.interval), "p": self.p}


def slope(leads: ObservedLeads, periods: Periods, bundle: Bundle, seed: int) -> SlopeCheck | None:
    """The slope once enough labels have matured; tested against the nearest of .9 to 1.1."""
    some = leads.take(periods.since)
    won = some.won_within(bundle.horizon_days or 0)
    if len(some) < ROWS_FOR_SLOPE:
        return None
    found = bootstrap_slope(won, some.probability, some.cluster, seed)
    if found is None:
        return None
    away = max(SLOPES[0] - found.value, found.value - SLOPES[1], 0.0)
    return SlopeCheck(found.value, (found.low, found.high), 2 * float(stats.norm.sf(away / max(found.error, 1e-9))))


def _worth(leads: ObservedLeads, before: Booleans, won: Reals) -> float:
    """What the champion's promise was worth before: wins for each that it expected."""
    return float(won[before].mean() / leads.probability[before].mean())


def _telling(leads: ObservedLeads, now: Booleans, before: Booleans, won: Reals) -> bool:
    """Whether enough leads, wins and losses are on both sides for a gap to say something."""
    if not now.any() or not before.any():
        return False
    promised = _worth(leads, before, won) * float(leads.probability[now].mean())
    return _enough(int(now.sum()), promised) and _enough(int(before.sum()), float(won[before].mean()))


def _gap(of: str, leads: ObservedLeads, now: Booleans, before: Booleans, won: Reals, seed: int) -> OutcomeGap:
    """A gap against the champion's promise, scaled to what that promise was worth before; both sides hold a lead."""
    some, past = leads.take(now), leads.take(before)
    worth = _worth(leads, before, won)
    promised = worth * some.probability
    gap = _share(some, won[now] - promised, seed)
    unsure = _share(past, won[before] - worth * past.probability, seed).error
    error = float(np.hypot(_error(gap, promised), unsure * some.probability.mean() / past.probability.mean()))
    return OutcomeGap(
        of=of,
        rows=len(some),
        observed=float(won[now].mean()),
        predicted=float(promised.mean()),
        interval=ClusterBootstrap(some.cluster, np.random.default_rng(seed)).mean_interval(won[now]),
        p=_two_sided(gap.mean, error) if _telling(leads, now, before, won) else None,
    )


def _enough(rows: int, share: float) -> bool:
    return rows >= FEWEST and min(share, 1 - share) * rows >= FEWEST_WINS


def _share(some: ObservedLeads, values: Reals, seed: int) -> _Share:
    clusters = ClusterBootstrap(some.cluster, np.random.default_rng(seed))
    return _Share(float(values.mean()), clusters.standard_error(values))


def _error(gap: _Share, promised: Reals) -> float:
    """A gap's error: by account, and no less than the promise itself implies, or having no win at all would be sure."""
    share = float(np.clip(promised.mean(), 0.0, 1.0))
    return max(gap.error, float(np.sqrt(share * (1 - share) / len(promised))))


def _two_sided(gap: float, error: float) -> float:
    return 2 * float(stats.norm.sf(abs(gap) / max(error, 1e-9)))
