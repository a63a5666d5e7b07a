"""The simulated world: an ecosystem with known true probabilities, written as records. See docs/simulated-world.md."""

from features.partner_history import HORIZON_DAYS
from training.world.simulation import TRUTH, Simulation, simulate

__all__ = ["HORIZON_DAYS", "TRUTH", "Simulation", "simulate"]
