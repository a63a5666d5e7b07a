"""The evaluation report of a version: its metrics, how its rung was selected, and what the training data were.

A training makes it, the registry keeps it as JSON, and commands, card and notebooks read its attributes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from models.probability import Rung
from training.data.levels import LeftOutLevels
from training.data.segments import ExcludedSegment
from training.evaluation.leak_findings import DriftingFeature, Suspect
from training.evaluation.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class RungMetrics:
    """The metrics of one rung at the rolling origins, calibrated.

    Attributes:
        rung: the rung, with its best settings.
        rows: leads judged.
        log_loss: in nats a lead.
        auc: area under the ROC curve.
        brier: mean squared error.
        log_loss_by_origin: the log loss at each origin; empty in reports of earlier versions.
        settings: the value of the rung's own setting, by its name.
        weight: its share of the served model: 1 of the served rung, the weight of a member of a served blend, else 0.
    """

    rung: Rung
    rows: int
    log_loss: float
    auc: float
    brier: float
    log_loss_by_origin: tuple[float, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    weight: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        by_origin = {"log_loss_by_origin": list(self.log_loss_by_origin), "settings": dict(self.settings)}
        return {**asdict(self), **by_origin}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The metrics that `to_dict` wrote; earlier versions wrote no losses by origin, settings and weight."""
        return cls(**{**content, "log_loss_by_origin": tuple(content.get("log_loss_by_origin", ()))})


@dataclass(frozen=True)
class TuningSummary:
    """The settings of the trees and where they came from.

    Attributes:
        settings: the searched settings, by name.
        reason: why these, in words.
        trials: settings tried in all.
    """

    settings: Mapping[str, float]
    reason: str
    trials: int

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"settings": dict(self.settings), "reason": self.reason, "trials": self.trials}


