"""The answers' models, which OpenAPI publishes; decisions are plain JSON of exactly this form."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.values import Money, Scalar
from models.policy import Qualification
from models.probability import Rung
from models.verdict import RuleOutcome


class Answer(BaseModel):
    """An answer: nothing beside its fields."""

    model_config = ConfigDict(extra="forbid")


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


class DecisionAnswer(Answer):
    """The decision on one lead. Without a promoted model the probability is null, with the reason."""

    decision_id: str
    lead_id: str
    as_of: str
    qualification: Qualification
    pending: bool
    rules: list[RuleOutcome]
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


class BatchAnswer(Answer):
    """The decisions, in the order of the requests."""

    items: list[DecisionAnswer]


class ProblemAnswer(BaseModel):
    """An error (RFC 9457); `errors` name fields and constraints, never what was sent."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []
