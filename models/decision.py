"""The decision: one lead's verdict, probability, explanation and counterfactual, as the API returns and stores it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.direct import Evaluation
from features.values import Scalar, rfc3339
from models.bundle import Bundle
from models.explanation import explain
from models.policy import Policy
from models.probability import sigmoid
from models.verdict import Verdict, judge

Content: TypeAlias = dict[str, Any]
"""A decision's content as CONTRACT.md shows it, JSON types only, without `decision_id` and `created_at`."""

NO_MODEL = "no model is promoted yet; run `eql train`, then `eql promote`"
_NOTE = "association of the model, not a cause"


@dataclass(frozen=True)
class Served:
    """A bundle with the version its registry gave it."""

    bundle: Bundle
    version: str


@dataclass(frozen=True)
class Scorer:
    """All that decides: the catalogue, the policy and the served model, if any.

    Attributes:
        catalogue: the base catalogue with the bundle's attributes.
        policy: the rules.
        served: the champion; None before the first promotion.
    """

    catalogue: Catalogue
    policy: Policy
    served: Served | None

    def decide(self, lead_id: str, as_of: int, evaluation: Evaluation) -> Content:
        """The decision on one lead."""
        return self.decide_all([(lead_id, as_of, evaluation)])[0]

    def decide_all(self, leads: Sequence[tuple[str, int, Evaluation]]) -> list[Content]:
        """The decisions on many leads, each as `decide` gives it."""
        if self.served is None or not leads:
            return [self._content(lead_id, as_of, evaluation, None) for lead_id, as_of, evaluation in leads]
        scores = _score(self.served.bundle, self.catalogue, [evaluation.features for *_, evaluation in leads])
        return [self._content(*lead, score) for lead, score in zip(leads, scores, strict=True)]

    def _content(self, lead_id: str, as_of: int, evaluation: Evaluation, score: "_Score | None") -> Content:
        verdict = judge(self.policy, evaluation, None if score is None else score.value)
        content: Content = {
            "lead_id": lead_id,
            "as_of": rfc3339(as_of),
            "qualification": verdict.qualification,
            "pending": verdict.pending,
            "rules": [outcome.model_dump() for outcome in verdict.rules],
            "missing": list(verdict.missing),
            **self._probability(evaluation, score),
            "next_actions": _next_actions(self.policy, verdict, evaluation),
            "model": None,
            "policy": {"version": self.policy.version, "sha256": self.policy.sha256},
            "catalogue": {"sha256": self.catalogue.sha256},
        }
        if self.served is not None:
            bundle = self.served.bundle
            content["model"] = {"name": bundle.name, "version": self.served.version, "sha256": bundle.sha256}
        return content

    def _probability(self, evaluation: Evaluation, score: "_Score | None") -> Content:
        if score is None or self.served is None:
            nothing = ("close_probability", "grade", "expected_value", "explanation", "without_partner")
            return {**dict.fromkeys(nothing), "close_probability_reason": NO_MODEL}
        bundle = self.served.bundle
        explanation = explain(self.catalogue, bundle.encoding.names, score.parts, evaluation.features)
        return {
            "close_probability": {
                "value": score.value,
                "lower": score.lower,
                "upper": score.upper,
                "horizon_days": bundle.horizon_days,
                "rung": bundle.rung,
            },
            "grade": bundle.grade(score.value),
            "expected_value": _expected_value(bundle, score.value),
            "explanation": {
                "baseline": explanation.baseline,
                "contributions": [contribution._asdict() for contribution in explanation.contributions],
                "families": [{"family": f, "points": points} for f, points in explanation.families.items()],
            },
            "without_partner": {
                "close_probability": score.without_partner,
                "difference": score.value - score.without_partner,
                "note": _NOTE,
            },
        }


@dataclass(frozen=True)
class _Score:
    value: float
    lower: float
    upper: float
    without_partner: float
    parts: NDArray[np.float64]


def _score(bundle: Bundle, catalogue: Catalogue, rows: Sequence[Any]) -> Iterable[_Score]:
    names, count = bundle.encoding.names, len(rows)
    columns = {name: [row[name] for row in rows] for name in names}
    # Each row a second time without partners, for the model is asked once only.
    both = {name: [*column, *_neutral(catalogue, name, column)] for name, column in columns.items()}
    all_parts = bundle.parts(bundle.encoding.encode(both, 2 * count))
    parts, without = all_parts[:count], sigmoid(all_parts[count:].sum(axis=1))
    values = sigmoid(parts.sum(axis=1))
    lower, upper = bundle.calibration.range(bundle.margins(parts))
    lower, upper = np.minimum(lower, values), np.maximum(upper, values)
    for i in range(count):
        yield _Score(float(values[i]), float(lower[i]), float(upper[i]), float(without[i]), parts[i])


def _neutral(catalogue: Catalogue, name: str, column: list[Scalar]) -> list[Scalar]:
    entry = catalogue[name]
    return [entry.neutral] * len(column) if entry.partner else column


def _expected_value(bundle: Bundle, probability: float) -> Content | None:
    if bundle.expected_amount is None:
        return None
    minor, currency = bundle.expected_amount
    return {"minor": round(minor * probability), "currency": currency}


def _next_actions(policy: Policy, verdict: Verdict, evaluation: Evaluation) -> list[str]:
    action = policy.actions.get(verdict.qualification)
    if verdict.qualification == "DISQUALIFIED":
        failed = [o.reason for o in verdict.rules if o.gate == "disqualifier" and o.outcome == "fail"]
        return [f"{action or 'Do not work it'}: {'; '.join(failed)}"]
    asks = list(verdict.missing) if verdict.pending else []
    name = evaluation.partner.get("name")
    asks = [ask.replace("the partner", name, 1) if name else ask for ask in asks]
    return [*asks, *([action] if action else [])]
