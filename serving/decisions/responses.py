"""The answers about stored decisions. A decision is JSON of exactly the form of `DecisionAnswer`."""

from typing import Annotated, Literal

from pydantic import Field

from features.value_types import Money, Scalar
from models.policy import Gate, Outcome, Qualification
from models.probability import Rung
from serving.http.responses import Answer, WrittenAnswer


class RuleAnswer(Answer):
    """The outcome of one rule, with the values that it read."""

    rule: str
    gate: Gate
    outcome: Outcome
    reason: str
    evidence: dict[str, Scalar]


class CloseProbability(Answer):
    """P(won within the horizon); `lower` and `upper` are the 95 % range that the calibration map leaves."""

    value: Annotated[float, Field(ge=0, le=1)]
    lower: Annotated[float, Field(ge=0, le=1)]
    upper: Annotated[float, Field(ge=0, le=1)]
    horizon_days: int | None
    rung: Rung


class ContributionAnswer(Answer):
    """The contribution of one feature beyond the baseline, in log-odds and in percentage points."""

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
    """The explanation of a probability; the contributions sum to value - baseline."""

    baseline: float
    contributions: list[ContributionAnswer]
    families: list[FamilyAnswer]


class WithoutPartner(Answer):
    """The probability of the same lead without its partner facts."""

    close_probability: float
    difference: float
    note: str


class ModelAnswer(Answer):
    """The model that gave the probability."""

    name: str
    version: str
    sha256: str


class PolicyAnswer(Answer):
    """The policy that qualified the lead."""

    version: str
    sha256: str


class CatalogueAnswer(Answer):
    """The catalogue of features."""

    sha256: str


class DecisionAnswer(WrittenAnswer):
    """The decision on one lead. Without a promoted model the probability is null, and its reason is given."""

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
    """The source of the source partner's history; null where the lead has no source partner or no history exists."""
    created_at: str


class PartnerDecisionAnswer(Answer):
    """The part of a decision that the lead's source partner sees."""

    decision_id: str
    lead_id: str
    as_of: str
    qualification: Qualification
    pending: bool
    missing: list[str]
    """The confirmations and data that a pending lead still needs."""
    created_at: str


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
    """The proof that a decision is in a seal.

    `leaf` is SHA-256(0x00 || entry). From the leaf, the siblings lead to the seal's root, as an audit path of
    RFC 6962 for the leaf at `index` of `seal.count`.
    """

    decision_id: str
    entry: str
    leaf: str
    index: int
    siblings: list[str]
    seal: SealAnswer
