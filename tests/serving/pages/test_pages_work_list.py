from typing import Any

import pytest

from features.records import KINDS
from features.value_types import DAY, SECOND
from serving.records import visible
from serving.store.database import reading

NASTY = '<script>alert("x")</script>&<img src=x onerror=alert(1)>'


def leads(page: Any) -> list[str]:
    return [href.removeprefix("/leads/") for href in page.attributes("a", "href") if href.startswith("/leads/")]


def likely(value: float) -> dict[str, Any]:
    return {"value": value, "lower": value - 0.05, "upper": value + 0.05, "horizon_days": 90, "rung": "lightgbm"}


@pytest.fixture
def ranked(site: Any) -> Any:
    for lead_id, qualification, pending, probability in (
        ("mql-high", "MQL", False, 0.9),
        ("eql-low", "EQL", False, 0.1),
        ("eql-high", "EQL", False, 0.4),
        ("sql", "SQL", False, 0.3),
        ("sql-pending", "SQL", True, 0.5),
        ("mql-pending", "MQL", True, 0.6),
        ("unqualified", "UNQUALIFIED", False, 0.8),
        ("disqualified", "DISQUALIFIED", False, 0.7),
    ):
        site.decide(lead_id, qualification=qualification, pending=pending, close_probability=likely(probability))
    return site


@pytest.mark.both_databases
def test_sales_gets_what_passed_the_best_first(ranked: Any) -> None:
    assert leads(ranked.read("/")) == ["eql-high", "eql-low", "sql", "mql-high"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("", ["sql-pending", "mql-pending"]),
        ("?view=passed", ["eql-high", "eql-low", "sql", "mql-high"]),
        ("?view=eql", ["eql-high", "eql-low"]),
        ("?view=aside", ["unqualified", "disqualified"]),
    ],
)
def test_a_partner_manager_chases_what_is_pending(ranked: Any, view: str, expected: list[str]) -> None:
    page = ranked.read(f"/{view}", "partner_manager")
    assert leads(page) == expected
    assert "Pending 2 Work now 4 EQL 2 SQL 1 MQL 1 Set aside 2" in page.text


def test_sales_has_no_pending_leads(ranked: Any) -> None:
    assert ranked.get("/?view=pending").status_code == 404
    assert "pending" not in ranked.get("/").text.lower()


@pytest.mark.both_databases
def test_a_list_comes_in_pages_without_a_gap(site: Any) -> None:
    expected = [f"L-{number}" for number in range(7)]
    for place, lead_id in enumerate(expected):
        site.decide(lead_id, close_probability=likely(0.9 - place / 10))
    seen, address = [], "/?limit=3"
    while address:
        page = site.read(address)
        seen += leads(page)
        assert f"to {len(seen)} of 7" in page.text
        [address] = [attrs["href"] for tag, attrs in page.tags if attrs.get("rel") == "next"] or [""]
    assert seen == expected
    [back] = [attrs["href"] for tag, attrs in page.tags if attrs.get("rel") == "prev"]
    assert leads(site.read(back)) == expected[3:6]


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "limit=0", "limit=100000", "offset=99999999999999999999"])
def test_a_page_that_cannot_be_is_not_found(ranked: Any, query: str) -> None:
    assert ranked.get(f"/?{query}").status_code == 404


def test_a_page_past_the_end_leads_back(ranked: Any) -> None:
    page = ranked.read("/?offset=50")
    assert "The view has 4" in page.text


def test_a_line_shows_the_stored_score_and_what_the_records_call_it(site: Any) -> None:
    site.store("partners", "P-1", partner_id="P-1", name="Integrators Ltd")
    site.store("accounts", "A-1", account_id="A-1", name="Acme", domain="acme.example")
    site.store("leads", "L-1", lead_id="L-1", account_id="A-1")
    decision = site.decide("L-1", "P-1")
    page = site.read("/")
    assert str(decision["close_probability"]["value"]) in page.attributes("data", "value")
    assert str(decision["expected_value"]["minor"]) in page.attributes("data", "value")
    for text in (
        "Acme",
        "acme.example",
        "L-1",
        "Integrators Ltd",
        "EQL",
        "28.5%",
        "25.4–32.3%",
        "USD 17,380",
        "2 h ago",
    ):
        assert text in page.text
    assert "Referred by a partner (1)" in page.text


