"""The findings of the search for leaks, as a report holds them: suspects with their evidence, features that drift."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeAlias

Kind: TypeAlias = Literal["skill", "missing", "value", "close", "order", "group"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One reason to suspect a feature.

    Attributes:
        kind: the search that found it.
        words: the finding, to be read after the feature's name.
        strength: how nearly the finding alone decides the outcome, 0 to 1, to rank by: an AUC, or how rarely a mark of
            the feature is wrong about the outcome.
        decisive: whether the finding would block training, were the feature an attribute of an import.
        figures: the numbers behind the words.

    Raises:
        ValueError: the strength is outside 0 to 1.
    """

    kind: Kind
    words: str
    strength: float
    decisive: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"the strength of evidence must be 0 to 1, not {self.strength}")

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {**asdict(self), "figures": dict(self.figures)}


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A feature that may have been recorded after the outcome.

    Attributes:
        name: the feature.
        auc: how well the feature alone ranks out-of-time outcomes; None where no rolling origin can show it.
        decisive: whether it blocks training.
        evidence: the reasons in words, the strongest first.
        findings: the same, one by one.
    """

    name: str
    auc: float | None
    decisive: bool
    evidence: str
    findings: tuple[Evidence, ...] = ()

    @classmethod
    def of(cls, name: str, auc: float | None, findings: Sequence[Evidence], may_block: bool) -> Self:
        """The suspect that the findings about one feature make."""
        ordered = tuple(sorted(findings, key=lambda each: (not each.decisive, -each.strength)))
        return cls(
            name=name,
            auc=auc,
            decisive=may_block and any(each.decisive for each in ordered),
            evidence="; ".join(each.words for each in ordered),
            findings=ordered,
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The suspect of its JSON types."""
        return cls(**{**content, "findings": tuple(Evidence(**finding) for finding in content.get("findings", ()))})

    @property
    def strength(self) -> float:
        """The strength of the strongest finding."""
        return max((each.strength for each in self.findings), default=0.0)

    @property
    def grounds(self) -> str:
        """The reasons why it blocks training, in words."""
        return "; ".join(each.words for each in self.findings if each.decisive) or self.evidence

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "name": self.name,
            "auc": self.auc,
            "decisive": self.decisive,
            "evidence": self.evidence,
            "findings": [each.to_dict() for each in self.findings],
        }


@dataclass(frozen=True)
class DriftingFeature:
    """A feature that differs between training leads and test leads.

    Attributes:
        name: the feature.
        auc: how well a classifier distinguishes the two.
        share: the share of the classifier's gain that the feature carries.
        evidence: the same in words, to be read after the feature's name.
    """

    name: str
    auc: float
    share: float
    evidence: str

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)
