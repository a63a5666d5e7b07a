"""The hidden part of the simulated world: the frailty of a lead, and closes that are not recorded yet.

Both are built so that sums over them are finite, hence exact. Frailty has five values, those of the Gauss-Hermite rule
for a normal distribution: they share its first nine moments. A close waits a geometric number of whole days to be
recorded, so that a waiting close has the same chance each day, however long it has waited.
"""

from dataclasses import dataclass

import numpy as np

from models.arrays import Integers, Reals
from training.world.hazard import LOST, WON, Pace, after, on_day

_CLASSES = 5


@dataclass(frozen=True)
class Frailty:
    """The values of the hidden log factor of the weight of winning, with the share of leads of each value.

    Attributes:
        values: ascending; the factor itself is 1 on average.
        shares: adding up to 1.
    """

    values: Reals
    shares: Reals

    @classmethod
    def of(cls, variance: float) -> "Frailty":
        """The frailty with a variance of the log factor; a single value of 0 where the variance is 0."""
        if variance == 0:
            return cls(np.zeros(1), np.ones(1))
        nodes, masses = np.polynomial.hermite_e.hermegauss(_CLASSES)
        shares, values = masses / masses.sum(), np.sqrt(variance) * nodes
        return cls(values - np.log(shares @ np.exp(values)), shares)

    def draw(self, rng: np.random.Generator, n: int) -> Integers:
        """The class of each of `n` leads: a position in `values`."""
        return rng.choice(len(self.values), n, p=self.shares)


def waits(rng: np.random.Generator, mean_days: float, shape: int | tuple[int, ...]) -> Integers:
    """Whole days from 0, geometric with a mean; no random number is drawn where the mean is 0."""
    if mean_days == 0:
        return np.zeros(shape, np.int64)
    return rng.geometric(1 / (1 + mean_days), shape) - 1


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The records of open leads that carry information about the hidden part.

    Attributes:
        weights: of each lead's events (`hazard.weights`).
        start: state at creation.
        facts: the fact recorded on each day since, a position in `hazard.EVENTS`, else -1; shape (leads, days).
        prior: weight of each class of frailty given the records at creation, shape (leads, classes).
        paces: the pace of leads in each class.
        mean_wait: days from a close to its record.
    """

    weights: Reals
    start: Integers
    facts: Integers
    prior: Reals
    paces: tuple[Pace, ...]
    mean_wait: float


@dataclass(frozen=True)
class Belief:
    """The joint probabilities of the hidden part, given the records by the end of a day; shapes (leads, classes).

    Attributes:
        open: of the class, with the lead open.
        won: of the class, with the lead won and the win not recorded yet.
        lost: of the class, with the lead lost and the loss not recorded yet.
    """

    open: Reals
    won: Reals
    lost: Reals

    def normalised(self) -> "Belief":
        """The same, adding up to 1 for each lead."""
        total = (self.open + self.won + self.lost).sum(axis=1, keepdims=True)
        return Belief(self.open / total, self.won / total, self.lost / total)


def beliefs(observed: Observed, every: int) -> list[Belief]:
    """The beliefs at creation and after each `every` days, by Bayes' rule day by day."""
    none = np.zeros_like(observed.prior)
    belief, states = Belief(observed.prior, none, none), observed.start.copy()
    weekly = [belief.normalised()]
    for age, fact in enumerate(observed.facts.T):
        belief = _next_day(belief, observed, states, age, fact)
        states = np.where(fact >= 0, after(states, np.maximum(fact, 0)), states)
        if (age + 1) % every == 0:
            belief = belief.normalised()
            weekly.append(belief)
    return weekly


def _next_day(belief: Belief, observed: Observed, states: Integers, age: int, fact: Integers) -> Belief:
    """The belief a day later: a recorded fact proves that the lead was open; without a fact it may have closed."""
    leads, silent = np.arange(len(states)), (fact < 0)[:, None]
    here = observed.weights[leads, states]
    by_class = np.stack([on_day(here, np.array([age]), pace) for pace in observed.paces], axis=1)
    ways = 1 + by_class.sum(axis=2)
    seen = np.where(silent, 1.0, here[leads, np.maximum(fact, 0)][:, None])
    stays_unrecorded = silent * (observed.mean_wait / (1 + observed.mean_wait))
    return Belief(
        belief.open * seen / ways,
        stays_unrecorded * (belief.won + belief.open * by_class[:, :, WON] / ways),
        stays_unrecorded * (belief.lost + belief.open * by_class[:, :, LOST] / ways),
    )
