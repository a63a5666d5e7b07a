"""How leads of the simulated world are won and lost, and the exact probability that they are.

A lead is a finite Markov chain in days since its creation. Its state is what was recorded of it since: how many buying
signals (0 to 3), whether the partner and whether the vendor confirmed. Each day at most one event happens: won, lost,
one more signal, the partner's confirmation or the vendor's. Event k has the weight w_k, a function of the covariates
at creation, the state and the age in days, and happens with probability w_k / (1 + sum of all weights): a multinomial
logit, the usual discrete-time model of competing risks. Nothing else touches the outcome, so the probability of
winning within a horizon, given all facts recorded so far, follows exactly by recursion (`win_probability`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.records import OWN_CHANNELS, PARTNER_CHANNELS

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CHANNELS = (*PARTNER_CHANNELS, *OWN_CHANNELS)
EVENTS = ("won", "lost", "signal", "partner_confirmation", "vendor_confirmation")
WON, LOST, SIGNAL, PARTNER, VENDOR = range(len(EVENTS))
MOVES = (SIGNAL, PARTNER, VENDOR)
MOST_SIGNALS = 3
ACTIVE_DAYS = 10
"""Active integration days of 30 from which on an account counts as an active user."""

_SIGNALS = np.tile(np.arange(MOST_SIGNALS + 1), 4)
_PARTNER = np.tile(np.repeat([0, 1], MOST_SIGNALS + 1), 2)
_VENDOR = np.repeat([0, 1], 2 * (MOST_SIGNALS + 1))
STATES = len(_SIGNALS)
STEPS = np.array([0, 0, 1, MOST_SIGNALS + 1, 2 * (MOST_SIGNALS + 1)])
"""What each of `EVENTS` adds to the number of a state; won and lost end the lead."""

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
class Covariates:
    """What the facts recorded by its creation say of each lead; arrays of one length.

    Attributes:
        channel: position in `CHANNELS`.
        employees: of the account; NaN where unknown.
        icp_industry: whether the account's industry is one of the ideal customer profile's.
        competitor: whether the account competes with us.
        partner: whether the lead names a source partner; without one nobody confirms it.
        referred: whether that partner referred it.
        certified: whether that partner is certified.
        tier: of that partner, 1 to 3; 0 without one.
        active_days: days with integration use among the last 30, as known by then.
        shared_customers: partners that have the account as a customer.
        barred: free-mail address, duplicate of another lead, or opted out.
    """

    channel: Integers
    employees: Reals
    icp_industry: Flags
    competitor: Flags
    partner: Flags
    referred: Flags
    certified: Flags
    tier: Integers
    active_days: Integers
    shared_customers: Integers
    barred: Flags


def state(signals: npt.ArrayLike, partner: npt.ArrayLike, vendor: npt.ArrayLike) -> Integers:
    """The state with so many signals (0 to 3) and these confirmations (0 or 1)."""
    confirmed = np.asarray(partner, np.int64) + 2 * np.asarray(vendor, np.int64)
    return np.asarray(signals, np.int64) + (MOST_SIGNALS + 1) * confirmed


def after(states: Integers, event: int | Integers) -> Integers:
    """The states that `states` become by the `MOVES` in `event`; impossible moves have weight 0."""
    found: Integers = np.minimum(states + STEPS[event], STATES - 1)
    return found


def attraction(lead: Covariates) -> Reals:
    """How well a lead suits us: log odds that enter every weight."""
    sized = (lead.employees >= 50) & (lead.employees <= 5000)
    fit = sized & lead.icp_industry
    size = np.nan_to_num(-0.06 * np.log(np.maximum(lead.employees, 1) / 400) ** 2, nan=-0.3)
    active = lead.active_days >= ACTIVE_DAYS
    channel = np.array([_CHANNEL_EFFECT.get(name, 0.0) for name in CHANNELS])
    effects = (
        channel[lead.channel],
        np.maximum(size, -1.0),
        0.4 * fit,
        np.where(active, np.where(fit, 0.9, 0.1), 0.0),
        0.02 * np.minimum(lead.active_days, ACTIVE_DAYS),
        np.where(lead.referred, np.where(lead.certified, 0.8, 0.1), 0.0),
        0.1 * lead.tier,
        np.where(lead.partner, 0.25, 0.05) * np.log1p(lead.shared_customers),
        -2.5 * lead.competitor,
        -1.5 * lead.barred,
    )
    total: Reals = np.sum(effects, axis=0)
    return total


def weights(lead: Covariates) -> Reals:
    """The weight of each event in each state, but for age: shape (leads, STATES, EVENTS)."""
    a = attraction(lead)[:, None]
    partner = lead.partner[:, None]
    both = _PARTNER * _VENDOR
    found = np.empty((len(a), STATES, len(EVENTS)))
    found[:, :, WON] = np.exp(-7.9 + a + 0.6 * _SIGNALS + 0.2 * _PARTNER + 0.2 * _VENDOR + 0.3 * both)
    found[:, :, LOST] = np.exp(-4.6 - 0.25 * a - 0.3 * _SIGNALS - 0.3 * both)
    found[:, :, SIGNAL] = np.exp(-4.0 + 0.3 * a - 0.3 * _SIGNALS + 0.2 * _PARTNER) * (_SIGNALS < MOST_SIGNALS)
    found[:, :, PARTNER] = np.exp(-3.6 + 0.2 * a) * (partner & (_PARTNER == 0))
    found[:, :, VENDOR] = np.exp(-4.4 + 0.3 * a + 1.2 * _PARTNER + 0.3 * _SIGNALS) * (partner & (_VENDOR == 0))
    return found


def by_age(age: Integers) -> Reals:
    """What the weights are multiplied by at an age in whole days: shape (ages, EVENTS)."""
    band = np.searchsorted(_AGES, age, side="right")
    found = np.ones((len(age), len(EVENTS)))
    found[:, WON], found[:, LOST] = _WON_BY_AGE[band], _LOST_BY_AGE[band]
    return found


def probabilities(weights: Reals) -> Reals:
    """The probability of each event on one day, of weights whose last axis are the events."""
    found: Reals = weights / (1 + weights.sum(axis=-1, keepdims=True))
    return found


def win_probability(weights: Reals, age: Integers, horizon: int) -> Reals:
    """P(won within `horizon` days | covariates, state, age, still open), exactly.

    With V_0 = 0 and the day's probabilities p_k (see `probabilities`), the recursion runs back from the horizon:
    V(z) = p_won(z) + sum over moves p_k(z) V(z after k) + (1 - sum of all p_k(z)) V(z).

    Args:
        weights: of `weights`, shape (leads, STATES, EVENTS).
        age: of each lead in whole days.
        horizon: days.

    Returns:
        Shape (leads, STATES).
    """
    value = np.zeros(weights.shape[:2])
    targets = [(weights[:, :, move], after(np.arange(STATES), move)) for move in MOVES]
    total = 1 + sum(weight for weight, _ in targets)
    for day in reversed(range(horizon)):
        factor = by_age(age + day)
        won, lost = (weights[:, :, event] * factor[:, event, None] for event in (WON, LOST))
        moved = sum(weight * value[:, target] for weight, target in targets)
        value = (won + moved + value) / (total + won + lost)
    return value


@dataclass(frozen=True)
class Walk:
    """Everything that happened to leads after their creation, in order of age.

    Attributes:
        lead: position of the lead.
        age: whole days since its creation; the event falls into the day that starts then.
        event: position in `EVENTS`.
    """

    lead: Integers
    age: Integers
    event: Integers


def walk(weights: Reals, start: Integers, days: int, rng: np.random.Generator) -> Walk:
    """Draw what happens to leads that start in the states `start` until they close, for at most `days` days."""
    states, everyone = start.copy(), np.arange(len(start))
    still_open = np.ones(len(start), bool)
    steps = [(start[:0], start[:0], start[:0])]
    for age in range(days):
        if not still_open.any():
            break
        chances = probabilities(weights[everyone, states] * by_age(np.array([age])))
        event = (rng.random(len(start))[:, None] >= chances.cumsum(axis=1)).sum(axis=1)
        happened = np.flatnonzero(still_open & (event < len(EVENTS)))
        moved = happened[event[happened] > LOST]
        steps.append((happened, np.full(len(happened), age), event[happened]))
        states[moved] = after(states[moved], event[moved])
        still_open[happened[event[happened] <= LOST]] = False
    lead, ages, events = (np.concatenate(column) for column in zip(*steps, strict=True))
    return Walk(lead, ages, events)
