"""The simulated world: an ecosystem with known true probabilities, written as records. See docs/simulated-world.md."""

from features.partner_history import HORIZON_DAYS
from training.world.frozen import WORLDS, World, fingerprint
from training.world.simulation import TRUTH, Simulation, simulate
from training.world.switches import PLAIN, PartnerEffect, Switches

__all__ = [
    "HORIZON_DAYS",
    "PLAIN",
    "TRUTH",
    "WORLDS",
    "PartnerEffect",
    "Simulation",
    "Switches",
    "World",
    "fingerprint",
    "simulate",
]
