"""An evaluation report as text: lines about the version, then tables of its metrics."""

from typing import TYPE_CHECKING

from app import console

if TYPE_CHECKING:
    from training.evaluation.metrics import AttainableSkill
    from training.evaluation.report import EvaluationReport, RungMetrics


def evaluation_text(report: "EvaluationReport", attainable: "AttainableSkill | None" = None) -> str:
    """A report in words and two tables; `attainable` is known in a simulated world only."""
    metrics = report.metrics
    lines = [
        f"target: {report.target}; rows: {report.split}; point in time: {report.point_in_time}",
        f"rung: {report.rung}, because {report.rung_reason}",
        *([f"trees: {report.tuning.reason}"] if report.tuning else []),
        f"skill: {'yes' if metrics.skill else 'no skill'}",
    ]
    rows: list[list[object]] = [
        ["leads", metrics.rows, metrics.rows],
        ["log loss", metrics.log_loss, metrics.log_loss_constant],
        ["difference, 95 %", _interval(metrics.log_loss_difference, *metrics.log_loss_difference_95), None],
        ["AUC", _interval(metrics.auc, *metrics.auc_95), 0.5],
        ["Brier", metrics.brier, metrics.brier_constant],
        ["mean probability", metrics.mean_probability, metrics.base_rate],
        ["observed rate", metrics.observed_rate, metrics.observed_rate],
        ["calibration slope", metrics.calibration_slope, None],
    ]
    tables = [console.table("Out of time, at creation", ["", "served", "constant"], rows)]
    if report.out_of_time_rungs:
        tables.append(_considered(report))
    lines += [f"left out: {excluded.leads:,} leads with {excluded.segment}" for excluded in report.excluded]
    lines += [f"levels left out: {each}" for each in report.left_out_levels]
    lines += [f"suspected leak: {suspect.name} {suspect.evidence}" for suspect in report.leaks]
    if attainable is not None:
        lines.append(
            f"share of attainable log-loss skill (constant 0, true probabilities 1): "
            f"{attainable.share_of_attainable_skill:.3f} on the drawn outcomes, "
            f"{attainable.share_of_attainable_skill_expected:.3f} in expectation"
        )
    return "\n".join([*lines, *tables])


def _considered(report: "EvaluationReport") -> str:
    """The table of the rungs that were considered, with the loss at each origin and the weight in the served model."""
    origins = range(max(len(rung.log_loss_by_origin) for rung in report.out_of_time_rungs))
    head = ["rung", "settings", "weight", "log loss", *(f"origin {number + 1}" for number in origins), "auc", "brier"]
    rows = [
        [rung.rung, _settings(rung), rung.weight, rung.log_loss, *rung.log_loss_by_origin, rung.auc, rung.brier]
        for rung in report.out_of_time_rungs
    ]
    judged = report.out_of_time_rungs[0].rows
    return console.table(f"Considered at the rolling origins, on {judged:,} leads", head, rows)


def _settings(rung: "RungMetrics") -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in rung.settings.items())


def _interval(value: float, low: float, high: float) -> str:
    # Adding 0 turns the -0 of rounding into 0.
    return "{:.4f} ({:.4f} to {:.4f})".format(*(round(number, 4) + 0.0 for number in (value, low, high)))
