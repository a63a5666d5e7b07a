"""How leads of the simulated world are won and lost, and the exact probability that they are.

A lead is a finite Markov chain in days since its creation. Its state is the records since then: the number of buying
signals (0 to 3), whether the partner and whether the vendor confirmed. Each day at most one event happens: won, lost,
one more signal, the partner's confirmation or the vendor's. Event k has the weight w_k, a function of the covariates
at creation, the state and the age in days, and happens with probability w_k / (1 + sum of all weights): a multinomial
logit, the usual discrete-time model of competing risks. The outcome depends on nothing else but the lead's `Pace`. So
the probability of winning within a horizon, given the pace and all facts recorded so far, follows exactly by recursion
(`win_probability`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features.records import OWN_CHANNELS, PARTNER_CHANNELS
from models.arrays import Booleans, Integers, Reals

CHANNELS = (*PARTNER_CHANNELS, *OWN_CHANNELS)
EVENTS = ("won", "lost", "signal", "partner_confirmation", "vendor_confirmation")
WON, LOST, SIGNAL, PARTNER, VENDOR = range(len(EVENTS))
MOVES = (SIGNAL, PARTNER, VENDOR)
MAX_SIGNALS = 3
ACTIVE_DAYS = 10
"""Active integration days of 30 from which on an account counts as an active user."""

_SIGNALS = np.tile(np.arange(MAX_SIGNALS + 1), 4)
_PARTNER = np.tile(np.repeat([0, 1], MAX_SIGNALS + 1), 2)
_VENDOR = np.repeat([0, 1], 2 * (MAX_SIGNALS + 1))
STATES = len(_SIGNALS)
_GRID = (2, 2, MAX_SIGNALS + 1)
"""The states as vendor's confirmation, partner's confirmation, signals."""

STEPS = np.array([0, 0, 1, MAX_SIGNALS + 1, 2 * (MAX_SIGNALS + 1)])
"""The number that each of `EVENTS` adds to a state; won and lost end the lead."""

_CHANNEL_EFFECT: Mapping[str, float] = {
    "integration_marketplace": 0.2,
    "partner_referral": 0.1,
    "case_study": 0.15,
    "demo_request": 0.4,
    "organic_search": 0.1,
    "paid_search": -0.1,
    "paid_display": -0.5,
    "trade_show": -0.7,
    "email": -0.3,
    "social": -0.4,
    "other": -0.3,
}
_AGES = (7, 21, 75, 180)
_WON_BY_AGE = np.array([0.4, 1.0, 1.4, 0.8, 0.3])
_LOST_BY_AGE = np.array([0.4, 0.9, 1.1, 1.5, 3.0])


@dataclass(frozen=True)
class Pace:
    """The factor of the weight of winning at an age in days: exp(level + slope * age).

    Attributes:
        level: of each lead; of length 1 for all.
        slope: per day.
    """

    level: Reals
    slope: float = 0.0

    def at(self, age: Integers) -> Reals:
        """The factor of each lead at its age in whole days."""
        factor: Reals = np.exp(self.level) * np.exp(self.slope * age)
        return factor

    def of(self, lead: Integers) -> "Pace":
        """The pace of leads at these positions."""
        return Pace(self.level[lead], self.slope)


STEADY = Pace(np.zeros(1))
"""The pace of a world in which nothing is hidden and nothing drifts."""


@dataclass(frozen=True, kw_only=True)
class Covariates:
    """The covariates of each lead from the facts recorded by its creation; arrays of one length.

    Attributes:
        channel: position in `CHANNELS`.
        employees: of the account; NaN where unknown.
        icp_industry: whether the account's industry is one of the ideal customer profile's.
        competitor: whether the account competes with us.
        partner: whether the lead names a source partner; a lead without one is never confirmed.
        referred: whether that partner referred it.
        certified: whether that partner is certified.
        tier: of that partner, 1 to 3; 0 without one.
        active_days: days with integration use among the last 30, as known by then.
        shared_customers: partners that have the account as a customer.
        barred: free-mail address, duplicate of another lead, or opted out.
    """

    channel: Integers
    employees: Reals
    icp_industry: Booleans
    competitor: Booleans
    partner: Booleans
    referred: Booleans
    certified: Booleans
    tier: Integers
    active_days: Integers
    shared_customers: Integers
    barred: Booleans


def state(signals: npt.ArrayLike, partner: npt.ArrayLike, vendor: npt.ArrayLike) -> Integers:
    """The state with so many signals (0 to 3) and these confirmations (0 or 1)."""
    confirmed = np.asarray(partner, np.int64) + 2 * np.asarray(vendor, np.int64)
    return np.asarray(signals, np.int64) + (MAX_SIGNALS + 1) * confirmed


def after(states: Integers, event: int | Integers) -> Integers:
    """The states that `states` become by the `MOVES` in `event`; impossible moves have weight 0."""
    moved: Integers = np.minimum(states + STEPS[event], STATES - 1)
    return moved


def merit(employees: Reals, icp_industry: Booleans, competitor: Booleans) -> Reals:
    """The part of `attraction` that is the account's own: log odds that no partner adds to."""
    total: Reals = _size(employees) + 0.4 * _fit(employees, icp_industry) - 2.5 * competitor
    return total


