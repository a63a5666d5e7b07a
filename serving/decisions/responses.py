"""The answers about stored decisions. A decision is JSON of exactly the form of `DecisionAnswer`."""

from typing import Annotated, Literal

from pydantic import Field

from features.value_types import Money, Scalar
from models.policy import Gate, Outcome, Qualification
from models.probability import Rung
from serving.http.responses import Answer, Time, WrittenAnswer


class RuleAnswer(Answer):
    """The outcome of one rule, with the values that it read."""

    rule: str
    """The id of the rule."""
    gate: Gate
    """The gate that the rule belongs to."""
    outcome: Outcome
    """Pass, fail or unknown."""
    reason: str
    """Why, in words for sales."""
    evidence: dict[str, Scalar]
    """The values that the rule tested."""


class ExpectedValue(Answer):
    """An amount times the close probability."""

    minor: int
    """The value in minor units of the currency, such as cents."""
    currency: str
    """The currency, ISO 4217."""
    basis: Literal["opportunity", "segment", "all"] | None = None
    """Whose amount it is: the lead's own open opportunity, or the average of the wins of its segment or of all."""


class CloseProbability(Answer):
    """P(won within the horizon); `lower` and `upper` are the 95 % range that the calibration map leaves."""

    value: Annotated[float, Field(ge=0, le=1)]
    """The probability, 0 to 1."""
    lower: Annotated[float, Field(ge=0, le=1)]
    """The lower end of the range."""
    upper: Annotated[float, Field(ge=0, le=1)]
    """The upper end of the range."""
    horizon_days: int | None
    """The days within which a close counts; null for ever."""
    rung: Rung
    """The kind of model that scored."""


class ContributionAnswer(Answer):
    """The contribution of one feature beyond the baseline, in log-odds and in percentage points."""

    feature: str
    """The name of the feature."""
    family: str
    """The family of the feature."""
    value: Scalar
    """The value of the feature."""
    log_odds: float
    """The effect in log-odds."""
    points: float
    """The effect in percentage points."""
    sentence: str
    """The feature in words."""


class FamilyAnswer(Answer):
    """The percentage points of a signal family."""

    family: str
    """The family of the feature."""
    points: float
    """The effect in percentage points."""


class ExplanationAnswer(Answer):
    """The explanation of a probability; the contributions sum to value - baseline."""

    baseline: float
    """The average probability that the contributions start from."""
    contributions: list[ContributionAnswer]
    """The effect of each feature; they add up."""
    families: list[FamilyAnswer]
    """The effects by family."""


class WithoutPartner(Answer):
    """The probability of the same lead without its partner facts."""

    close_probability: float
    """The probability without the partner, 0 to 1."""
    difference: float
    """The probability less the one without the partner."""
    note: str
    """How to read the difference."""


class ModelAnswer(Answer):
    """The model that gave the probability."""

    name: str
    """The registered model."""
    version: str
    """The version."""
    sha256: str
    """The hash of the content."""


class PolicyAnswer(Answer):
    """The policy that qualified the lead."""

    version: str
    """The version."""
    sha256: str
    """The hash of the content."""


class CatalogueAnswer(Answer):
    """The catalogue of features."""

    sha256: str
    """The hash of the content."""


class ClosedAnswer(Answer):
    """The close of a lead that is won or lost."""

    outcome: Literal["won", "lost"]
    """Whether the lead was won or lost."""
    at: Time | None
    """When the lead was closed; null where the close is undated."""
    amount: Money | None
    """The amount of the deal."""


class DecisionAnswer(WrittenAnswer):
    """The decision on one lead. Without a promoted model the probability is null, and its reason is given."""

    decision_id: str
    """The id of the decision."""
    lead_id: str
    """The lead's id."""
    as_of: Time
    """The moment that the score speaks for."""
    qualification: Qualification
    """The label that the policy gives."""
    pending: bool
    """Whether a partner lead is not yet an EQL although no gate has failed."""
    rules: list[RuleAnswer]
    """The outcome of each rule."""
    missing: list[str]
    """The questions that would complete the lead."""
    not_recorded: list[str] | None = None
    """The kinds of facts that no source of a stored lead ever recorded: rules on them are unknown, features missing."""
    close_probability: CloseProbability | None
    """The probability of closing within the horizon."""
    close_probability_reason: str | None = None
    """Why there is no close probability."""
    grade: Literal["A", "B", "C", "D"] | None
    """The grade by the model's cut-offs, A the best."""
    expected_value: ExpectedValue | None
    """The amount times the probability."""
    explanation: ExplanationAnswer | None
    """Why the probability is what it is."""
    without_partner: WithoutPartner | None
    """The same lead without every partner fact."""
    next_actions: list[str]
    """The actions to take, the most urgent first."""
    model: ModelAnswer | None
    """The model."""
    policy: PolicyAnswer
    """The policy that was applied, or its part of a change."""
    catalogue: CatalogueAnswer
    """The catalogue of features."""
    partner_history: Literal["store", "bundle"] | None = None
    """The source of the source partner's history; null where the lead has no source partner or no history exists."""
    created_at: Time
    """When the decision was made."""
    closed: ClosedAnswer | None = None
    """Present only in the score of a lead that is won or lost."""


class PartnerDecisionAnswer(Answer):
    """The part of a decision that the lead's source partner sees."""

    decision_id: str
    """The id of the decision."""
    lead_id: str
    """The lead's id."""
    as_of: Time
    """The moment that the score speaks for."""
    qualification: Qualification
    """The label that the policy gives."""
    pending: bool
    """Whether a partner lead is not yet an EQL although no gate has failed."""
    missing: list[str]
    """The confirmations and data that a pending lead still needs."""
    created_at: Time
    """When the decision was made."""


class SealAnswer(Answer):
    """A seal of the chain, `sealed_at` in microseconds.

    `head` is SHA-256(previous_head || root || count || sealed_at): 32, 32, 8 and 8 bytes, numbers big-endian.
    """

    id: int
    """The id."""
    previous_head: str
    """The head of the seal before."""
    root: str
    """The Merkle root of the decisions under the seal."""
    count: int
    """The number of decisions under the seal."""
    sealed_at: int
    """When the seal was made."""
    head: str
    """The hash that commits to this seal and all before it."""


class ProofAnswer(Answer):
    """The proof that a decision is in a seal.

    `leaf` is SHA-256(0x00 || entry). From the leaf, the siblings lead to the seal's root, as an audit path of
    RFC 6962 for the leaf at `index` of `seal.count`.
    """

    decision_id: str
    """The id of the decision."""
    entry: str
    """The sealed entry of the decision."""
    leaf: str
    """The hash of the entry."""
    index: int
    """The place of the leaf, from 0."""
    siblings: list[str]
    """The hashes that lead from the leaf to the root."""
    seal: SealAnswer
    """The seal."""