@dataclass(frozen=True)
class CalibrationSummary:
    """The served calibration map: log-odds = intercept + slope * margin."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class ImmatureSnapshots:
    """Whether the model was fitted on soft-labelled immature snapshots too.

    Attributes:
        used: whether it was.
        reason: why, in words.
        gain: nats a lead that they gained at the rolling origins; None where they were not tried.
        standard_error: of the gain, clustered.
    """

    used: bool
    reason: str
    gain: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class CurveMetrics:
    """The metrics of the forecast curve at a number of days, beside the incidence without features.

    Attributes:
        days: days since creation.
        rows: test leads observed for that long.
        observed_rate: the share won by then.
        mean_probability: the mean forecast.
        constant: the incidence of all earlier leads by then.
        log_loss, log_loss_constant: in nats a lead.
        log_loss_difference_95: the central 95 % of their difference, by account.
    """

    days: int
    rows: int
    observed_rate: float
    mean_probability: float
    constant: float
    log_loss: float
    log_loss_constant: float
    log_loss_difference_95: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {**asdict(self), "log_loss_difference_95": list(self.log_loss_difference_95)}


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """The evaluation report; what a report of an earlier release lacks is None or empty.

    Attributes:
        metrics: of the served rung on the out-of-time rows.
        rung: the served rung.
        rung_reason: why this rung, in words.
        tuning: the settings of the trees.
        horizon_days: days within which a close counts; None for "ever won".
        target: the label, in words.
        split: how test rows were set aside, in words.
        point_in_time: whether features are as recorded at the time, in words.
        training_rows, training_leads: rows and leads that the model learned from.
        features: how many features vary.
        calibration: the served map.
        intercept_sample: the training leads that the intercept was taken from, `all` or `latest` (JSON key `level`).
        out_of_time_rungs: the rungs compared at the rolling origins.
        leaks: suspects of leaking, worst first.
        drifting: features that differ between training and test leads.
        leak_searches_skipped: searches for leaks that could not be made, each with the reason.
        excluded: segments left out of training and testing.
        left_out_levels: categories some of whose levels the model does not know.
        cut: the data cut, RFC 3339.
        immature: whether immature snapshots were used.
        curve: metrics of the forecast curve.
    """

    metrics: Metrics
    rung: Rung
    rung_reason: str | None = None
    tuning: TuningSummary | None = None
    horizon_days: int | None = None
    target: str | None = None
    split: str | None = None
    point_in_time: str | None = None
    training_rows: int | None = None
    training_leads: int | None = None
    features: int | None = None
    calibration: CalibrationSummary | None = None
    intercept_sample: str | None = None
    out_of_time_rungs: tuple[RungMetrics, ...] = ()
    leaks: tuple[Suspect, ...] = ()
    drifting: tuple[DriftingFeature, ...] = ()
    leak_searches_skipped: tuple[str, ...] = ()
    excluded: tuple[ExcludedSegment, ...] = ()
    left_out_levels: tuple[LeftOutLevels, ...] = ()
    cut: str | None = None
    immature: ImmatureSnapshots | None = None
    curve: tuple[CurveMetrics, ...] = ()

    def with_metrics(self, metrics: Metrics) -> "EvaluationReport":
        """The report with metrics computed anew."""
        return replace(self, metrics=metrics)

    def to_dict(self) -> dict[str, Any]:
        """JSON types, in the order of `eql evaluate --json`."""
        return {
            **self.metrics.to_dict(),
            "rung": self.rung,
            "rung_reason": self.rung_reason,
            "tuning": None if self.tuning is None else self.tuning.to_dict(),
            "horizon_days": self.horizon_days,
            "target": self.target,
            "split": self.split,
            "point_in_time": self.point_in_time,
            "training_rows": self.training_rows,
            "training_leads": self.training_leads,
            "features": self.features,
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "level": self.intercept_sample,
            "out_of_time_rungs": [rung.to_dict() for rung in self.out_of_time_rungs],
            "leaks": [suspect.to_dict() for suspect in self.leaks],
            "drifting": [feature.to_dict() for feature in self.drifting],
            "leak_searches_skipped": list(self.leak_searches_skipped),
            "excluded": [excluded.to_dict() for excluded in self.excluded],
            "left_out_levels": [each.to_dict() for each in self.left_out_levels],
            "cut": self.cut,
            "immature": None if self.immature is None else asdict(self.immature),
            "curve": [point.to_dict() for point in self.curve],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The report of its JSON types; unknown keys are ignored."""

        def many(key: str, make: Any) -> tuple[Any, ...]:
            return tuple(make(each) for each in content.get(key) or ())

        return cls(
            metrics=Metrics(**{field.name: _tupled(content[field.name]) for field in fields(Metrics)}),
            rung=content["rung"],
            rung_reason=content.get("rung_reason"),
            tuning=_optional(TuningSummary, content.get("tuning")),
            horizon_days=content.get("horizon_days"),
            target=content.get("target"),
            split=content.get("split"),
            point_in_time=content.get("point_in_time"),
            training_rows=content.get("training_rows"),
            training_leads=content.get("training_leads"),
            features=content.get("features"),
            calibration=_optional(CalibrationSummary, content.get("calibration")),
            intercept_sample=content.get("level"),
            out_of_time_rungs=many("out_of_time_rungs", RungMetrics.from_dict),
            leaks=many("leaks", Suspect.from_dict),
            drifting=many("drifting", lambda each: DriftingFeature(**each)),
            leak_searches_skipped=many("leak_searches_skipped", str),
            excluded=many("excluded", lambda each: ExcludedSegment(**each)),
            left_out_levels=many("left_out_levels", lambda each: LeftOutLevels(**each)),
            cut=content.get("cut"),
            immature=_optional(ImmatureSnapshots, content.get("immature")),
            curve=many("curve", _curve_metrics),
        )


def _optional(make: Any, content: Mapping[str, Any] | None) -> Any:
    return None if content is None else make(**content)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _curve_metrics(content: Mapping[str, Any]) -> CurveMetrics:
    return CurveMetrics(**{name: _tupled(value) for name, value in content.items()})