def _size(employees: Reals) -> Reals:
    effect: Reals = np.nan_to_num(-0.06 * np.log(np.maximum(employees, 1) / 400) ** 2, nan=-0.3)
    return np.maximum(effect, -1.0)


def _fit(employees: Reals, icp_industry: Booleans) -> Booleans:
    return (employees >= 50) & (employees <= 5000) & icp_industry


def attraction(lead: Covariates, effect: float = 1.0) -> Reals:
    """How well a lead suits us: log odds that enter every weight.

    Args:
        lead: the covariates at creation.
        effect: the effect of partner signals on the outcome, as a share of the full effect.
    """
    fit = _fit(lead.employees, lead.icp_industry)
    active = lead.active_days >= ACTIVE_DAYS
    channel = np.array([_CHANNEL_EFFECT.get(name, 0.0) for name in CHANNELS])
    channel[: len(PARTNER_CHANNELS)] *= effect
    effects = (
        channel[lead.channel],
        _size(lead.employees),
        0.4 * fit,
        effect * np.where(active, np.where(fit, 0.9, 0.1), 0.0),
        effect * (0.02 * np.minimum(lead.active_days, ACTIVE_DAYS)),
        effect * np.where(lead.referred, np.where(lead.certified, 0.8, 0.1), 0.0),
        effect * (0.1 * lead.tier),
        effect * (np.where(lead.partner, 0.25, 0.05) * np.log1p(lead.shared_customers)),
        -2.5 * lead.competitor,
        -1.5 * lead.barred,
    )
    total: Reals = np.sum(effects, axis=0)
    return total


def weights(lead: Covariates, effect: float = 1.0) -> Reals:
    """The weight of each event in each state, but for age and pace: shape (leads, STATES, EVENTS).

    In full, confirmations also crowd out other events of their day. That too is scaled by `effect`, so that with 0 a
    lead is won and lost as if it had no partner, whatever its partner confirms.
    """
    a = attraction(lead, effect)[:, None]
    partner = lead.partner[:, None]
    by_partner, by_vendor = effect * _PARTNER, effect * _VENDOR
    both = effect * (_PARTNER * _VENDOR)
    weight = np.empty((len(a), STATES, len(EVENTS)))
    weight[:, :, WON] = np.exp(-7.9 + a + 0.6 * _SIGNALS + 0.2 * by_partner + 0.2 * by_vendor + 0.3 * both)
    weight[:, :, LOST] = np.exp(-4.6 - 0.25 * a - 0.3 * _SIGNALS - 0.3 * both)
    weight[:, :, SIGNAL] = np.exp(-4.0 + 0.3 * a - 0.3 * _SIGNALS + 0.2 * by_partner) * (_SIGNALS < MAX_SIGNALS)
    weight[:, :, PARTNER] = np.exp(-3.6 + 0.2 * a) * (partner & (_PARTNER == 0))
    weight[:, :, VENDOR] = np.exp(-4.4 + 0.3 * a + 1.2 * _PARTNER + 0.3 * _SIGNALS) * (partner & (_VENDOR == 0))
    crowd = weight[:, :, PARTNER] + weight[:, :, VENDOR]
    weight[:, :, [WON, LOST, SIGNAL]] *= (1 + (1 - effect) * crowd)[:, :, None]
    return weight


def alone(lead: Covariates) -> Reals:
    """The `weights` of leads whose partner signals have no effect and that are never confirmed."""
    return weights(replace(lead, partner=np.zeros_like(lead.partner)), 0.0)


def by_age(age: Integers) -> Reals:
    """The factors of the weights at an age in whole days: shape (ages, EVENTS)."""
    band = np.searchsorted(_AGES, age, side="right")
    factors = np.ones((len(age), len(EVENTS)))
    factors[:, WON], factors[:, LOST] = _WON_BY_AGE[band], _LOST_BY_AGE[band]
    return factors


def on_day(weights: Reals, age: Integers, pace: Pace = STEADY) -> Reals:
    """The weights, of shape (leads, EVENTS), of the day that starts at an age."""
    factor = by_age(age)
    on_this_day: Reals = weights * factor
    on_this_day[:, WON] *= pace.at(age)
    return on_this_day


