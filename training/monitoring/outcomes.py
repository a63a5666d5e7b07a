"""What came of leads against what the champion promised: early wins, then calibration as labels mature.

Intervals and errors are by account. A gap is observed less predicted; all leads are held against the
champion's promise itself, early wins and segments against what that was worth when the champion was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from features.values import DAY, iso_date
from models.bundle import Bundle
from models.probability import sigmoid
from training.calibrating import ROWS_FOR_SLOPE
from training.evaluation import Clusters, calibration_slope, log_loss, losses
from training.monitoring.leads import SEGMENTS, Flags, Leads, Periods, Reals

EARLY_DAYS = (14, 30)
FEWEST, FEWEST_WINS = 50, 10.0
"""Leads, and wins and losses predicted, without which a gap says nothing."""
SLOPES = (0.9, 1.1)


@dataclass(frozen=True)
class Gap:
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
            f"{self.predicted:.1%} predicted"
        )

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
class Expected:
    """Label-free expected loss; it sees covariate shift only, never that the same leads now close otherwise.

    Attributes:
        recent: of recent leads, if their probabilities are true.
        judged: of the leads that the champion was judged by, likewise.
        realised: what the log loss of those came to.
        constant: the log loss of the base rate on those.
        p: probability of so much more expected loss, were the leads alike.
    """

    recent: float
    judged: float
    realised: float
    constant: float
    p: float

    @property
    def sentence(self) -> str:
        """What was seen, in words."""
        return (
            f"the expected log loss of recent leads is {self.recent:.4f}, against {self.judged:.4f} expected and "
            f"{self.realised:.4f} realised when the champion was judged (this sees covariate shift only)"
        )

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return {**self.__dict__, "sees": "covariate shift only"}


def expected(leads: Leads, periods: Periods, bundle: Bundle, seed: int) -> Expected:
    """The expected loss of recent leads beside that of the judged ones."""
    recent, judged = leads.take(periods.recent), leads.take(periods.judged)
    now, then = (_share(some, expected_losses(some.probability), seed) for some in (recent, judged))
    won = judged.won_within(bundle.horizon_days or 0)
    apart = (now.mean - then.mean) / max(float(np.hypot(now.error, then.error)), 1e-9)
    return Expected(
        recent=now.mean,
        judged=then.mean,
        realised=log_loss(won, judged.probability),
        constant=log_loss(won, np.full(len(won), bundle.base_rate)),
        p=float(stats.norm.sf(apart)),
    )


def early(leads: Leads, periods: Periods, bundle: Bundle, as_of: int, days: int, seed: int) -> list[Gap]:
    """Wins known within 14 and 30 days of creation against prediction, of the latest leads as old as that.

    Every such lead was watched for all those days, so the incidence is a plain share: a lost lead competes and is never
    censored. Predicted is the champion's probability times the share of wins that came so early before.
    """
    before = periods.training | periods.judged
    found = []
    for within in (some for some in EARLY_DAYS if some < (bundle.horizon_days or 0)):
        newest = as_of - within * DAY
        cohort = (leads.created <= newest) & (leads.created > newest - days * DAY) & ~before
        found.append(_gap(f"won within {within} days", leads, cohort, before, leads.known_won_within(within), seed))
    return [gap for gap in found if gap]


def matured(leads: Leads, periods: Periods, bundle: Bundle, seed: int) -> Gap | None:
    """All leads whose outcome the champion never saw and that is known now; None without any.

    The calibration's own uncertainty counts, as the bundle's draws have it.
    """
    some = leads.take(periods.since)
    if not len(some):
        return None
    won = some.won_within(bundle.horizon_days or 0)
    gap = _share(some, won - some.probability, seed)
    error = float(np.hypot(_error(gap, some.probability), _promise_error(some, bundle)))
    clusters = Clusters(some.cluster, np.random.default_rng(seed))
    enough = _enough(len(some), float(some.probability.mean()))
    return Gap(
        of=f"won within {bundle.horizon_days} days",
        rows=len(some),
        observed=float(won.mean()),
        predicted=float(some.probability.mean()),
        interval=clusters.mean_interval(won),
        p=_two_sided(gap.mean, error) if enough else None,
    )


def _promise_error(some: Leads, bundle: Bundle) -> float:
    """How uncertain the mean promise is, by the calibration's draws."""
    drawn = [float(sigmoid(slope * some.margin + intercept).mean()) for slope, intercept in bundle.calibration.draws]
    return float(np.std(drawn)) if drawn else 0.0


