"""What the search for leaks reports: evidence in words and figures, the suspects it makes, the error that blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["skill", "missing", "value", "close", "order"]


@dataclass(frozen=True)
class Evidence:
    """One reason to suspect a feature.

    Attributes:
        kind: which search found it.
        words: what was seen, to be read after the feature's name.
        strength: how nearly that alone decides the outcome, 0 to 1, to rank by: an AUC, or where a tell is seen how
            rarely it errs.
        decisive: whether it would block training, were the feature an attribute of an import.
        figures: the numbers behind the words.
    """

    kind: Kind
    words: str
    strength: float
    decisive: bool = False
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"the strength of evidence must be 0 to 1, not {self.strength}")


@dataclass(frozen=True)
class Suspect:
    """A feature that may have been recorded after the fact.

    Attributes:
        name: the feature.
        auc: how well it alone ranks out-of-time outcomes; None where that cannot be told.
        decisive: whether it blocks training.
        evidence: why, in words, the strongest first.
        findings: the same in parts.
    """

    name: str
    auc: float | None
    decisive: bool
    evidence: str
    findings: tuple[Evidence, ...] = ()

    @classmethod
    def of(cls, name: str, auc: float | None, findings: Sequence[Evidence], may_block: bool) -> "Suspect":
        """The suspect that findings of one feature make."""
        ordered = tuple(sorted(findings, key=lambda each: (not each.decisive, -each.strength)))
        decisive = may_block and any(each.decisive for each in ordered)
        return cls(name, auc, decisive, "; ".join(each.words for each in ordered), ordered)

    @property
    def strength(self) -> float:
        """Of the strongest finding."""
        return max((each.strength for each in self.findings), default=0.0)

    @property
    def grounds(self) -> str:
        """Why it blocks, in words."""
        return "; ".join(each.words for each in self.findings if each.decisive) or self.evidence

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        parts = {"name": self.name, "auc": self.auc, "decisive": self.decisive, "evidence": self.evidence}
        return {**parts, "findings": [{**asdict(each), "figures": dict(each.figures)} for each in self.findings]}


def ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    """Worst first: what blocks, then by strength, then by name."""
    return sorted(suspects, key=lambda each: (not each.decisive, -each.strength, each.name))


class LeakFound(ValueError):
    """Attributes nearly decide the outcome; the message names them and the mend."""

    def __init__(self, suspects: Sequence[Suspect]) -> None:
        named = "; ".join(f"{suspect.name!r} {suspect.grounds}" for suspect in suspects)
        super().__init__(
            f"training is blocked by what cannot have been known at creation: {named}. Declare it `known: later` in "
            f"the mapping and import again, or override with --allow-leak NAME"
        )
        self.suspects = tuple(suspects)
