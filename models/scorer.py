"""The scorer: it applies the policy to leads, and gives each its close probability, explanation and next actions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.engines.python import Evaluation
from features.value_types import Scalar
from models.arrays import Matrix, Reals
from models.bundle import Bundle, Grade
from models.decision import (
    CatalogueReference,
    CloseProbability,
    Decision,
    ExpectedValue,
    ModelReference,
    PolicyReference,
    WithoutPartner,
)
from models.encoding import Encoding
from models.expected_value import expected_value
from models.explanation import Explanation, explain
from models.policy import Policy
from models.probability import sigmoid
from models.verdict import Verdict, apply_policy

NO_MODEL = "no model is promoted yet; run `eql train`, then `eql promote`"
_NOTE = "association of the model, not a cause"


@dataclass(frozen=True)
class ServedModel:
    """A bundle with the version its registry gave it."""

    bundle: Bundle
    version: str


@dataclass(frozen=True)
class Scorer:
    """Everything that decides: the catalogue, the policy and the served model, if any.

    Attributes:
        catalogue: the base catalogue with the bundle's attributes.
        policy: the rules.
        served: the champion; None before the first promotion.
    """

    catalogue: Catalogue
    policy: Policy
    served: ServedModel | None

    def decide(self, lead_id: str, as_of: int, evaluation: Evaluation) -> Decision:
        """The decision on one lead as of a moment (microseconds).

        Raises:
            ValueError: the model's contributions for the lead are not finite.
        """
        return self.decide_all([(lead_id, as_of, evaluation)])[0]

    def decide_all(self, leads: Sequence[tuple[str, int, Evaluation]]) -> list[Decision]:
        """The decisions on many leads, each equal to the one that `decide` gives.

        Raises:
            ValueError: the model's contributions for a lead are not finite.
        """
        if self.served is None or not leads:
            return [self._decision(lead_id, as_of, evaluation, None) for lead_id, as_of, evaluation in leads]
        scores = _score(self.served.bundle, self._neutral, [evaluation.features for *_, evaluation in leads])
        return [self._decision(*lead, score) for lead, score in zip(leads, scores, strict=True)]

    @cached_property
    def _neutral(self) -> "_NeutralValues":
        encoding = self.served.bundle.encoding if self.served else Encoding(())
        entries = [self.catalogue[name] for name in encoding.names]
        return _NeutralValues(
            np.array([entry.partner for entry in entries], dtype=np.bool_),
            encoding.encode_rows([{entry.name: entry.neutral for entry in entries}]),
        )

    def _decision(self, lead_id: str, as_of: int, evaluation: Evaluation, score: "_Score | None") -> Decision:
        verdict = apply_policy(self.policy, evaluation, None if score is None else score.value)
        scored = _WITHOUT_MODEL if score is None else self._scored(evaluation, score)
        return Decision(
            lead_id=lead_id,
            as_of=as_of,
            qualification=verdict.qualification,
            pending=verdict.pending,
            rules=verdict.rules,
            missing=verdict.missing,
            not_recorded=verdict.not_recorded,
            close_probability=scored.close_probability,
            close_probability_reason=scored.close_probability_reason,
            grade=scored.grade,
            expected_value=scored.expected_value,
            explanation=scored.explanation,
            without_partner=scored.without_partner,
            next_actions=_next_actions(self.policy, verdict, evaluation),
            model=scored.model,
            policy=PolicyReference(self.policy.version, self.policy.sha256),
            catalogue=CatalogueReference(self.catalogue.sha256),
        )

    def _scored(self, evaluation: Evaluation, score: "_Score") -> "_Scored":
        if self.served is None:
            return _WITHOUT_MODEL
        bundle = self.served.bundle
        return _Scored(
            close_probability=CloseProbability(
                value=score.value,
                lower=score.lower,
                upper=score.upper,
                horizon_days=bundle.horizon_days,
                rung=bundle.rung,
            ),
            close_probability_reason=None,
            grade=bundle.grade(score.value),
            expected_value=expected_value(bundle, evaluation, score.value),
            explanation=explain(self.catalogue, bundle.encoding, score.contributions, evaluation),
            without_partner=WithoutPartner(score.without_partner, score.value - score.without_partner, _NOTE),
            model=ModelReference(bundle.name, self.served.version, bundle.sha256),
        )


class _Scored(NamedTuple):
    """The parts of a decision that come from the model."""

    close_probability: CloseProbability | None
    close_probability_reason: str | None
    grade: Grade | None
    expected_value: ExpectedValue | None
    explanation: Explanation | None
    without_partner: WithoutPartner | None
    model: ModelReference | None


_WITHOUT_MODEL = _Scored(None, NO_MODEL, None, None, None, None, None)


class _Score(NamedTuple):
    """The numbers of one lead: probabilities with and without partners, and the calibrated contributions."""

    value: float
    lower: float
    upper: float
    without_partner: float
    contributions: Reals


class _NeutralValues(NamedTuple):
    """The lead without partners: which encoded features speak of partners, and their codes without any."""

    partner: NDArray[np.bool_]
    values: Matrix


def _score(bundle: Bundle, neutral: _NeutralValues, rows: Sequence[Mapping[str, Scalar]]) -> Iterable[_Score]:
    encoded = bundle.encoding.encode_rows(rows)
    # Each row is repeated without its partners, so that one call of the model scores both.
    # A value that is missing says nothing of partners, and stays missing.
    alone = np.where(neutral.partner & ~np.isnan(encoded), neutral.values, encoded)
    both = bundle.contributions(np.vstack([encoded, alone]))
    if not np.isfinite(both).all():
        raise ValueError(f"the model {bundle.name!r} gives a lead contributions that are not finite; train it again")
    contributions, without = both[: len(rows)], sigmoid(both[len(rows) :].sum(axis=1))
    values = sigmoid(contributions.sum(axis=1))
    lower, upper = bundle.calibration.range(bundle.margins(contributions))
    # The range is computed from margins, so rounding may leave the value outside by the last bit.
    numbers = np.column_stack([values, np.minimum(lower, values), np.maximum(upper, values), without]).tolist()
    for (value, low, high, alone), row in zip(numbers, contributions, strict=True):
        yield _Score(value, low, high, alone, row)


def _next_actions(policy: Policy, verdict: Verdict, evaluation: Evaluation) -> tuple[str, ...]:
    action = policy.actions.get(verdict.qualification)
    if verdict.qualification == "DISQUALIFIED":
        failed = [o.reason for o in verdict.rules if o.gate == "disqualifier" and o.outcome == "fail"]
        return (f"{action or 'Do not work it'}: {'; '.join(failed)}",)
    asks = verdict.missing if verdict.pending else ()
    name = evaluation.partner.get("name")
    if name:
        asks = tuple(ask.replace("the partner", name, 1) for ask in asks)
    # A pending lead waits for its partner, so its actions are what is missing: sales has no part in it yet.
    return (*asks, action) if action and not asks else asks
