"""How leads of the simulated world are won and lost, and what records tell of what is hidden."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.records import PARTNER_CHANNELS
from training.world import HORIZON_DAYS, hazard
from training.world.hazard import CHANNELS, LOST, MOVES, PARTNER, SIGNAL, VENDOR, WON, Covariates, Pace
from training.world.hidden import Frailty, Observed, beliefs, waits


@st.composite
def covariates(draw: st.DrawFn) -> Covariates:
    """One lead's covariates."""
    partner = draw(st.booleans())
    own = draw(st.integers(0, len(CHANNELS) - 1))
    return Covariates(
        channel=np.array([own]),
        employees=np.array([draw(st.sampled_from([np.nan, 1.0, 60.0, 400.0, 4000.0, 90_000.0]))]),
        icp_industry=np.array([draw(st.booleans())]),
        competitor=np.array([draw(st.booleans())]),
        partner=np.array([partner]),
        referred=np.array([partner and draw(st.booleans())]),
        certified=np.array([partner and draw(st.booleans())]),
        tier=np.array([draw(st.integers(1, 3)) if partner else 0]),
        active_days=np.array([draw(st.integers(0, 30))]),
        shared_customers=np.array([draw(st.integers(0, 3))]),
        barred=np.array([draw(st.booleans())]),
    )


def enumerated(weights: np.ndarray, pace: Pace, signals: int, partner: int, vendor: int, age: int, days: int) -> float:
    """P(won within `days`) as the sum over every path."""
    if days == 0:
        return 0.0
    here = weights[0, hazard.state(signals, partner, vendor)] * hazard.by_age(np.array([age]))[0]
    here[WON] *= math.exp(pace.level[0] + pace.slope * age)
    chance = here / (1 + here.sum())
    after = {
        SIGNAL: (min(signals + 1, 3), partner, vendor),
        PARTNER: (signals, 1, vendor),
        VENDOR: (signals, partner, 1),
    }
    paths = [(chance[move], state) for move, state in after.items() if chance[move] > 0]
    paths.append((1 - chance.sum(), (signals, partner, vendor)))
    return float(chance[WON] + sum(p * enumerated(weights, pace, *state, age + 1, days - 1) for p, state in paths))


levels = st.floats(-3, 3)
slopes = st.floats(-0.01, 0.01)
effects = st.sampled_from([0.0, 0.25, 1.0])


