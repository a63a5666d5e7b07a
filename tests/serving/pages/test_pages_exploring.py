"""The work list with a share of its leads at random places: the same order for all, logged when sales sees it."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from features.value_types import DAY
from operations.exploration import Exploration, Exposure, arranged
from serving.store.database import reading
from serving.work_list import exposures

HALF = Exploration(0.5, "seed")
LEADS = [f"L-{place:02}" for place in range(24)]
KINDS = ("EQL", "SQL", "MQL")


def leads(page: Any) -> list[str]:
    return [href.removeprefix("/leads/") for href in page.attributes("a", "href") if href.startswith("/leads/")]


def logged(site: Any) -> list[Exposure]:
    with reading(site.engine) as connection:
        return list(exposures.logged(connection))


def places(site: Any, ranked: list[str]) -> list[str]:
    return [one.lead_id for one in arranged(ranked, site.service.clock(), HALF)]


@pytest.fixture
def ranked(site: Any) -> Any:
    """Twenty-four leads that passed, their ids in the order of their scores, and two that did not."""
    for place, lead_id in enumerate(LEADS):
        value = 0.9 - place / 100
        likely = {"value": value, "lower": value - 0.05, "upper": value + 0.05, "horizon_days": 90, "rung": "lightgbm"}
        site.decide(lead_id, "P-1", qualification=KINDS[place // 8], close_probability=likely)
    for lead_id in ("S-1", "S-2"):
        site.decide(lead_id, "P-1", qualification="MQL", pending=True)
    site.service = replace(site.service, exploration=HALF)
    return site


def test_it_is_off_by_default_and_then_nothing_is_logged_or_said(ranked: Any) -> None:
    ranked.service = replace(ranked.service, exploration=Exploration())
    page = ranked.read("/")
    assert leads(page) == LEADS
    assert "random" not in page.text
    assert logged(ranked) == []


def test_a_list_that_the_browser_fetches_ahead_was_not_seen(ranked: Any) -> None:
    sales = {"Cookie": ranked.cookie("sales")}
    assert ranked.ask("GET", "/", sales | {"Sec-Purpose": "prefetch;prerender"}).status_code == 200
    assert logged(ranked) == []
    assert ranked.ask("GET", "/", sales).status_code == 200
    assert logged(ranked)


def test_leads_drawn_stand_at_their_places_and_the_page_says_so(ranked: Any) -> None:
    page = ranked.read("/")
    assert leads(page) == places(ranked, LEADS) != LEADS
    assert "50.0% of the leads stand at random places" in page.text
    assert leads(ranked.read("/?view=sql")) == places(ranked, LEADS[8:16])


def test_everybody_who_sees_the_list_sees_the_same(ranked: Any) -> None:
    for role in ("partner_manager", "admin"):
        assert leads(ranked.read("/?view=passed", role)) == places(ranked, LEADS)


def test_lists_that_sales_does_not_work_keep_their_order(ranked: Any) -> None:
    for page in (ranked.read("/", "partner", "P-1"), ranked.read("/?view=pending", "partner_manager")):
        assert leads(page) == sorted(leads(page))
        assert "random" not in page.text
    assert leads(ranked.read("/?view=eql", "partner", "P-1")) == LEADS[:8]


def test_pages_of_a_day_fit_together_and_what_was_seen_is_logged(ranked: Any) -> None:
    seen: list[str] = []
    for offset in (0, 10, 20):
        seen += leads(ranked.read(f"/?limit=10&offset={offset}"))
        assert {one.lead_id for one in logged(ranked)} == {*seen}
    assert seen == places(ranked, LEADS)
    for one in logged(ranked):
        assert one.decision_id == f"D-{one.lead_id}"
        assert one.day == ranked.service.clock() // DAY * DAY
        assert one.score == pytest.approx(0.9 - LEADS.index(one.lead_id) / 100)
        assert (one.share, one.seed, one.view, one.listed) == (0.5, "seed", "passed", 24)
        assert seen[one.position - 1] == LEADS[one.position_by_score - 1] == one.lead_id
    assert 0 < sum(one.randomised for one in logged(ranked)) < 24


@pytest.mark.both_databases
def test_a_lead_is_logged_once_a_day_as_it_was_first_seen(ranked: Any) -> None:
    ranked.read("/?view=mql")
    first = logged(ranked)
    assert {one.view for one in first} == {"mql"}
    ranked.read("/")
    ranked.read("/")
    assert len(logged(ranked)) == len(LEADS)
    assert [one for one in logged(ranked) if one.view == "mql"] == first
    ranked.service = replace(ranked.service, clock=lambda: first[0].day + DAY)
    ranked.read("/")
    assert len(logged(ranked)) == 2 * len(LEADS)


def test_what_others_than_sales_see_is_not_logged(ranked: Any) -> None:
    for role in ("admin", "partner_manager", "scientist", "viewer"):
        ranked.read("/?view=passed", role)
    ranked.get("/leads/L-01")
    ranked.read("/?offset=24")
    assert logged(ranked) == []


def test_a_log_that_cannot_be_written_is_told_of_and_hides_no_list(
    ranked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with ranked.engine.begin() as connection:
        refuse = "CREATE TRIGGER full BEFORE INSERT ON exposures BEGIN SELECT RAISE(ABORT, 'full'); END"
        connection.execute(text(refuse))
    assert leads(ranked.read("/")) == places(ranked, LEADS)
    assert "not logged" in caplog.text
    assert "L-0" not in caplog.text
