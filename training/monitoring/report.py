"""The monitoring report: every test with its probability, and the verdict in words.

All tests together raise a false alarm in at most 5 of 100 reports on an unchanged world. Inputs (features, classifier,
expected loss) and outcomes (wins, slope) get half of the 5 % each, with Holm's correction inside each half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from features.value_types import DAY, rfc3339
from training.monitoring.domain_classifier import DomainSeparation
from training.monitoring.feature_drift import FeatureDrift
from training.monitoring.outcomes import ExpectedLoss, OutcomeGap, SlopeCheck

Verdict = Literal["fine", "watch", "retrain"]
ALPHA = 0.05
"""The highest share of reports on an unchanged world that may raise an alarm."""


@dataclass(frozen=True)
class AlarmTest:
    """One test: its probability in an unchanged world, and its finding in words."""

    p: float
    sentence: str


def alarming(checks: Sequence[AlarmTest], alpha: float) -> list[AlarmTest]:
    """The tests that raise an alarm after Holm's correction, the least probable first."""
    alarms: list[AlarmTest] = []
    for position, check in enumerate(sorted(checks, key=lambda check: check.p)):
        if check.p > alpha / (len(checks) - position):
            break
        alarms.append(check)
    return alarms


@dataclass(frozen=True, kw_only=True)
class MonitoringReport:
    """The findings of monitoring.

    Attributes:
        as_of: the moment of the report, microseconds.
        cut: the data cut of the champion's training, microseconds.
        days: recent leads were created in this many last days.
        leads: how many leads each period has.
        notes: tests that could not be made, and why, in words.
        drifts: the drift of every feature, the least probable first; empty with too few leads.
        domain: how well recent leads are separated from the last ones before the champion's training.
        past_domains: the same of the past pairs of windows, the latest first.
        expected: the expected loss without labels.
        early: early wins against predictions.
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
    drifts: tuple[FeatureDrift, ...]
    domain: DomainSeparation | None
    past_domains: tuple[DomainSeparation, ...]
    expected: ExpectedLoss | None
    early: tuple[OutcomeGap, ...]
    matured: OutcomeGap | None
    slope: SlopeCheck | None
    segments: tuple[OutcomeGap, ...]
    months: tuple[OutcomeGap, ...]

    @property
    def verdict(self) -> Verdict:
        """`retrain` where outcomes contradict the predictions, `watch` where inputs have drifted, else `fine`."""
        if self.outcome_alarms:
            return "retrain"
        return "watch" if self.input_alarms else "fine"

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons, each a sentence with figures; for the verdict `fine`, the findings that support it."""
        alarms = (*self.outcome_alarms, *self.input_alarms)
        return tuple(check.sentence for check in alarms) if alarms else tuple(self._fine())

    @property
    def outcome_alarms(self) -> list[AlarmTest]:
        """The alarms of early wins, matured wins, segments and the calibration slope."""
        gaps = (*self.early, *self.segments, *([self.matured] if self.matured else []))
        checks = [AlarmTest(gap.p, gap.sentence) for gap in gaps if gap.p is not None]
        checks += [AlarmTest(self.slope.p, self.slope.sentence)] if self.slope else []
        return alarming(checks, ALPHA / 2)

    @property
    def input_alarms(self) -> list[AlarmTest]:
        """The alarms of features, domain classifier and expected loss."""
        checks = [AlarmTest(drift.p, drift.sentence) for drift in self.drifts]
        if self.domain:
            checks.append(AlarmTest(self.domain.p_value(self.past_domains), self._separated(self.domain)))
        checks += [AlarmTest(self.expected.p, self.expected.sentence)] if self.expected else []
        return alarming(checks, ALPHA / 2)

    def _separated(self, domain: DomainSeparation) -> str:
        mean = sum(one.auc for one in self.past_domains) / max(len(self.past_domains), 1)
        usual = f", {mean:.3f} in earlier windows" if self.past_domains else ""
        return (
            f"recent leads are told from those before the champion was made with an AUC of {domain.auc:.3f} "
            f"({domain.interval[0]:.3f} to {domain.interval[1]:.3f}{usual}), by {domain.carried}"
        )

    def _fine(self) -> list[str]:
        sentences = (
            [f"none of {len(self.drifts)} features moved more than chance and habit make them"] if self.drifts else []
        )
        sentences += [self._separated(self.domain)] if self.domain else []
        sentences += [self.expected.sentence] if self.expected else []
        return [*sentences, *(gap.sentence for gap in (*self.early, *([self.matured] if self.matured else [])))]

    def metrics(self) -> Mapping[str, float]:
        """Figures by name, as a registry keeps them; `alarm` is 0 for fine, 1 for watch, 2 for retrain."""
        figures = {f"{name}_leads": float(count) for name, count in self.leads.items()}
        figures["alarm"] = float(("fine", "watch", "retrain").index(self.verdict))
        if self.drifts:
            figures["worst_psi"] = max(drift.psi for drift in self.drifts)
        if self.domain:
            figures["domain_auc"] = self.domain.auc
        if self.expected:
            figures["expected_log_loss"] = self.expected.recent
        if self.matured:
            figures |= {"observed_rate": self.matured.observed, "mean_probability": self.matured.predicted}
        if self.slope:
            figures["calibration_slope"] = self.slope.value
        return figures

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
            "expected_loss": None if self.expected is None else self.expected.to_dict(),
            "domain_classifier": None if self.domain is None else self.domain.to_dict(),
            "domain_classifier_usual": [one.to_dict() for one in self.past_domains],
            "features": [drift.to_dict() for drift in self.drifts],
            "early": [gap.to_dict() for gap in self.early],
            "matured": None if self.matured is None else self.matured.to_dict(),
            "slope": None if self.slope is None else self.slope.to_dict(),
            "segments": [gap.to_dict() for gap in self.segments],
            "months": [gap.to_dict() for gap in self.months],
        }


def retraining_reason(
    report: MonitoringReport, learned: int, *, by_verdict: bool, after_days: int | None
) -> str | None:
    """The reason to retrain, in words; None where retraining is not due.

    Args:
        report: the monitoring report of the champion.
        learned: the data cut of the newest version, microseconds; without newer data retraining is not due.
        by_verdict: whether the verdict `retrain` is a reason.
        after_days: days of data after which retraining is due with any verdict; None for no schedule.

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
