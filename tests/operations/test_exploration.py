"""The draw of priorities at random: off by default, the same for everybody, fair, and independent of the lead."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.value_types import DAY
from operations.exploration import Draw, Exploration, Exposure, arranged, draw

MOMENTS = st.integers(min_value=0, max_value=60_000 * DAY)
IDS = st.text(min_size=1, max_size=20)
SHARES = st.floats(min_value=0, max_value=1)


@given(lead=IDS, at=MOMENTS)
def test_it_is_off_by_default_and_all_at_one(lead: str, at: int) -> None:
    assert draw(lead, at, Exploration()) == Draw(lead, at - at % DAY, False, None)
    assert draw(lead, at, Exploration(1.0)).randomised


@given(lead=IDS, at=MOMENTS, share=SHARES, seed=st.text(max_size=5), later=st.integers(0, DAY - 1))
def test_all_moments_of_a_day_draw_the_same(lead: str, at: int, share: float, seed: str, later: int) -> None:
    exploration, day = Exploration(share, seed), at - at % DAY
    found = draw(lead, day, exploration)
    assert draw(lead, day + later, exploration) == found
    assert (found.priority is not None) == found.randomised
    assert found.priority is None or 0 <= found.priority < 1


@given(lead=IDS, at=MOMENTS, shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_keeps_who_was_drawn(lead: str, at: int, shares: tuple[float, float]) -> None:
    less, more = (draw(lead, at, Exploration(share, "s")) for share in sorted(shares))
    assert more == less or not less.randomised


def test_the_share_is_met_and_priorities_are_uniform_whatever_the_seed() -> None:
    for seed in ("", "second"):
        found = [draw(f"L-{n}", 0, Exploration(0.2, seed)) for n in range(5000)]
        priorities = [one.priority for one in found if one.priority is not None]
        # Five standard errors of a share of 5,000, and of the mean of 1,000 uniform numbers.
        assert len(priorities) / 5000 == pytest.approx(0.2, abs=5 * (0.16 / 5000) ** 0.5)
        assert sum(priorities) / len(priorities) == pytest.approx(0.5, abs=5 * (1 / 12 / len(priorities)) ** 0.5)


def test_days_and_seeds_draw_anew() -> None:
    def chosen(day: int, seed: str) -> list[bool]:
        return [draw(f"L-{n}", day * DAY, Exploration(0.5, seed)).randomised for n in range(100)]

    assert chosen(0, "a") != chosen(1, "a") != chosen(1, "b") != chosen(0, "a")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Exploration(share)


LISTS = st.lists(IDS, unique=True, max_size=30)


@given(leads=LISTS, at=MOMENTS)
def test_without_a_share_a_list_is_left_alone(leads: list[str], at: int) -> None:
    assert [one.lead_id for one in arranged(leads, at, Exploration())] == leads


@given(leads=LISTS, at=MOMENTS, share=SHARES, data=st.data())
def test_who_is_not_drawn_keeps_the_order_and_where_those_drawn_stand_does_not_depend_on_it(
    leads: list[str], at: int, share: float, data: st.DataObject
) -> None:
    exploration = Exploration(share, "s")
    found = arranged(leads, at, exploration)
    assert sorted(one.lead_id for one in found) == sorted(leads)
    assert all(one == draw(one.lead_id, at, exploration) for one in found)
    drawn = {one.lead_id for one in found if one.randomised}
    assert [one.lead_id for one in found if not one.randomised] == [lead for lead in leads if lead not in drawn]
    other = arranged(data.draw(st.permutations(leads)), at, exploration)
    places = [[(place, one) for place, one in enumerate(each) if one.randomised] for each in (found, other)]
    assert places[0] == places[1]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_lead_that_is_drawn_stands_anywhere_equally_often(share: float) -> None:
    leads, days = [f"L-{n}" for n in range(10)], 3000
    found: Counter[int] = Counter()
    for day in range(days):
        for place, one in enumerate(arranged(leads, day * DAY, Exploration(share, "s"))):
            # The first and the last by score, and one between.
            if one.randomised and one.lead_id in ("L-0", "L-4", "L-9"):
                found[place] += 1
    times = sum(found.values())
    # Five standard errors of a tenth.
    assert [found[place] / times for place in range(10)] == pytest.approx([0.1] * 10, abs=5 * (0.09 / times) ** 0.5)


def test_an_exposure_is_flat_and_its_positions_in_the_list() -> None:
    exposure = Exposure(
        lead_id="L-1",
        day=DAY,
        decision_id="D-1",
        score=0.2,
        share=0.05,
        seed="s",
        randomised=True,
        view="passed",
        listed=20,
        position=3,
        position_by_score=17,
    )
    assert json.loads(json.dumps(exposure.row()))["position"] == 3
    for fault in ({"position": 21}, {"position": 0}, {"position_by_score": 21}):
        with pytest.raises(ValueError, match=f"{next(iter(fault))} must be from 1 to 20"):
            replace(exposure, **fault)