def probabilities(weights: Reals) -> Reals:
    """The probability of each event on one day, of weights whose last axis are the events."""
    chances: Reals = weights / (1 + weights.sum(axis=-1, keepdims=True))
    return chances


def win_probability(weights: Reals, age: Integers, horizon: int, pace: Pace = STEADY) -> Reals:
    """P(won within `horizon` days | covariates, state, age, pace, still open), exactly.

    With V_0 = 0 and the day's probabilities p_k (see `probabilities`), the recursion runs back from the horizon:
    V(z) = p_won(z) + sum over moves p_k(z) V(z after k) + (1 - sum of all p_k(z)) V(z).

    Args:
        weights: of `weights`, shape (leads, STATES, EVENTS).
        age: of each lead in whole days.
        horizon: days.
        pace: of each lead.

    Returns:
        Shape (leads, STATES).
    """
    value = _recursion(weights.reshape(-1, *_GRID, len(EVENTS)), age, horizon, pace)
    return np.moveaxis(value, -1, 0).reshape(-1, STATES)


def win_chance(weights: Reals, states: Integers, age: Integers, horizon: int, pace: Pace) -> Reals:
    """`win_probability` of each lead in the one state it is in; only states that it can still reach are computed."""
    grid = weights.reshape(-1, *_GRID, len(EVENTS))
    confirmed, signals = np.divmod(states, MAX_SIGNALS + 1)
    group = 2 * confirmed + (weights[:, 0, PARTNER] > 0)
    chances = np.empty(len(states))
    for key in np.unique(group).tolist():
        these = np.flatnonzero(group == key)
        vendor, partner, waiting = key // 4, key // 2 % 2, key % 2
        reachable = grid[these, vendor : 2 if waiting else vendor + 1, partner : 2 if waiting else partner + 1]
        value = _recursion(reachable, age[these], horizon, pace.of(these))
        chances[these] = value[0, 0, signals[these], np.arange(len(these))]
    return chances


def _recursion(weights: Reals, age: Integers, horizon: int, pace: Pace) -> Reals:
    """V of weights of shape (leads, vendor, partner, signals, EVENTS); its own has the leads last."""
    won, lost, signal, partner, vendor = np.ascontiguousarray(np.moveaxis(weights, (-1, 0), (0, -1)))
    won *= np.exp(pace.level)
    ages = np.arange(age.max(initial=0) + horizon)
    win_factor, loss_factor = by_age(ages)[:, WON] * np.exp(pace.slope * ages), by_age(ages)[:, LOST]
    total = 1 + (signal + partner + vendor)
    value: Reals = np.zeros_like(won)
    winning, ways, moved = (np.zeros_like(won) for _ in range(3))
    for day in reversed(range(horizon)):
        np.multiply(lost, loss_factor[age + day], out=moved)
        np.multiply(won, win_factor[age + day], out=winning)
        np.add(total, winning, out=ways)
        ways += moved
        np.multiply(signal[:, :, :-1], value[:, :, 1:], out=moved[:, :, :-1])
        moved[:, :, -1] = 0
        moved[:, :-1] += partner[:, :-1] * value[:, 1:]
        moved[:-1] += vendor[:-1] * value[1:]
        winning += moved
        winning += value
        np.divide(winning, ways, out=value)
    return value


@dataclass(frozen=True)
class Walk:
    """All events of leads after their creation, in order of age.

    Attributes:
        lead: position of the lead.
        age: whole days since its creation; the event falls into the day that starts then.
        event: position in `EVENTS`.
    """

    lead: Integers
    age: Integers
    event: Integers


def walk(weights: Reals, start: Integers, days: int, rng: np.random.Generator, pace: Pace) -> Walk:
    """Draw the events of leads that start in the states `start` until they close, for at most `days` days."""
    states, still_open = start.copy(), np.arange(len(start))
    steps = [(start[:0], start[:0], start[:0])]
    for age in range(days):
        if len(still_open) == 0:
            break
        here = weights[still_open, states[still_open]]
        chances = probabilities(on_day(here, np.array([age]), pace.of(still_open)))
        event = (rng.random(len(start))[still_open, None] >= chances.cumsum(axis=1)).sum(axis=1)
        happened, what = still_open[event < len(EVENTS)], event[event < len(EVENTS)]
        steps.append((happened, np.full(len(happened), age), what))
        states[happened] = np.where(what > LOST, after(states[happened], what), states[happened])
        still_open = still_open[event > LOST]
    lead, ages, events = (np.concatenate(column) for column in zip(*steps, strict=True))
    return Walk(lead, ages, events)
