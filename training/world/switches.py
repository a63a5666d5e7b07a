"""The switches that make the simulated world harder, each one number; all are off by default."""

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


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The departures of a simulated world from the plain one. docs/simulated-world.md explains each switch.

    Attributes:
        frailty: variance, over leads, of a log factor of the weight of winning that no record shows; 0 to 2.
        drift: the fall of the log weight of winning in a year; -1 to 1. The middle of the two years stays unchanged.
        late_days: mean days after which wins, losses, signals, confirmations and use are recorded; 0 to 30.
        missing: share of accounts without a recorded size, industry or revenue, drawn for each separately; 0 to 0.9.
        selection: log odds that a partner brings the lead, per log weight of the lead without a partner; 0 to 5.
        partner_effect: the effect of partner signals on the outcome: none, a quarter, or all of the hazard's effect.

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
        """The effect of partner signals on the outcome, as a share of the full effect."""
        return _EFFECTS[self.partner_effect]

    def __str__(self) -> str:
        """The switches that are on, such as `frailty 0.5, late_days 5`; `none` where all are off."""
        on = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return ", ".join(f"{name} {value}" for name, value in on.items()) or "none"


PLAIN = Switches()
"""The plain world: every switch is off."""
