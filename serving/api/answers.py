"""The answers' models, which OpenAPI publishes; decisions are plain JSON of exactly this form."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.value_types import Money, Scalar
from models.policy import Gate, Outcome, Qualification
from models.probability import Rung
from serving.basis import Origin


class Answer(BaseModel):
    """An answer: nothing beside its fields."""

    model_config = ConfigDict(extra="forbid")


class RuleAnswer(Answer):
    """What one rule came to, with the values it looked at."""

    rule: str
    gate: Gate
    outcome: Outcome
    reason: str
    evidence: dict[str, Scalar]


class CloseProbability(Answer):
    """P(won within the horizon); `lower` and `upper` are the 95 % uncertainty of the calibration map around it."""

    value: Annotated[float, Field(ge=0, le=1)]
    lower: Annotated[float, Field(ge=0, le=1)]
    upper: Annotated[float, Field(ge=0, le=1)]
    horizon_days: int | None
    rung: Rung


class ContributionAnswer(Answer):
    """What one feature adds to the baseline, in log-odds and in percentage points."""

    feature: str
    family: str
    value: Scalar
    log_odds: float
    points: float
    sentence: str


class FamilyAnswer(Answer):
    """The percentage points of a signal family."""

    family: str
    points: float


class ExplanationAnswer(Answer):
    """The probability taken apart; contributions sum to value - baseline."""

    baseline: float
    contributions: list[ContributionAnswer]
    families: list[FamilyAnswer]


class WithoutPartner(Answer):
    """The same lead without its partner facts."""

    close_probability: float
    difference: float
    note: str


class ModelAnswer(Answer):
    """The model that scored."""

    name: str
    version: str
    sha256: str


class PolicyAnswer(Answer):
    """The policy that judged."""

    version: str
    sha256: str


class CatalogueAnswer(Answer):
    """The catalogue of features."""

    sha256: str


class _Written(Answer):
    dry_run: Literal[True] | None = None
    """Only in the answer to a dry run: nothing of it is kept."""


class DecisionAnswer(_Written):
    """The decision on one lead. Without a promoted model the probability is null, with the reason."""

    decision_id: str
    lead_id: str
    as_of: str
    qualification: Qualification
    pending: bool
    rules: list[RuleAnswer]
    missing: list[str]
    close_probability: CloseProbability | None
    close_probability_reason: str | None = None
    grade: Literal["A", "B", "C", "D"] | None
    expected_value: Money | None
    explanation: ExplanationAnswer | None
    without_partner: WithoutPartner | None
    next_actions: list[str]
    model: ModelAnswer | None
    policy: PolicyAnswer
    catalogue: CatalogueAnswer
    partner_history: Literal["store", "bundle"] | None = None
    """Where the source partner's history was taken from; null where the lead has none, or nobody knows any."""
    created_at: str


class PartnerDecisionAnswer(Answer):
    """What the lead's source partner sees of a decision."""

    decision_id: str
    lead_id: str
    as_of: str
    qualification: Qualification
    pending: bool
    missing: list[str]
    """What to confirm or to tell, where the lead is pending."""
    created_at: str


class BatchAnswer(_Written):
    """The decisions, in the order of the requests."""

    items: list[DecisionAnswer]


class LeadAnswer(_Written):
    """What became of a lead that was sent; of a duplicate, the lead that was there and what is decided on it now."""

    lead_id: str
    duplicate: bool
    decision: DecisionAnswer
    assignment: None
    """Always null: leads are not routed yet."""


class SubmissionAnswer(_Written):
    """What a partner learns of a lead it sent; of a lead that is not its own, only that it is registered already."""

    lead_id: str | None
    duplicate: bool
    qualification: Qualification | None
    pending: bool | None


class AliasAnswer(Answer):
    """Another id of a lead, and whether it was a lead of its own."""

    alias: str
    lead_id: str
    merged: bool
    recorded_at: str


class NewAliasAnswer(AliasAnswer, _Written):
    """The alias that was asked for."""


class ReplayAnswer(Answer):
    """What making a decision again came to; `differences` are JSON pointers to where the outcome is another."""

    equal: bool
    origin: Annotated[Origin, Field(alias="from")]
    differences: list[str]


class SealAnswer(Answer):
    """A seal of the chain, `sealed_at` in microseconds.

    `head` is SHA-256(previous_head || root || count || sealed_at): 32, 32, 8 and 8 bytes, numbers big-endian.
    """

    id: int
    previous_head: str
    root: str
    count: int
    sealed_at: int
    head: str


class ProofAnswer(Answer):
    """That a decision is in a seal.

    `leaf` is SHA-256(0x00 || entry). From it the siblings lead to the seal's root, as an audit path of RFC 6962 for the
    leaf at `index` of `seal.count`.
    """

    decision_id: str
    entry: str
    leaf: str
    index: int
    siblings: list[str]
    seal: SealAnswer


class RuleStepAnswer(Answer):
    """A rule whose outcome changed; null where one of the policies does not have it."""

    rule: str
    before: Outcome | None
    after: Outcome | None


class StepAnswer(Answer):
    """What one cause changed, in percentage points, log-odds, qualification and rules."""

    points: float | None
    log_odds: float | None
    before: Qualification
    after: Qualification
    rules: list[RuleStepAnswer]


class FeatureChangeAnswer(Answer):
    """What a feature moved under the model of before."""

    feature: str
    family: str
    before: Scalar
    after: Scalar
    log_odds: float
    points: float
    sentence: str


class ChangeAnswer(Answer):
    """What changed since the decision before; facts, model and policy add up to it, the features to the facts."""

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


class LineAnswer(Answer):
    """What became of one line: 201 where it is a new record, 200 where a known one; else the problem with it."""

    line: int
    status: Literal[200, 201, 403, 422]
    id: str | None = None
    problem: "ProblemAnswer | None" = None


class ProblemAnswer(BaseModel):
    """An error (RFC 9457); `errors` name fields and constraints, never what was sent."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []
