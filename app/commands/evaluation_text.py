"""An evaluation report as text: lines about the version, then tables of its metrics."""

from typing import TYPE_CHECKING

from app import console

if TYPE_CHECKING:
    from training.evaluation.metrics import AttainableSkill
    from training.evaluation.report import EvaluationReport


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
        columns = ["rung", "rows", "log_loss", "auc", "brier"]
        rungs = [[getattr(rung, name) for name in columns] for rung in report.out_of_time_rungs]
        tables.append(console.table("Rolling origins", [name.replace("_", " ") for name in columns], rungs))
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


def _interval(value: float, low: float, high: float) -> str:
    # Adding 0 turns the -0 of rounding into 0.
    return "{:.4f} ({:.4f} to {:.4f})".format(*(round(number, 4) + 0.0 for number in (value, low, high)))
