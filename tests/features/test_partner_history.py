"""Partner history: matured leads only, wins within the horizon only, and never a word of the future."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from features.partner_history import histories
from features.records import EVERYONE, PARTNER_HISTORY, TIER_HISTORY
from features.value_types import DAY

START = 19_000 * DAY
HORIZON = 90
Row = dict[str, Any]


def lead(lead_id: str, partner: str | None, created: int | None, recorded: int | None = None) -> Row:
    """A lead created so many days after the start."""
    at = None if created is None else START + created * DAY
    return {
        "lead_id": lead_id,
        "source_partner_id": partner,
        "created_at": at,
        "recorded_at": at if recorded is None else START + recorded * DAY,
    }


def won(lead_id: str, day: float, recorded: float | None = None, event: str = "won", deleted: bool = False) -> Row:
    at = START + int(day * DAY)
    known = at if recorded is None else START + int(recorded * DAY)
    return {"lead_id": lead_id, "event": event, "occurred_at": at, "recorded_at": known, "deleted": deleted}


def partner(partner_id: str, tier: str | None, recorded: int = 0, deleted: bool = False) -> Row:
    return {"partner_id": partner_id, "tier": tier, "recorded_at": START + recorded * DAY, "deleted": deleted}


def derive(leads: Sequence[Row], events: Sequence[Row] = (), partners: Sequence[Row] = ()) -> list[Row]:
    """The partners' rows, each with everyone's counts of its day."""
    found = histories(leads, partners, events, HORIZON)
    everyone = {row["recorded_at"]: row for row in found[TIER_HISTORY] if row["tier"] == EVERYONE}
    all_of = [everyone[row["recorded_at"]] for row in found[PARTNER_HISTORY]]
    return [
        {**row, "all_leads": all["leads"], "all_wins": all["wins"]}
        for row, all in zip(found[PARTNER_HISTORY], all_of, strict=True)
    ]


def told(leads: Sequence[Row], events: Sequence[Row] = ()) -> list[tuple[int, str, int, int, int, int]]:
    """Day after the start, partner, its two counts, and everyone's."""
    return [
        ((r["recorded_at"] - START) // DAY, r["partner_id"], r["leads"], r["wins"], r["all_leads"], r["all_wins"])
        for r in derive(leads, events)
    ]


def tiers(leads: Sequence[Row], partners: Sequence[Row], events: Sequence[Row] = ()) -> list[tuple[int, str, int, int]]:
    rows = histories(leads, partners, events, HORIZON)[TIER_HISTORY]
    return [((r["recorded_at"] - START) // DAY, r["tier"], r["leads"], r["wins"]) for r in rows]


def test_a_lead_counts_once_its_horizon_has_passed_and_its_win_with_it() -> None:
    assert told([lead("L", "P", 0)], [won("L", 3)]) == [(90, "P", 1, 1, 1, 1)]
    assert told([lead("L", "P", 0)]) == [(90, "P", 1, 0, 1, 0)]


@pytest.mark.parametrize(("day", "wins"), [(0, 1), (90, 1), (90.001, 0), (-1, 0)])
def test_a_win_counts_within_the_horizon_alone(day: float, wins: int) -> None:
    assert told([lead("L", "P", 0)], [won("L", day)])[-1][3] == wins


def test_a_win_learned_late_counts_from_then_on() -> None:
    found = told([lead("L", "P", 0)], [won("L", 30, recorded=120)])
    assert found == [(90, "P", 1, 0, 1, 0), (120, "P", 1, 1, 1, 1)]


def test_a_lead_learned_late_matures_then() -> None:
    assert told([lead("L", "P", 0, recorded=200)]) == [(200, "P", 1, 0, 1, 0)]


def test_a_day_is_known_when_it_ends() -> None:
    at_noon = lead("L", "P", 0) | {"created_at": START + DAY // 2, "recorded_at": START + DAY // 2}
    assert told([at_noon]) == [(91, "P", 1, 0, 1, 0)]


def test_partners_are_counted_each_and_all_together() -> None:
    leads = [lead("A", "P", 0), lead("B", "Q", 0), lead("C", "P", 1), lead("D", None, 0), lead("E", "P", None)]
    assert told(leads, [won("C", 2)]) == [
        (90, "P", 1, 0, 2, 0),
        (90, "Q", 1, 0, 2, 0),
        (91, "P", 2, 1, 3, 1),
    ]


def test_the_first_partner_named_keeps_the_lead_and_a_lead_is_won_once() -> None:
    leads = [lead("L", "P", 0), lead("L", "Q", 0)]
    assert told(leads, [won("L", 2), won("L", 5)]) == [(90, "P", 1, 1, 1, 1)]


def test_only_wins_that_stand_count() -> None:
    assert told([lead("L", "P", 0)], [won("L", 2, event="lost"), won("L", 2, deleted=True)])[-1][3] == 0


def test_days_to_close_are_the_geometric_mean_of_wins_and_at_least_one() -> None:
    leads = [lead(i, "P", 0) for i in "ABCD"]
    found = derive(leads, [won("A", 4), won("B", 16), won("C", 0.1)])
    assert found[-1]["days_to_close"] == pytest.approx(math.exp((math.log(4) + math.log(16)) / 3))
    assert derive(leads)[-1]["days_to_close"] is None


def test_rows_have_the_columns_of_the_record() -> None:
    for kind, rows in histories([lead("L", "P", 0)], [partner("P", "gold")], [], HORIZON).items():
        for row in rows:
            assert set(row) == {column.name for column in kind.columns}
            assert row["recorded_at"] == row["occurred_at"]
            assert not row["deleted"]


def test_a_lead_counts_to_the_tier_its_partner_had_when_it_matured() -> None:
    leads = [lead("A", "P", 0), lead("B", "P", 30), lead("C", "Q", 0)]
    found = tiers(leads, [partner("P", "silver"), partner("P", "gold", 100)], [won("B", 40)])
    assert found == [(90, "*", 2, 0), (90, "silver", 1, 0), (120, "*", 3, 1), (120, "gold", 1, 1)]


@pytest.mark.parametrize("known", [[], [partner("P", None)], [partner("P", "*")], [partner("P", "gold", 0, True)]])
def test_a_partner_without_a_tier_counts_to_everyone_alone(known: list[Row]) -> None:
    assert tiers([lead("A", "P", 0)], known) == [(90, "*", 1, 0)]


def strength(rates: Sequence[float], size: int = 200) -> float:
    """The strength fitted to partners with so many leads each, won at these rates."""
    leads = [lead(f"{p}-{n}", f"P{p}", 0) for p in range(len(rates)) for n in range(size)]
    events = [won(f"{p}-{n}", 1) for p, rate in enumerate(rates) for n in range(round(rate * size))]
    found: float = histories(leads, [], events, HORIZON)[TIER_HISTORY][-1]["partner_strength"]
    return found


def test_partners_that_differ_are_shrunk_less_than_partners_that_do_not() -> None:
    alike, differing, alone = strength([0.2] * 30), strength([0.05, 0.2, 0.35] * 10), strength([0.2])
    assert differing < alone < alike
    assert alone == pytest.approx(20)


def test_strengths_near_what_the_rates_were_drawn_with() -> None:
    """Rates of a beta distribution with a = 4, b = 16 have the strength a + b: a prior of 20 leads."""
    quantiles = stats.beta.ppf((np.arange(60) + 0.5) / 60, 4, 16)
    assert strength(quantiles.tolist(), size=400) == pytest.approx(20, rel=0.25)


def test_the_first_to_be_recorded_speaks_wherever_it_stands() -> None:
    leads = [lead("L", "Q", 0, recorded=5), lead("L", "P", 0)]
    assert told(leads, [won("L", 9, recorded=120), won("L", 30)]) == [(90, "P", 1, 1, 1, 1)]


sources = st.sampled_from([None, "P", "Q"])
leads = st.lists(st.tuples(sources, st.integers(0, 200), st.integers(0, 40)), max_size=8).map(
    lambda found: [lead(f"L{n}", p, day, day + late) for n, (p, day, late) in enumerate(found)]
)
wins = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 150), st.floats(0, 60)), max_size=8).map(
    lambda found: [won(f"L{n}", day, day + late) for n, day, late in found]
)


@settings(deadline=None)
@given(leads, wins)
def test_counts_only_grow_and_never_pass_what_they_are_a_share_of(leads: list[Row], events: list[Row]) -> None:
    before: dict[str, Row] = {}
    last = 0
    for row in derive(leads, events):
        assert 0 <= row["wins"] <= row["leads"] <= row["all_leads"]
        assert row["wins"] <= row["all_wins"] <= row["all_leads"]
        assert row["recorded_at"] % DAY == 0
        assert row["recorded_at"] >= last
        earlier = before.get(row["partner_id"])
        assert earlier is None or earlier["recorded_at"] < row["recorded_at"]
        assert earlier is None or (earlier["leads"], earlier["wins"]) < (row["leads"] + 1, row["wins"] + 1)
        before[row["partner_id"]], last = row, row["recorded_at"]
    sourced = sum(each["source_partner_id"] is not None for each in leads)
    assert max((row["all_leads"] for row in before.values()), default=0) == sourced


@settings(deadline=None)
@given(leads, wins, st.integers(0, 400))
def test_what_is_recorded_later_changes_no_earlier_row(leads: list[Row], events: list[Row], day: int) -> None:
    moment = START + day * DAY
    known = [[row for row in rows if row["recorded_at"] <= moment] for rows in (leads, events)]
    partners = [partner("P", "gold"), partner("Q", "silver", 120)]
    seen, full = (
        [row for each in histories(rows[0], partners, rows[1], HORIZON).values() for row in each]
        for rows in (known, (leads, events))
    )
    assert [r for r in seen if r["recorded_at"] <= moment] == [r for r in full if r["recorded_at"] <= moment]


@settings(deadline=None)
@given(leads, wins, st.randoms(use_true_random=False))
def test_the_order_of_other_leads_does_not_matter(leads: list[Row], events: list[Row], rng: Any) -> None:
    shuffled = rng.sample(leads, len(leads))
    assert histories(shuffled, [], events, HORIZON) == histories(leads, [], events, HORIZON)
