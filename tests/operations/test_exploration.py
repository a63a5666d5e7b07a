"""The draw of priorities at random: off by default, the same for everybody, fair, and independent of the lead."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.values import DAY
from operations.exploration import Draw, Exploration, Exposure, draw

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


def test_an_exposure_is_flat_and_its_position_in_the_list() -> None:
    exposure = Exposure("L-1", DAY, "D-1", 0.2, 0.05, "s", True, 3, 20, True)
    assert json.loads(json.dumps(exposure.row()))["position"] == 3
    with pytest.raises(ValueError, match="from 1 to 20, not 21"):
        Exposure("L-1", DAY, "D-1", 0.2, 0.05, "s", True, 21, 20, True)
