"""The model card of a version in plain words, as Markdown: the model, its metrics, its limits and its data."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.bundle import Bundle
from models.probability import Rung
from training.evaluation.importance import Importance
from training.evaluation.lift import CapacityLift
from training.evaluation.report import EvaluationReport

_TOP = 10
_RUNGS: Mapping[Rung, str] = {
    "base_rate": "the base rate: every lead gets the same probability, and the rules do the work",
    "segment_rates": "the base rates of segments, shrunk towards that of all leads",
    "logistic": "a regularised logistic regression",
    "additive": "gradient-boosted trees of one feature each, so that the effects of features add up",
    "lightgbm": "shallow gradient-boosted trees (LightGBM)",
    "blend": "a weighted mean, on log-odds, of a logistic regression and of gradient-boosted trees",
}


def card(
    bundle: Bundle,
    report: EvaluationReport,
    importance: Importance,
    capacity: CapacityLift | None,
    digests: Mapping[str, str],
) -> str:
    """The model card.

    Args:
        bundle: the model.
        report: the evaluation report of its training; lines without a value in it are left out.
        importance: the importance of its features.
        capacity: its lift at the capacity of sales; None where leads are undated.
        digests: hashes by name.
    """
    sections = {
        f"Model card: {bundle.name}": _what(bundle, report),
        "How good it is": [*_worth(report), *_capacity(capacity)],
        "What moves its probabilities": _moves(importance),
        "What it is not": _limits(bundle, report),
        "What it was trained on": _made_of(bundle, report, digests),
    }
    return (
        "\n\n".join(
            f"{'#' if position == 0 else '##'} {title}\n\n" + "\n".join(lines)
            for position, (title, lines) in enumerate(sections.items())
        )
        + "\n"
    )


def _what(bundle: Bundle, report: EvaluationReport) -> list[str]:
    target = f"won within {bundle.horizon_days} days" if bundle.horizon_days else "ever won"
    lines = [
        f"It gives each open lead the probability of being {target}, from the facts recorded by then.",
        f"It is {_RUNGS[bundle.rung]}.",
    ]
    if report.rung_reason:
        lines.append(f"Why this rung: {report.rung_reason}.")
    if report.intercept_sample == "latest":
        lines.append(
            "Its intercept is fitted on the latest quarter of the training leads: at the rolling origins they "
            "predicted the share won better than all leads did."
        )
    return lines


def _worth(report: EvaluationReport) -> list[str]:
    metrics = report.metrics
    low, high = metrics.log_loss_difference_95
    lines = [
        f"Judged on {metrics.rows:,} leads at their creation, {metrics.won:,} of them won. All of them came after the "
        "training data. Intervals are 95 % and resample whole accounts.",
        "",
        "| | this model | the constant |",
        "|---|---|---|",
        f"| log loss, nats a lead | {metrics.log_loss:.4f} | {metrics.log_loss_constant:.4f} |",
        f"| AUC | {metrics.auc:.3f} ({_range(metrics.auc_95, '.3f')}) | 0.500 |",
        f"| Brier score | {metrics.brier:.4f} | {metrics.brier_constant:.4f} |",
        f"| mean probability | {metrics.mean_probability:.1%} | {metrics.base_rate:.1%} |",
        "",
        f"{metrics.observed_rate:.1%} of the leads were won. The difference in log loss is "
        f"{metrics.log_loss_difference:+z.4f} ({low:+z.4f} to {high:+z.4f}); below 0 the model is better.",
    ]
    return [*lines, _skill(report), *_slope(report)]


def _skill(report: EvaluationReport) -> str:
    if report.metrics.skill:
        return "It has skill: the interval of its AUC lies above .5, the AUC of a random ranking."
    return "It has no proven skill: do not rank leads by it."


def _slope(report: EvaluationReport) -> list[str]:
    slope = report.metrics.calibration_slope
    if slope is None:
        return []
    words = (
        "overconfident: its high probabilities are too high and its low ones too low"
        if slope < 0.9
        else (
            "underconfident: its high probabilities are too low and its low ones too high"
            if slope > 1.1
            else "about right"
        )
    )
    return [f"Its calibration slope is {slope:.2f}, where 1 is perfect: it is {words}."]


def _capacity(capacity: CapacityLift | None) -> list[str]:
    if capacity is None:
        return []
    lift = "" if capacity.lift is None else f", {capacity.lift:.2f} times as many as a random choice of leads"
    return [
        f"Working the best {capacity.leads_a_week} leads of each week, {capacity.worked:.0%} of all, finds "
        f"{capacity.found:.0%} of the wins{lift}."
    ]


def _moves(importance: Importance) -> list[str]:
    features = {name: value for name, value in importance.features.items() if value}
    if not features:
        return ["No feature changes its probabilities."]
    lines = ["Mean absolute contribution to the log-odds over the test leads; an association, not a cause."]
    families = {name: value for name, value in importance.families.items() if value}
    return [*lines, *_table("family", families), *_table("feature", dict(list(features.items())[:_TOP]))]


def _table(what: str, strength: Mapping[str, float]) -> Sequence[str]:
    rows = [f"| {_cell(name)} | {value:.3f} |" for name, value in strength.items()]
    return ["", f"| {what} | log-odds |", "|---|---|", *rows]


def _limits(bundle: Bundle, report: EvaluationReport) -> list[str]:
    lines = [
        "* It describes how similar leads closed under the sales process of that time, not the effect of a call.",
        "* Its range is the uncertainty of the calibration, not of a single lead.",
        "* Contributions and `without_partner` are associations of the model, not causes.",
    ]
    if bundle.horizon_days is None:
        lines.append("* Closes or leads were undated: a probability of ever winning, on weaker evidence.")
    if report.point_in_time:
        lines.append(f"* Point in time: {report.point_in_time}.")
    lines += [
        f"* It was neither trained nor judged on leads with {_cell(left.segment)} ({left.leads:,} of them): it "
        "scores such leads without having seen any."
        for left in report.excluded
    ]
    lines += [f"* Levels left out: {_cell(str(each))}." for each in report.left_out_levels]
    if allowed := bundle.training_summary.get("allowed_leaks"):
        lines.append(f"* Allowed although it may leak the outcome: {', '.join(map(_cell, allowed))}.")
    leaks = [_cell(suspect.name) for suspect in report.leaks]
    if leaks:
        lines.append(f"* Suspected of leaking the outcome: {', '.join(leaks)}.")
    return lines


def _made_of(bundle: Bundle, report: EvaluationReport, digests: Mapping[str, str]) -> list[str]:
    facts = {
        "training leads": report.training_leads,
        "training rows": report.training_rows,
        "features": len(bundle.encoding.features),
        "set aside to test on": report.split,
        "data cut": report.cut,
        **{f"{name}, SHA-256": f"`{value}`" for name, value in digests.items()},
    }
    rows = [f"| {name} | {_shown(value)} |" for name, value in facts.items() if value is not None]
    return ["| | |", "|---|---|", *rows]


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _cell(str(value))


def _cell(text: str) -> str:
    """Text that cannot break out of a cell of a table: the export names the attributes."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _range(bounds: Sequence[float], form: str) -> str:
    return " to ".join(format(bound, form) for bound in bounds)
