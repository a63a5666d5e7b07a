"""The decision: one lead's verdict, probability, explanation and counterfactual, as the API returns and stores it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.engines.python import Evaluation
from features.value_types import Scalar, rfc3339
from models.bundle import Bundle
from models.encoding import Encoding, Matrix
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
        scores = _score(self.served.bundle, self._neutral, [evaluation.features for *_, evaluation in leads])
        return [self._content(*lead, score) for lead, score in zip(leads, scores, strict=True)]

    @cached_property
    def _neutral(self) -> "_Neutral":
        encoding = self.served.bundle.encoding if self.served else Encoding(())
        entries = [self.catalogue[name] for name in encoding.names]
        return _Neutral(
            np.array([entry.partner for entry in entries]),
            encoding.encode_rows([{entry.name: entry.neutral for entry in entries}]),
        )

    def _content(self, lead_id: str, as_of: int, evaluation: Evaluation, score: "_Score | None") -> Content:
        verdict = judge(self.policy, evaluation, None if score is None else score.value)
        content: Content = {
            "lead_id": lead_id,
            "as_of": rfc3339(as_of),
            "qualification": verdict.qualification,
            "pending": verdict.pending,
            "rules": [outcome._asdict() for outcome in verdict.rules],
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
                "contributions": [each._asdict() for each in explanation.contributions],
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


class _Neutral(NamedTuple):
    """Which encoded features speak of partners, and what they are where there are none."""

    partner: NDArray[np.bool_]
    values: Matrix


def _score(bundle: Bundle, neutral: _Neutral, rows: Sequence[Mapping[str, Scalar]]) -> Iterable[_Score]:
    known = bundle.encoding.encode_rows(rows)
    # Each row a second time without partners, for the model is asked once only.
    both = bundle.parts(np.vstack([known, np.where(neutral.partner, neutral.values, known)]))
    if not np.isfinite(both).all():
        raise ValueError(f"the model {bundle.name!r} gives a lead contributions that are not finite")
    parts, without = both[: len(rows)], sigmoid(both[len(rows) :].sum(axis=1))
    values = sigmoid(parts.sum(axis=1))
    lower, upper = bundle.calibration.range(bundle.margins(parts))
    numbers = np.column_stack([values, np.minimum(lower, values), np.maximum(upper, values), without]).tolist()
    for (value, low, high, alone), part in zip(numbers, parts, strict=True):
        yield _Score(value, low, high, alone, part)


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