def by_segment(leads: Leads, periods: Periods, bundle: Bundle, seed: int) -> list[Gap]:
    """The same by partner, region and channel where enough leads tell, against what the gap was when judged."""
    won, found = leads.won_within(bundle.horizon_days or 0), []
    for name in SEGMENTS:
        column = getattr(leads, name)
        for value in np.unique(column[periods.since]).tolist():
            here, of = column == value, f"{name} {value or 'unknown'}"
            gap = _gap(of, leads, periods.since & here, periods.judged & here, won, seed)
            if gap and gap.p is not None:
                found.append(gap)
    return found


def by_month(leads: Leads, periods: Periods, bundle: Bundle, seed: int) -> list[Gap]:
    """The same by month of creation (UTC), as it is, without a test."""
    months = np.array([iso_date(created - created % DAY)[:7] for created in leads.created.tolist()])
    found = []
    for month in np.unique(months[periods.since]).tolist():
        some = leads.take(periods.since & (months == month))
        won = some.won_within(bundle.horizon_days or 0)
        interval = Clusters(some.cluster, np.random.default_rng(seed)).mean_interval(won)
        found.append(Gap(month, len(some), float(won.mean()), float(some.probability.mean()), interval, None))
    return found


@dataclass(frozen=True)
class Slope:
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


def slope(leads: Leads, periods: Periods, bundle: Bundle, seed: int) -> Slope | None:
    """The slope once enough labels have matured; tested against the nearest of .9 to 1.1."""
    some = leads.take(periods.since)
    won = some.won_within(bundle.horizon_days or 0)
    value = calibration_slope(won, some.probability) if len(some) >= ROWS_FOR_SLOPE else None
    if value is None:
        return None
    rng = np.random.default_rng(seed)
    draws = [d for d in (calibration_slope(*pair) for pair in _resampled(some, won, rng)) if d is not None]
    low, high = np.quantile(draws, [0.025, 0.975])
    away = max(SLOPES[0] - value, value - SLOPES[1], 0.0)
    return Slope(value, (float(low), float(high)), 2 * float(stats.norm.sf(away / max(float(np.std(draws)), 1e-9))))


def _resampled(some: Leads, won: Reals, rng: np.random.Generator) -> list[tuple[Reals, Reals]]:
    """Outcomes and probabilities of 200 draws of whole accounts."""
    _, place = np.unique(some.cluster, return_inverse=True)
    count = int(place.max()) + 1
    times = (np.bincount(rng.integers(count, size=count), minlength=count)[place] for _ in range(200))
    return [(np.repeat(won, time), np.repeat(some.probability, time)) for time in times]


def _gap(of: str, leads: Leads, now: Flags, before: Flags, won: Reals, seed: int) -> Gap | None:
    """A gap against the champion's promise, scaled to what that promise was worth before; None without leads."""
    if not now.any() or not before.any():
        return None
    some, past = leads.take(now), leads.take(before)
    worth = float(won[before].mean() / past.probability.mean())
    promised = worth * some.probability
    gap = _share(some, won[now] - promised, seed)
    unsure = _share(past, won[before] - worth * past.probability, seed).error
    error = float(np.hypot(_error(gap, promised), unsure * some.probability.mean() / past.probability.mean()))
    enough = _enough(len(some), float(promised.mean())) and _enough(len(past), float(won[before].mean()))
    return Gap(
        of=of,
        rows=len(some),
        observed=float(won[now].mean()),
        predicted=float(promised.mean()),
        interval=Clusters(some.cluster, np.random.default_rng(seed)).mean_interval(won[now]),
        p=_two_sided(gap.mean, error) if enough else None,
    )


def _enough(rows: int, share: float) -> bool:
    return rows >= FEWEST and min(share, 1 - share) * rows >= FEWEST_WINS


def _share(some: Leads, values: Reals, seed: int) -> _Share:
    clusters = Clusters(some.cluster, np.random.default_rng(seed))
    return _Share(float(values.mean()), clusters.standard_error(values))


def _error(gap: _Share, promised: Reals) -> float:
    """A gap's error: by account, and no less than the promise itself implies, or having no win at all would be sure."""
    share = float(np.clip(promised.mean(), 0.0, 1.0))
    return max(gap.error, float(np.sqrt(share * (1 - share) / len(promised))))


def _two_sided(gap: float, error: float) -> float:
    return 2 * float(stats.norm.sf(abs(gap) / max(error, 1e-9)))