@settings(deadline=None)
@given(covariates(), effects, levels, slopes, st.integers(0, 15), st.integers(0, 200), st.integers(0, 4))
def test_the_recursion_is_the_sum_over_all_paths(
    lead: Covariates, effect: float, level: float, slope: float, state: int, age: int, days: int
) -> None:
    weights, pace = hazard.weights(lead, effect), Pace(np.array([level]), slope)
    found = hazard.win_probability(weights, np.array([age]), days, pace)[0, state]
    expected = enumerated(weights, pace, state % 4, state // 4 % 2, state // 8, age, days)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(deadline=None)
@given(st.lists(covariates(), min_size=1, max_size=5), st.data())
def test_the_chance_in_a_state_is_the_probability_in_it(leads: list[Covariates], data: st.DataObject) -> None:
    many = len(leads)
    weights = np.concatenate([hazard.weights(lead) for lead in leads])
    names = ("states", "age", "level")
    columns = (st.integers(0, 15), st.integers(0, 200), levels)
    drawn = {
        n: np.array(data.draw(st.lists(c, min_size=many, max_size=many))) for n, c in zip(names, columns, strict=True)
    }
    pace = Pace(drawn["level"], 0.001)
    found = hazard.win_chance(weights, drawn["states"], drawn["age"], 90, pace)
    every = hazard.win_probability(weights, drawn["age"], 90, pace)
    np.testing.assert_array_equal(found, every[np.arange(many), drawn["states"]])


@settings(deadline=None)
@given(covariates(), levels, st.integers(0, 15))
def test_without_an_effect_partner_signals_and_confirmations_change_nothing(
    lead: Covariates, level: float, state: int
) -> None:
    pace, age = Pace(np.array([level])), np.array([0])
    never = np.array([False])
    bare = replace(lead, partner=never, referred=never, tier=age, active_days=age, shared_customers=age)
    if lead.channel[0] < len(PARTNER_CHANNELS):
        bare = replace(bare, channel=np.array([CHANNELS.index("direct")]))  # which has no effect of its own
    found = hazard.win_probability(hazard.weights(lead, 0.0), age, 90, pace)[0, state]
    assert found == pytest.approx(hazard.win_probability(hazard.weights(bare), age, 90, pace)[0, state % 4], rel=1e-12)
    assert found == pytest.approx(hazard.win_probability(hazard.alone(lead), age, 90, pace)[0, state % 4], rel=1e-12)


@settings(deadline=None)
@given(covariates(), st.integers(0, 400))
def test_probabilities_are_probabilities_that_grow_with_the_horizon(lead: Covariates, age: int) -> None:
    weights = hazard.weights(lead)
    chances = hazard.probabilities(weights * hazard.by_age(np.array([age])))
    assert (chances >= 0).all()
    assert (chances.sum(axis=-1) < 1).all()
    curve = [hazard.win_probability(weights, np.array([age]), days) for days in (0, 1, 30, 90)]
    assert (np.diff(curve, axis=0) >= 0).all()
    assert (curve[-1] <= 1).all()


@settings(deadline=None)
@given(covariates(), st.sampled_from(["active_days", "shared_customers", "tier"]), st.integers(1, 10))
def test_more_of_what_speaks_for_a_lead_never_lowers_its_chance(lead: Covariates, name: str, more: int) -> None:
    raised = replace(lead, **{name: getattr(lead, name) + more})
    before, after = (hazard.win_probability(hazard.weights(one), np.array([0]), HORIZON_DAYS) for one in (lead, raised))
    assert (after >= before - 1e-12).all()


def alike(n: int, partner: bool = True) -> Covariates:
    """So many equal leads: referred by a certified gold partner, or nobody's."""
    ones = np.ones(n, int)
    sure, never = ones > 0, ones < 0
    return Covariates(
        channel=ones * CHANNELS.index(PARTNER_CHANNELS[0]),
        employees=ones * 400.0,
        icp_industry=sure,
        competitor=never,
        partner=sure if partner else never,
        referred=sure if partner else never,
        certified=sure if partner else never,
        tier=ones * 3 * partner,
        active_days=ones * 20,
        shared_customers=ones,
        barred=never,
    )


def test_a_lead_without_a_partner_is_never_confirmed() -> None:
    assert (hazard.weights(alike(1, partner=False))[:, :, [PARTNER, VENDOR]] == 0).all()


def test_the_walk_agrees_with_the_recursion() -> None:
    """Of many equal leads the share won within a month is the probability, within four standard errors."""
    n, days = 40_000, 30
    weights, pace = hazard.weights(alike(n)), Pace(np.full(n, 0.5), -0.01)
    walk = hazard.walk(weights, hazard.state(np.ones(n), 0, 0), days, np.random.default_rng(5), pace)
    won = np.zeros(n, bool)
    won[walk.lead[walk.event == WON]] = True
    chance = hazard.win_chance(weights[:1], hazard.state([1], 0, 0), np.array([0]), days, pace.of(np.array([0])))
    assert abs(z_score(np.full(n, chance), won)) < 4


def z_score(chance: np.ndarray, won: np.ndarray) -> float:
    return float((won.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum()))


def test_nothing_happens_to_a_lead_after_it_is_won_or_lost() -> None:
    n = 500
    walk = hazard.walk(hazard.weights(alike(n)), np.zeros(n, int), 400, np.random.default_rng(6), Pace(np.zeros(n)))
    for name in range(n):
        events = walk.event[walk.lead == name]
        assert not np.isin(events[:-1], [WON, LOST]).any()
        assert max(Counter(events[np.isin(events, [PARTNER, VENDOR])].tolist()).values(), default=1) == 1
        assert (events == SIGNAL).sum() <= 3
    assert set(MOVES) <= set(walk.event.tolist())


@settings(deadline=None)
@given(st.floats(0.01, 2))
def test_frailty_has_its_variance_and_leaves_the_mean_weight_as_it_is(variance: float) -> None:
    frailty = Frailty.of(variance)
    mean = frailty.shares @ frailty.values
    assert frailty.shares.sum() == pytest.approx(1)
    assert frailty.shares @ (frailty.values - mean) ** 2 == pytest.approx(variance)
    assert frailty.shares @ np.exp(frailty.values) == pytest.approx(1)


def test_without_frailty_all_leads_are_alike() -> None:
    assert (Frailty.of(0).values == 0).all()
    assert (Frailty.of(0).shares == 1).all()


@pytest.mark.parametrize("mean", [0, 0.5, 5])
def test_waits_are_whole_days_of_a_mean_and_forget_how_long_they_have_been(mean: float) -> None:
    found = waits(np.random.default_rng(8), mean, 100_000)
    assert found.min() == 0
    assert found.mean() == pytest.approx(mean, rel=0.03)
    if mean:
        assert found[found >= 3].mean() - 3 == pytest.approx(mean, rel=0.05)


@st.composite
def recorded(draw: st.DrawFn) -> Observed:
    """One lead of two classes of frailty, and up to six days of facts that can follow each other."""
    lead = draw(covariates())
    weights = hazard.weights(lead)
    states, facts = np.array([0]), []
    for fact in draw(st.lists(st.sampled_from([-1, -1, *MOVES]), max_size=6)):
        possible = fact >= 0 and weights[0, states[0], fact] > 0
        facts.append(fact if possible else -1)
        states = hazard.after(states, fact) if possible else states
    return Observed(
        weights=weights,
        start=np.array([0]),
        facts=np.array([facts], int),
        prior=np.array([[0.3, 0.7]]),
        paces=tuple(Pace(np.array([draw(levels)]), 0.01) for _ in range(2)),
        mean_wait=draw(st.sampled_from([0.0, 0.5, 5.0])),
    )


def likelihood(seen: Observed, pace: Pace, end: int, last: int) -> float:
    """P(what is recorded, and the lead was won or lost (`end`) on day `last`; or is open where `end` is -1)."""
    facts, states, chance = seen.facts[0], seen.start.copy(), 1.0
    for age in range(last + 1 if end >= 0 else len(facts)):
        event = end if end >= 0 and age == last else facts[age]
        weights = seen.weights[0, states[0]] * hazard.by_age(np.array([age]))[0]
        weights[WON] *= math.exp(pace.level[0] + pace.slope * age)
        chance *= (1.0 if event < 0 else weights[event]) / (1 + weights.sum())
        states = hazard.after(states, event) if event > LOST else states
    silent = end < 0 or (facts[last:] < 0).all()
    stays_unrecorded = seen.mean_wait / (1 + seen.mean_wait)
    return chance * silent * (1.0 if end < 0 else stays_unrecorded ** (len(facts) - last))


@settings(deadline=None)
@given(recorded())
def test_beliefs_are_the_sum_over_all_that_may_have_happened(seen: Observed) -> None:
    found, days = beliefs(seen, 1)[-1], range(seen.facts.shape[1])
    prior = list(zip(seen.prior[0], seen.paces, strict=True))
    is_open = np.array([p * likelihood(seen, pace, -1, 0) for p, pace in prior])
    won, lost = (
        np.array([p * sum(likelihood(seen, pace, end, d) for d in days) for p, pace in prior]) for end in (WON, LOST)
    )
    total = (is_open + won + lost).sum()
    for part, expected in ((found.open, is_open), (found.won, won), (found.lost, lost)):
        np.testing.assert_allclose(part[0], expected / total, rtol=1e-9, atol=1e-15)


def test_of_leads_with_nothing_recorded_as_many_are_won_as_is_believed() -> None:
    """Monte Carlo: a normal frailty's five classes, closes recorded five days late on average; four standard errors."""
    n, now, later, mean_wait, rng = 60_000, 28, 58, 5.0, np.random.default_rng(9)
    weights, start, frailty = hazard.weights(alike(n)), np.zeros(n, int), Frailty.of(1.0)
    walk = hazard.walk(weights, start, later, rng, Pace(frailty.values[frailty.draw(rng, n)], -0.01))
    known = walk.age + np.where(walk.event <= LOST, waits(rng, mean_wait, len(walk.age)), 0) < now
    quiet = np.setdiff1d(np.arange(n), walk.lead[known])
    won = np.isin(quiet, walk.lead[walk.event == WON])
    paces = tuple(Pace(np.array([value]), -0.01) for value in frailty.values)
    seen = Observed(
        weights=weights[:1],
        start=start[:1],
        facts=np.full((1, now), -1),
        prior=frailty.shares[None],
        paces=paces,
        mean_wait=mean_wait,
    )
    believed = beliefs(seen, now)[-1]
    chances = [hazard.win_chance(weights[:1], start[:1], np.array([now]), later - now, pace)[0] for pace in paces]
    chance = float((believed.open * chances + believed.won).sum())
    assert believed.won.sum() > 0.001
    assert abs(z_score(np.full(len(quiet), chance), won)) < 4
