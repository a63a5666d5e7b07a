"""The decision on one lead as a typed value, and its JSON form, which the API returns and the store keeps.

The JSON form holds JSON types only, with its keys in a fixed order. Reading it back gives an equal decision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from features.value_types import parse_instant, rfc3339
from models.bundle import Grade
from models.explanation import Explanation
from models.policy import Qualification
from models.probability import Rung
from models.verdict import RuleOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseProbability:
    """The calibrated probability that the lead is won within the horizon.

    Attributes:
        value: the probability, 0 to 1.
        lower, upper: the 95 % range of the calibration map around it, 0 to 1.
        horizon_days: days within which "close" counts; None for "ever won".
        rung: the kind of model that gave it.
    """

    value: float
    lower: float
    upper: float
    horizon_days: int | None
    rung: Rung

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "horizon_days": self.horizon_days,
            "rung": self.rung,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "CloseProbability":
        """The value that `to_dict` wrote."""
        return cls(
            value=content["value"],
            lower=content["lower"],
            upper=content["upper"],
            horizon_days=content["horizon_days"],
            rung=content["rung"],
        )


Basis: TypeAlias = Literal["opportunity", "segment", "all"]


class ExpectedValue(NamedTuple):
    """An amount times the close probability: integer minor units of an ISO 4217 currency.

    Attributes:
        minor: the value, minor units.
        currency: the currency.
        basis: whose amount it is: that of the lead's own opportunity, or the average of the wins of its segment or of
            all. None in decisions of bundles from before averages by segment, which knew the average of all alone.
    """

    minor: int
    currency: str
    basis: Basis | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        basis = {} if self.basis is None else {"basis": self.basis}
        return {"minor": self.minor, "currency": self.currency, **basis}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ExpectedValue":
        """The value that `to_dict` wrote."""
        return cls(content["minor"], content["currency"], content.get("basis"))


class WithoutPartner(NamedTuple):
    """The same lead scored with every partner fact removed.

    Attributes:
        close_probability: the probability without the partner, 0 to 1.
        difference: the lead's probability less the one without the partner.
        note: how to read the difference.
    """

    close_probability: float
    difference: float
    note: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"close_probability": self.close_probability, "difference": self.difference, "note": self.note}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "WithoutPartner":
        """The value that `to_dict` wrote."""
        return cls(content["close_probability"], content["difference"], content["note"])


class ModelReference(NamedTuple):
    """The model that scored: its registered name, its version and the bundle's hash."""

    name: str
    version: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ModelReference":
        """The value that `to_dict` wrote."""
        return cls(content["name"], content["version"], content["sha256"])


class PolicyReference(NamedTuple):
    """The policy that was applied: its version and the hash of its content."""

    version: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"version": self.version, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "PolicyReference":
        """The value that `to_dict` wrote."""
        return cls(content["version"], content["sha256"])


class CatalogueReference(NamedTuple):
    """The catalogue of features that was evaluated: its hash."""

    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"sha256": self.sha256}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "CatalogueReference":
        """The value that `to_dict` wrote."""
        return cls(content["sha256"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The decision on one lead as of one moment.

    Attributes:
        lead_id: the lead.
        as_of: the moment the decision speaks for, microseconds.
        qualification: the label that the policy gives.
        pending: whether a partner lead is not yet an EQL although no gate has failed.
        rules: every rule's outcome, in the policy's order.
        missing: the questions to ask.
        not_recorded: the kinds of facts that were never recorded, for a stored lead; rules on them are unknown.
        close_probability: None without a model.
        close_probability_reason: why there is no close probability; None where there is one.
        grade: A to D; None without a model, or where the model gives all leads one probability.
        expected_value: None without a model, or where the bundle has no expected amount.
        explanation: None without a model.
        without_partner: None without a model.
        next_actions: the actions to take, the most urgent first.
        model: None without a model.
        policy: the policy that was applied.
        catalogue: the catalogue that was evaluated.
    """

    lead_id: str
    as_of: int
    qualification: Qualification
    pending: bool
    rules: tuple[RuleOutcome, ...]
    missing: tuple[str, ...]
    close_probability: CloseProbability | None
    close_probability_reason: str | None
    grade: Grade | None
    expected_value: ExpectedValue | None
    explanation: Explanation | None
    without_partner: WithoutPartner | None
    next_actions: tuple[str, ...]
    model: ModelReference | None
    policy: PolicyReference
    catalogue: CatalogueReference
    not_recorded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.close_probability is not None and self.close_probability_reason is not None:
            raise ValueError("a decision with a close probability must have no close_probability_reason")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without the id and the creation time that serving adds.

        The keys `close_probability_reason` and `not_recorded` are there only where they say something. Evidence is
        shared, not copied, so a caller must not change it.
        """
        reason = self.close_probability_reason
        return {
            "lead_id": self.lead_id,
            "as_of": rfc3339(self.as_of),
            "qualification": self.qualification,
            "pending": self.pending,
            "rules": [outcome.to_dict() for outcome in self.rules],
            "missing": list(self.missing),
            **({"not_recorded": list(self.not_recorded)} if self.not_recorded else {}),
            "close_probability": _written(self.close_probability),
            "grade": self.grade,
            "expected_value": _written(self.expected_value),
            "explanation": _written(self.explanation),
            "without_partner": _written(self.without_partner),
            **({} if reason is None else {"close_probability_reason": reason}),
            "next_actions": list(self.next_actions),
            "model": _written(self.model),
            "policy": self.policy.to_dict(),
            "catalogue": self.catalogue.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Decision":
        """The decision that `to_dict` wrote; other keys, such as `decision_id`, are ignored.

        Numbers keep the type that the JSON reader gave them, so that the JSON form is written again byte for byte.

        Raises:
            ValueError: the content is not that of a decision.
        """
        try:
            return _read(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the content is not that of a decision ({type(error).__name__}: {error})") from None


_Part = CloseProbability | ExpectedValue | Explanation | WithoutPartner | ModelReference


def _written(part: _Part | None) -> dict[str, Any] | None:
    return None if part is None else part.to_dict()


def _read(content: Mapping[str, Any]) -> Decision:
    close_probability, expected_value = content["close_probability"], content["expected_value"]
    explanation, without_partner, model = content["explanation"], content["without_partner"], content["model"]
    return Decision(
        lead_id=content["lead_id"],
        as_of=parse_instant(content["as_of"]),
        qualification=content["qualification"],
        pending=content["pending"],
        rules=tuple(map(RuleOutcome.from_dict, content["rules"])),
        missing=tuple(content["missing"]),
        not_recorded=tuple(content.get("not_recorded", ())),
        close_probability=None if close_probability is None else CloseProbability.from_dict(close_probability),
        close_probability_reason=content.get("close_probability_reason"),
        grade=content["grade"],
        expected_value=None if expected_value is None else ExpectedValue.from_dict(expected_value),
        explanation=None if explanation is None else Explanation.from_dict(explanation),
        without_partner=None if without_partner is None else WithoutPartner.from_dict(without_partner),
        next_actions=tuple(content["next_actions"]),
        model=None if model is None else ModelReference.from_dict(model),
        policy=PolicyReference.from_dict(content["policy"]),
        catalogue=CatalogueReference.from_dict(content["catalogue"]),
    )
