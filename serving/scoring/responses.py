"""The answers about scores: a batch of decisions, and the scores of a lead with the changes between them."""

from typing import Literal

from features.value_types import Money, Scalar
from models.policy import Outcome, Qualification
from serving.decisions.responses import DecisionAnswer, ModelAnswer, PolicyAnswer
from serving.http.responses import Answer, Time, WrittenAnswer


class BatchAnswer(WrittenAnswer):
    """The decisions, in the order of the requests."""

    items: list[DecisionAnswer]
    """The items, in their order."""


class RuleStepAnswer(Answer):
    """A rule whose outcome changed; null where one of the policies does not have it."""

    rule: str
    """The id of the rule."""
    before: Outcome | None
    """The value before."""
    after: Outcome | None
    """The value after."""


class StepAnswer(Answer):
    """The effect of one cause, in percentage points, log-odds, qualification and rules."""

    points: float | None
    """The effect in percentage points."""
    log_odds: float | None
    """The effect in log-odds."""
    before: Qualification
    """The value before."""
    after: Qualification
    """The value after."""
    rules: list[RuleStepAnswer]
    """The outcome of each rule."""


class FeatureChangeAnswer(Answer):
    """The effect of a feature under the earlier model."""

    feature: str
    """The name of the feature."""
    family: str
    """The family of the feature."""
    before: Scalar
    """The value before."""
    after: Scalar
    """The value after."""
    log_odds: float
    """The effect in log-odds."""
    points: float
    """The effect in percentage points."""
    sentence: str
    """The feature in words."""


class ClosedStateAnswer(Answer):
    """The close of a lead."""

    outcome: Literal["won", "lost"]
    """Whether the lead was won or lost."""
    at: Time | None
    """When the lead was closed; null where the close is undated."""


class CurrentScoreAnswer(Answer):
    """The current score of a lead. A partner gets neither probability nor grade nor value."""

    lead_id: str
    """The lead's id."""
    decision_id: str
    """The id of the decision."""
    qualification: Qualification
    """The label that the policy gives."""
    pending: bool
    """Whether a partner lead is not yet an EQL although no gate has failed."""
    source_partner_id: str | None
    """The partner that the lead came from."""
    scored_at: Time
    """When the decision was made."""
    changed_at: Time
    """When the score changed, or the lead was closed, reopened or removed."""
    closed: ClosedStateAnswer | None
    """The close of a lead that is won or lost."""
    removed: bool
    """Whether the lead was removed, or merged into another one; the score is then its last one."""
    close_probability: float | None = None
    """The probability of closing within the horizon."""
    grade: Literal["A", "B", "C", "D"] | None = None
    """The grade by the model's cut-offs, A the best."""
    expected_value: Money | None = None
    """The amount times the probability."""


class CurrentScorePage(Answer):
    """A page of the current scores."""

    items: list[CurrentScoreAnswer]
    """The scores, in the order in which they changed."""
    next: str | None
    """The path of the next page; null on the last page."""
    cursor: str | None
    """The cursor behind the last score of this page, to ask later for what changed since."""


class ChangeAnswer(Answer):
    """The change since the decision before: facts, model and policy add up to it, the features add up to the facts."""

    sentences: list[str]
    """The change in words."""
    points: float | None
    """The effect in percentage points."""
    facts: StepAnswer
    """The part of the change that is due to facts."""
    model: StepAnswer
    """The model."""
    policy: StepAnswer
    """The policy that was applied, or its part of a change."""
    features: list[FeatureChangeAnswer]
    """The features that changed."""


class ScoreAnswer(Answer):
    """A decision on a lead in short, and what changed since the one before; `change_reason` says why that is null."""

    decision_id: str
    """The id of the decision."""
    as_of: Time
    """The moment that the score speaks for."""
    created_at: Time
    """When the decision was made."""
    qualification: Qualification
    """The label that the policy gives."""
    pending: bool
    """Whether a partner lead is not yet an EQL although no gate has failed."""
    close_probability: float | None
    """The probability of closing within the horizon."""
    grade: Literal["A", "B", "C", "D"] | None
    """The grade by the model's cut-offs, A the best."""
    model: ModelAnswer | None
    """The model."""
    policy: PolicyAnswer
    """The policy that was applied, or its part of a change."""
    change: ChangeAnswer | None
    """What changed since the score before."""
    change_reason: str | None
    """Why the change cannot be told."""
