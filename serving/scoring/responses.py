"""The answers about scores: a batch of decisions, and the scores of a lead with the changes between them."""

from typing import Literal

from features.value_types import Scalar
from models.policy import Outcome, Qualification
from serving.decisions.responses import DecisionAnswer, ModelAnswer, PolicyAnswer
from serving.http.responses import Answer, WrittenAnswer


class BatchAnswer(WrittenAnswer):
    """The decisions, in the order of the requests."""

    items: list[DecisionAnswer]


class RuleStepAnswer(Answer):
    """A rule whose outcome changed; null where one of the policies does not have it."""

    rule: str
    before: Outcome | None
    after: Outcome | None


class StepAnswer(Answer):
    """The effect of one cause, in percentage points, log-odds, qualification and rules."""

    points: float | None
    log_odds: float | None
    before: Qualification
    after: Qualification
    rules: list[RuleStepAnswer]


class FeatureChangeAnswer(Answer):
    """The effect of a feature under the earlier model."""

    feature: str
    family: str
    before: Scalar
    after: Scalar
    log_odds: float
    points: float
    sentence: str


class ChangeAnswer(Answer):
    """The change since the decision before: facts, model and policy add up to it, the features add up to the facts."""

    sentences: list[str]
    points: float | None
    facts: StepAnswer
    model: StepAnswer
    policy: StepAnswer
    features: list[FeatureChangeAnswer]


class ScoreAnswer(Answer):
    """A decision on a lead in short, and what changed since the one before; `change_reason` says why that is null."""

    decision_id: str
    as_of: str
    created_at: str
    qualification: Qualification
    pending: bool
    close_probability: float | None
    grade: Literal["A", "B", "C", "D"] | None
    model: ModelAnswer | None
    policy: PolicyAnswer
    change: ChangeAnswer | None
    change_reason: str | None