def test_the_top_reason_is_the_strongest_for_the_lead_with_what_reads_alike_added_up(site: Any) -> None:
    said = (("No visit of ours", 5.0), ("No visit of ours", -4.5), ("Budget confirmed", 2.0), ("Old", -9.0))
    contributions = [
        {"feature": str(i), "family": "engagement", "value": 0, "log_odds": 0.1, "points": points, "sentence": sentence}
        for i, (sentence, points) in enumerate(said)
    ]
    site.decide("L-1", explanation={"baseline": 0.35, "contributions": contributions, "families": []})
    text = site.read("/").text
    assert "Budget confirmed" in text
    assert "No visit" not in text


def test_a_pending_lead_tells_what_it_waits_for(site: Any) -> None:
    site.decide("L-1", qualification="MQL", pending=True, next_actions=["Ask Acme to confirm the fit", "Nurture it"])
    text = site.read("/", "partner_manager").text
    assert "Waiting for" in text
    assert "Ask Acme to confirm the fit" in text


def test_names_are_text_whatever_they_hold(site: Any) -> None:
    site.store("accounts", "A-1", account_id="A-1", name=NASTY)
    site.store("partners", "P-1", partner_id="P-1", name=NASTY)
    site.store("leads", NASTY, lead_id=NASTY, account_id="A-1")
    site.decide(NASTY, "P-1", next_actions=[NASTY], explanation=None, close_probability=None)
    answer = site.get("/")
    page = site.read("/")
    assert NASTY not in answer.text
    assert page.text.count(NASTY) >= 4
    [address] = [href for href in page.attributes("a", "href") if href.startswith("/leads/")]
    assert NASTY in site.read(address).text


def test_without_a_model_leads_are_listed_and_the_page_says_why_there_is_no_probability(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", channel="demo_request")
    site.rescore("L-1")
    page = site.read("/")
    assert leads(page) == ["L-1"]
    assert "No model is promoted yet" in page.text
    assert "eql train , then eql promote" in page.text
    assert "not known" in page.text


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda site: None, "No leads yet"),
        (lambda site: site.store("leads", "L-1", lead_id="L-1"), "none is scored yet"),
        (lambda site: site.decide("L-1", qualification="DISQUALIFIED"), "No leads here now"),
    ],
)
def test_an_empty_list_says_what_to_do(site: Any, prepare: Any, said: str) -> None:
    prepare(site)
    page = site.read("/")
    assert said in page.text
    assert leads(page) == []


def test_an_empty_list_tells_a_partner_nothing_of_the_store(site: Any) -> None:
    site.decide("L-1", "P-2")
    text = site.read("/", "partner", "P-1").text
    assert "No leads from you yet" in text
    assert "eql train" not in text


@pytest.mark.both_databases
def test_records_are_read_as_of_a_moment(site: Any) -> None:
    now = site.service.clock()
    for name, at in (("Old", now - DAY), ("New", now), ("Unborn", now + SECOND)):
        site.store("accounts", "A-1", account_id="A-1", name=name, recorded_at=at)
    with reading(site.engine) as connection:
        for at, expected in ((now - 2 * DAY, None), (now - DAY, "Old"), (now, "New")):
            found = visible.visible(connection, KINDS["accounts"], ["A-1", "A-2"], at)
            assert [row["name"] for row in found.values()] == ([expected] if expected else [])


def test_a_list_says_its_order_who_acts_and_how_rules_and_probability_go_together(ranked: Any) -> None:
    text = ranked.read("/").text
    assert "EQLs come first, then SQLs and MQLs; of each, the likeliest to close comes first." in text
    assert "Sales works this list." in text
    assert "So a confirmed EQL stands above an SQL that is likelier to close." in text
    assert "There are no grades" in text
    pending = ranked.read("/?view=pending", "partner_manager").text
    assert "Partner managers work this list" in pending
