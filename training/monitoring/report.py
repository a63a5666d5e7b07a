"""The monitor's report: every check with its probability, and the verdict in words.

All checks together raise a false alarm in at most 5 of 100 looks at a world that has not changed: Holm's correction
within what goes in (features, classifier, expected loss) and within what comes out (wins), half of the 5 % each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from features.values import DAY, rfc3339
from training.monitoring.domain_classifier import DomainSeparation
from training.monitoring.feature_drift import FeatureDrift
from training.monitoring.outcomes import ExpectedLoss, OutcomeGap, SlopeCheck

Verdict = Literal["fine", "watch", "retrain"]
ALPHA = 0.05
"""How often an unchanged world may raise an alarm, at most."""


@dataclass(frozen=True)
class AlarmTest:
    """One thing looked at: its probability in an unchanged world, and what was seen in words."""

    p: float
    sentence: str


def alarming(checks: Sequence[AlarmTest], alpha: float) -> list[AlarmTest]:
    """The checks that stand out from all of them (Holm), the strangest first."""
    found: list[AlarmTest] = []
    for place, check in enumerate(sorted(checks, key=lambda check: check.p)):
        if check.p > alpha / (len(checks) - place):
            break
        found.append(check)
    return found


@dataclass(frozen=True)
class MonitoringReport:
    """What monitoring found.

    Attributes:
        as_of: the moment it speaks for, microseconds.
        cut: the data cut of the champion's training, microseconds.
        days: how far back recent leads were created.
        leads: how many leads each period has.
        notes: what could not be looked at, and why, in words.
        shifts: of every feature, the strangest first; none where too few leads tell.
        apart: how well recent leads are told from the last ones before the champion was made.
        usual: the same of windows before that, the latest first.
        expected: the label-free expected loss.
        early: early wins against prediction.
        matured: the wins of all leads that have matured since.
        slope: their calibration slope.
        segments: their wins by partner, region, channel.
        months: their wins by month of creation.
    """

    as_of: int
    cut: int
    days: int
    leads: Mapping[str, int]
    notes: tuple[str, ...]
    shifts: tuple[FeatureDrift, ...]
    apart: DomainSeparation | None
    usual: tuple[DomainSeparation, ...]
    expected: ExpectedLoss | None
    early: tuple[OutcomeGap, ...]
    matured: OutcomeGap | None
    slope: SlopeCheck | None
    segments: tuple[OutcomeGap, ...]
    months: tuple[OutcomeGap, ...]

    @property
    def verdict(self) -> Verdict:
        """`retrain` where outcomes belie the champion, `watch` where what goes in has moved, else `fine`."""
        if self._outcome_alarms:
            return "retrain"
        return "watch" if self._input_alarms else "fine"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, each a sentence with figures; of a fine champion, what it was found fine by."""
        found = (*self._outcome_alarms, *self._input_alarms)
        return tuple(check.sentence for check in found) if found else tuple(self._fine())

    @property
    def _outcome_alarms(self) -> list[AlarmTest]:
        gaps = (*self.early, *self.segments, *([self.matured] if self.matured else []))
        checks = [AlarmTest(gap.p, gap.sentence) for gap in gaps if gap.p is not None]
        checks += [AlarmTest(self.slope.p, self.slope.sentence)] if self.slope else []
        return alarming(checks, ALPHA / 2)

    @property
    def _input_alarms(self) -> list[AlarmTest]:
        checks = [AlarmTest(shift.p, shift.sentence) for shift in self.shifts]
        if self.apart:
            checks.append(AlarmTest(self.apart.p_value(self.usual), self._told_apart(self.apart)))
        checks += [AlarmTest(self.expected.p, self.expected.sentence)] if self.expected else []
        return alarming(checks, ALPHA / 2)

    def _told_apart(self, apart: DomainSeparation) -> str:
        mean = sum(one.auc for one in self.usual) / max(len(self.usual), 1)
        usual = f", {mean:.3f} in earlier windows" if self.usual else ""
        return (
            f"recent leads are told from those before the champion was made with an AUC of {apart.auc:.3f} "
            f"({apart.interval[0]:.3f} to {apart.interval[1]:.3f}{usual}), by {apart.carried}"
        )

    def _fine(self) -> list[str]:
        found = (
            [f"none of {len(self.shifts)} features moved more than chance and habit make them"] if self.shifts else []
        )
        found += [self._told_apart(self.apart)] if self.apart else []
        found += [self.expected.sentence] if self.expected else []
        return [*found, *(gap.sentence for gap in (*self.early, *([self.matured] if self.matured else [])))]

    def metrics(self) -> Mapping[str, float]:
        """Figures by name, as a registry keeps them; `alarm` is 0 where fine, 1 to watch, 2 to retrain."""
        found = {f"{name}_leads": float(count) for name, count in self.leads.items()}
        found["alarm"] = float(("fine", "watch", "retrain").index(self.verdict))
        if self.shifts:
            found["worst_psi"] = max(shift.psi for shift in self.shifts)
        if self.apart:
            found["domain_auc"] = self.apart.auc
        if self.expected:
            found["expected_log_loss"] = self.expected.recent
        if self.matured:
            found |= {"observed_rate": self.matured.observed, "mean_probability": self.matured.predicted}
        if self.slope:
            found["calibration_slope"] = self.slope.value
        return found

    def to_dict(self) -> Mapping[str, Any]:
        """JSON types."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "as_of": rfc3339(self.as_of),
            "champion_cut": rfc3339(self.cut),
            "days": self.days,
            "leads": dict(self.leads),
            "expected_loss": None if self.expected is None else self.expected.to_json(),
            "domain_classifier": None if self.apart is None else self.apart.to_json(),
            "domain_classifier_usual": [one.to_json() for one in self.usual],
            "features": [shift.to_json() for shift in self.shifts],
            "early": [gap.to_json() for gap in self.early],
            "matured": None if self.matured is None else self.matured.to_json(),
            "slope": None if self.slope is None else self.slope.to_json(),
            "segments": [gap.to_json() for gap in self.segments],
            "months": [gap.to_json() for gap in self.months],
        }


def retraining_reason(
    report: MonitoringReport, learned: int, *, by_verdict: bool, after_days: int | None
) -> str | None:
    """Why to train anew, in words; None where that is not due.

    Args:
        report: the look at the champion.
        learned: the data cut of the newest version, microseconds; where no data came since, nothing is due.
        by_verdict: whether the verdict decides.
        after_days: days of data after which the champion is due whatever the verdict; None for no schedule.

    Raises:
        ValueError: `after_days` is below 1.
    """
    if after_days is not None and after_days < 1:
        raise ValueError(f"after_days must be 1 or more, not {after_days}; leave it out for no schedule")
    if report.as_of <= learned:
        return None
    if by_verdict and report.verdict == "retrain":
        return f"monitoring: {report.reasons[0]}"
    if after_days is not None and report.as_of - report.cut >= after_days * DAY:
        return f"schedule: the champion knows nothing after {rfc3339(report.cut)}"
    return None
