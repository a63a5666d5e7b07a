"""The true probabilities of the simulated world, given its records and nothing else."""

from dataclasses import dataclass

import numpy as np

from features.partner_history import HORIZON_DAYS
from features.value_types import DAY
from models.arrays import Integers, Reals
from training.world.chunk import Chunk
from training.world.hazard import LOST, MAX_SIGNALS, STEPS, alone, win_chance
from training.world.hidden import Belief, Observed, beliefs

LANDMARKS = 26
"""The most true probabilities of a lead: one at creation, then one a week while the lead is open."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """True probabilities of leads at landmarks, of being won by the end of the horizon; arrays of one length.

    Attributes:
        lead: position of the lead, in order.
        as_of: microseconds, a moment at which it is not recorded as closed.
        probability: given all facts recorded by then.
        without_partner: the same if, from then on, partner signals have no effect and the lead is never confirmed.
        given_frailty: the same, given also the hidden factor of the weight of winning.
    """

    lead: Integers
    as_of: Integers
    probability: Reals
    without_partner: Reals
    given_frailty: Reals


def truth(chunk: Chunk) -> Truth:
    """The true probabilities at each landmark at which a wanted lead is open, as recorded."""
    as_of = chunk.leads.created[:, None] + np.arange(LANDMARKS) * 7 * DAY
    is_open = (as_of <= chunk.window.cut) & (as_of < chunk.closed[:, None]) & chunk.kept_leads[:, None]
    lead, week = np.nonzero(is_open)
    states = _states(chunk)[lead, week]
    chance, apart = _win_chances(chunk, lead, 7 * week, states)
    belief = _beliefs(chunk, lead, week)
    own = np.eye(len(chunk.setting.frailty.values))[chunk.frail[lead]]
    given = Belief(belief.open * own, belief.won * own, belief.lost * own).normalised()
    return Truth(
        lead=lead,
        as_of=as_of[lead, week],
        probability=_expected(belief, chance),
        without_partner=_expected(belief, apart),
        given_frailty=_expected(given, chance),
    )


def _expected(belief: Belief, chance: Reals) -> Reals:
    expected: Reals = (belief.open * chance + belief.won).sum(axis=1)
    return expected


def _states(chunk: Chunk) -> Integers:
    """The state of each lead at each landmark, shape (leads, LANDMARKS)."""
    start, history = chunk.leads.start(), chunk.history
    steps = np.zeros((len(start), LANDMARKS), np.int64)
    first_landmark = history.age // 7 + 1
    early = first_landmark < LANDMARKS
    np.add.at(steps, (history.lead[early], first_landmark[early]), STEPS[history.event[early]])
    states: Integers = start[:, None] + steps.cumsum(axis=1)
    return states


def _win_chances(chunk: Chunk, lead: Integers, age: Integers, states: Integers) -> tuple[Reals, Reals]:
    """The chances of open leads in each class of frailty, and those without partners; shapes (leads, classes)."""
    weights, unaided, created = chunk.weights[lead], alone(chunk.covariates)[lead], chunk.leads.created[lead]
    paces = [chunk.setting.pace(created, value) for value in chunk.setting.frailty.values.tolist()]
    signals = states % (MAX_SIGNALS + 1)
    chances = [win_chance(weights, states, age, HORIZON_DAYS, pace) for pace in paces]
    apart = [win_chance(unaided, signals, age, HORIZON_DAYS, pace) for pace in paces]
    return np.stack(chances, axis=1), np.stack(apart, axis=1)


def _beliefs(chunk: Chunk, lead: Integers, week: Integers) -> Belief:
    """The beliefs about leads at these weeks since their creation."""
    setting, created = chunk.setting, chunk.leads.created
    observed = Observed(
        weights=chunk.weights,
        start=chunk.leads.start(),
        facts=_facts(chunk),
        prior=chunk.prior,
        paces=tuple(setting.pace(created, value) for value in setting.frailty.values.tolist()),
        mean_wait=setting.switches.late_days,
    )
    weekly = beliefs(observed, 7)
    parts = (np.stack([getattr(belief, name) for belief in weekly])[week, lead] for name in ("open", "won", "lost"))
    return Belief(*parts)


def _facts(chunk: Chunk) -> Integers:
    """The fact recorded of each lead on each day up to the last landmark, -1 for none."""
    history = chunk.history
    facts = np.full((len(chunk.leads.account), 7 * (LANDMARKS - 1)), -1)
    fact = (history.event > LOST) & (history.age < facts.shape[1])
    facts[history.lead[fact], history.age[fact]] = history.event[fact]
    return facts
