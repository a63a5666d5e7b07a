from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.value_types import DAY, SECOND
from models.decision import CloseProbability
from models.explanation import Contribution
from serving.decisions.reasons import MAX_SHOWN, merged, strongest_reason, strongest_reasons
from serving.html import charts, words

contributions = st.lists(
    st.builds(
        Contribution,
        feature=st.just("employees"),
        value=st.none(),
        log_odds=st.just(0.0),
        sentence=st.sampled_from("abcdefgh"),
        family=st.sampled_from(("icp", "lead")),
        points=st.floats(-60, 60, allow_subnormal=False),
    ),
    max_size=40,
)
shares = st.floats(0, 1)


@given(contributions)
def test_what_is_told_and_what_is_not_add_up_to_the_whole(given_: list[Any]) -> None:
    reasons = strongest_reasons(given_)
    whole = sum(reason.points for reason in (*reasons.favouring, *reasons.against)) + reasons.others
    assert whole == pytest.approx(sum(each.points for each in given_), abs=1e-9)


@given(contributions)
def test_reasons_are_few_the_strongest_first_and_on_the_side_they_speak_for(given_: list[Any]) -> None:
    reasons = strongest_reasons(given_)
    for side, sign in ((reasons.favouring, 1), (reasons.against, -1)):
        weights = [sign * reason.points for reason in side]
        assert len(side) <= MAX_SHOWN
        assert weights == sorted(weights, reverse=True)
        assert all(words.points(reason.points) != "0.0" for reason in side)
        assert all(weight > 0 for weight in weights)
    assert strongest_reason(given_) == next(iter(reasons.favouring), None)


@given(contributions)
def test_nothing_is_said_twice(given_: list[Any]) -> None:
    said = [(reason.sentence, reason.family) for reason in merged(given_)]
    assert len(said) == len({*said})


@given(shares, shares, shares)
def test_a_range_bar_holds_its_value_on_the_figure(first: float, second: float, third: float) -> None:
    lower, value, upper = sorted((first, second, third))
    end = charts.scale([upper])
    probability = CloseProbability(value=value, lower=lower, upper=upper, horizon_days=90, rung="base_rate")
    bar = charts.range_bar(probability, end)
    assert end >= upper
    assert 0 <= bar.band.x <= bar.mark + 1e-9
    assert bar.mark <= bar.band.x + bar.band.width + 1e-9 <= charts.WIDTH + 1e-6


@given(shares, st.lists(st.floats(-60, 60), max_size=10))
def test_a_waterfall_stays_on_its_figure_and_no_step_leaves_a_gap(start: float, steps: list[float]) -> None:
    bars = charts.waterfall(100 * start, steps)
    assert len(bars) == len(steps) + 2
    for bar in bars:
        assert -1e-6 <= bar.x <= bar.x + bar.width <= charts.WIDTH + 1e-6
    for before, after in pairwise(bars[1:]):
        ends = {round(edge, 6) for edge in (before.x, before.x + before.width)}
        assert ends & {round(edge, 6) for edge in (after.x, after.x + after.width)}


@given(shares)
def test_a_share_that_is_neither_none_nor_all_never_reads_as_such(share: float) -> None:
    shown = words.percent(share)
    assert (shown == "0.0%") == (share == 0)
    assert (shown == "100.0%") == (share == 1)


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (1737976, "USD", "USD 17,380"),
        (999, "EUR", "EUR 9.99"),
        (17380, "JPY", "JPY 17,380"),
        (12345678, "KWD", "KWD 12,346"),
        (-50, "USD", "USD −0.50"),
        (0, "USD", "USD 0.00"),
    ],
)
def test_money_is_written_in_whole_units_of_its_currency(minor: int, currency: str, shown: str) -> None:
    assert words.money(minor, currency) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (-SECOND, "just now"),
        (59 * SECOND, "just now"),
        (60 * SECOND, "1 min ago"),
        (7_200 * SECOND, "2 h ago"),
        (DAY, "1 day ago"),
        (1_500 * DAY, "1,500 days ago"),
    ],
)
def test_how_long_ago_is_told_in_the_largest_unit(passed: int, shown: str) -> None:
    assert words.ago(2_000 * DAY, 2_000 * DAY + passed) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "not known"), (True, "yes"), (False, "no"), (1094, "1,094"), (17.035454311863425, "17.04"), ("P-1", "P-1")],
)
def test_what_a_rule_looked_at_is_written_for_people(value: Any, shown: str) -> None:
    assert words.fact(value) == shown


def test_commands_are_marked_and_everything_else_is_escaped() -> None:
    assert words.commands("run `a <b>` & `c`, <i>") == "run <code>a &lt;b&gt;</code> &amp; <code>c</code>, &lt;i&gt;"
