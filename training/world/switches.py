"""What can be made harder in the simulated world, each by one number; all are off by default."""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

PartnerEffect: TypeAlias = Literal["none", "small", "large"]

_EFFECTS: dict[str, float] = {"none": 0.0, "small": 0.25, "large": 1.0}
_LIMITS: dict[str, tuple[float, float]] = {
    "frailty": (0, 2),
    "drift": (-1, 1),
    "late_days": (0, 30),
    "missing": (0, 0.9),
    "selection": (0, 5),
}


@dataclass(frozen=True)
class Switches:
    """How the simulated world departs from the plain one. See docs/simulated-world.md for what each does.

    Attributes:
        frailty: variance, over leads, of a log factor of the weight of winning that no record tells of; 0 to 2.
        drift: how much the log weight of winning falls in a year; -1 to 1, the middle of the two years being as ever.
        late_days: mean days after which wins, losses, signals, confirmations and use are recorded; 0 to 30.
        missing: share of accounts of which size, industry, revenue are not recorded, each apart; 0 to 0.9.
        selection: log odds that a partner brings the lead, by log weight that it has without a partner; 0 to 5.
        partner_effect: what partner signals do to the outcome: nothing, a quarter, or all that the hazard says.

    Raises:
        ValueError: a switch is out of its range.
    """

    frailty: float = 0.0
    drift: float = 0.0
    late_days: float = 0.0
    missing: float = 0.0
    selection: float = 0.0
    partner_effect: PartnerEffect = "large"

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, not {value}")
        if self.partner_effect not in _EFFECTS:
            raise ValueError(f"partner_effect must be one of {', '.join(_EFFECTS)}, not {self.partner_effect!r}")

    @property
    def effect(self) -> float:
        """What partner signals do to the outcome, as a share of what they do in full."""
        return _EFFECTS[self.partner_effect]

    def __str__(self) -> str:
        """The switches that are on, such as `frailty 0.5, late_days 5`; `none` where all are off."""
        on = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return ", ".join(f"{name} {value}" for name, value in on.items()) or "none"


PLAIN = Switches()
"""Nothing switched on."""
