import re
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import update

from features.value_types import DAY
from serving.decisions.responses import DecisionAnswer
from serving.decisions.tables import current_score
from serving.records import closes
from tests.serving.pages.conftest import NOW

FAMILIES = ("integration_usage", "partner_referral", "icp", "lead")


def rule(name: str, gate: str, outcome: str, reason: str = "because") -> dict[str, Any]:
    return {"rule": name, "gate": gate, "outcome": outcome, "reason": reason, "evidence": {"seen": 7}}


def test_the_page_shows_the_stored_decision_and_computes_nothing_anew(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", channel="trade_show")
    decision = site.decide("L-1")
    page = site.read("/leads/L-1")
    closing = decision["close_probability"]
    shown = page.attributes("data", "value")
    for number in (
        closing["value"],
        decision["explanation"]["baseline"],
        decision["without_partner"]["close_probability"],
        decision["expected_value"]["minor"],
    ):
        assert str(number) in shown
    for text in (
        "EQL",
        "28.5% within 90 days",
        "Range 25.4–32.3%",
        "Grade A",
        "USD 17,380",
        "Hand it to sales now",
        "Referred by a partner (1) +17.3",
        "Partner referral +17.3",
        "Without partners 12.0%",
        "+16.5 points",
        "Association of the model, not a cause",
        "version 3, lightgbm",
        "22 Nov 2026, 09:30 UTC",
        "22 Nov 2026, 10:00 UTC , 2 h ago",
    ):
        assert text in page.text
    assert "/v1/decisions/D-L-1" in page.attributes("a", "href")
    assert page.attributes("time", "datetime") == [decision["as_of"], decision["created_at"]]


def test_the_decisions_of_these_tests_have_the_published_form(site: Any) -> None:
    DecisionAnswer.model_validate(site.decide("L-1"))


def test_sales_is_spared_log_odds(site: Any) -> None:
    site.decide("L-1")
    assert "1.12" not in site.get("/leads/L-1").text
    assert "odds" not in site.get("/leads/L-1").text.lower()


def test_five_reasons_a_side_are_told_and_all_others_are_added_up(site: Any) -> None:
    contributions = [
        {
            "feature": f"f{i}",
            "family": "icp",
            "value": i,
            "log_odds": 0.1,
            "points": sign * i,
            "sentence": f"{side} {i}.",
        }
        for i in range(1, 9)
        for side, sign in (("for", 2.0), ("against", -1.0))
    ]
    site.decide("L-1", explanation={"baseline": 0.1, "contributions": contributions, "families": []})
    text = site.read("/leads/L-1").text
    assert re.findall(r"for (\d)\.", text) == ["8", "7", "6", "5", "4"]
    assert re.findall(r"against (\d)\.", text) == ["8", "7", "6", "5", "4"]
    assert "All other reasons: +6.0 points" in text


def test_every_rule_stands_under_its_gate_with_a_symbol_a_word_and_its_reason(site: Any) -> None:
    rules = [
        rule("source_partner", "record", "pass"),
        rule("programme_tier", "record", "unknown", "no programme tier"),
        rule("icp_fit", "icp", "fail", "12 employees"),
        rule("new_rule", "new_gate", "pass", "of a later policy"),
    ]
    site.decide("L-1", qualification="MQL", rules=rules)
    text = site.read("/leads/L-1").text
    assert "Complete record ? unknown" in text
    assert "✓ passed Source partner Because" in text
    assert "? unknown Programme tier No programme tier" in text
    assert "Ideal customer profile ✕ failed 12 employees" in text
    assert "New gate ✓ passed Of a later policy" in text
    assert text.count("seen: 7") == len(rules)


def test_what_is_missing_is_told_once(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", channel="partner_referral", source_partner_id="P-1")
    site.store("leads", "L-2", lead_id="L-2", channel="partner_referral", source_partner_id="P-1")
    touched = rule("referral_date", "record", "pass", "days since the first partner touch given")
    ask = "Ask the partner to confirm its programme tier"
    asked = {"rules": [touched], "qualification": "MQL", "missing": [ask]}
    site.decide("L-1", **asked, pending=True, next_actions=[ask])
    site.decide("L-2", **asked, pending=False, next_actions=["Nurture it"])
    for lead_id in ("L-1", "L-2"):
        text = site.read(f"/leads/{lead_id}", "partner_manager").text
        assert "Not recorded of the lead: programme tier" in text
        assert "referral date" not in text.replace("Referral date", "")
        assert text.count(ask) == 1


def test_without_a_model_the_page_gives_the_reason_and_the_rules(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", channel="demo_request")
    site.rescore("L-1")
    text = site.read("/leads/L-1").text
    assert "Not known No model is promoted yet; run eql train , then eql promote ." in text
    assert "The rules" in text
    assert "Why this probability" not in text


def test_an_outcome_without_a_horizon_is_whether_it_is_ever_won(site: Any) -> None:
    closing = {"value": 0.5, "lower": 0.5, "upper": 0.5, "horizon_days": None, "rung": "base_rate"}
    explanation = {"baseline": 0.5, "contributions": [], "families": []}
    site.decide("L-1", close_probability=closing, explanation=explanation, expected_value=None)
    text = site.read("/leads/L-1").text
    assert "50.0% ever" in text
    assert "Range" not in text
    assert "every lead gets the average" in text


@pytest.mark.parametrize(
    "lead_id", ["a/b", "a b", "ü?x=1#y", "../etc/passwd", "%2e%2e", "L" * 200, "<b>", "&amp;", "'\"", "\u202eevil"]
)
def test_any_id_has_its_page(site: Any, lead_id: str) -> None:
    site.decide(lead_id)
    [address] = [href for href in site.read("/").attributes("a", "href") if href.startswith("/leads/")]
    assert address == f"/leads/{quote(lead_id, safe='')}"
    assert " ".join(lead_id.split()) in site.read(address).text


def test_a_lead_is_called_as_it_was_when_the_decision_was_made(site: Any) -> None:
    site.store("accounts", "A-1", account_id="A-1", name="Acme then")
    site.store("accounts", "A-1", account_id="A-1", name="Acme now", recorded_at=site.service.clock())
    site.store("leads", "L-1", lead_id="L-1", account_id="A-1")
    site.decide("L-1")
    assert "Acme then" in site.read("/leads/L-1").text
    assert "Acme now" in site.read("/").text


def test_the_newest_decision_is_the_one_shown(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", channel="demo_request")
    site.decide("L-1", created_at="2026-11-20T10:00:00Z", next_actions=["Outdated"])
    site.rescore("L-1")
    assert "Outdated" not in site.read("/leads/L-1").text


@pytest.mark.parametrize("path", ["/", "/leads/L-1", "/leads/unknown", "/?view=unknown"])
def test_pages_need_nothing_their_policy_forbids_and_can_be_read_aloud(site: Any, reader: Any, path: str) -> None:
    site.store("leads", "L-1", lead_id="L-1", created_at=site.service.clock() - DAY)
    site.decide("L-1")
    page = reader(site.get(path).text)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert "style" not in tags
    assert not [name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")]
    assert not [href for href in page.attributes("link", "href") if not href.startswith(("/static/", "data:"))]
    assert (tags.count("h1"), tags.count("main"), page.attributes("html", "lang")) == (1, 1, ["en-GB"])
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    assert tags.count("table") == tags.count("thead")
    assert all(attrs.get("aria-hidden") == "true" for tag, attrs in page.tags if tag == "svg")


def won(site: Any, lead_id: str = "L-1") -> None:
    """Closes a lead, as the events of a CRM do."""
    event = {"event": "won", "occurred_at": NOW - DAY, "amount": {"minor": 9_000_000, "currency": "EUR"}}
    site.store("lead_events", f"E-{lead_id}", lead_id, **event)
    with site.engine.begin() as connection:
        closes.refresh(connection, [lead_id], NOW)


def test_the_page_of_a_won_lead_says_when_and_for_how_much_and_gives_nothing_to_do(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", source_partner_id="P-1")
    site.decide("L-1", "P-1")
    won(site)
    text = site.read("/leads/L-1").text
    assert "Won on 21 Nov 2026, 12:00 UTC for EUR 90,000" in text
    assert "What to do next" not in text
    assert "Hand it to sales now" not in text
    assert "Why this probability" in text
    assert all("L-1" not in site.read(f"/?view={view}", "admin").text for view in ("passed", "eql", "pending", "aside"))


def test_a_partner_learns_that_its_lead_is_won_and_not_for_how_much(site: Any) -> None:
    site.store("leads", "L-1", lead_id="L-1", source_partner_id="P-1")
    site.decide("L-1", "P-1")
    won(site)
    text = site.read("/leads/L-1", "partner", "P-1").text
    assert "Won on 21 Nov 2026, 12:00 UTC" in text
    assert "90,000" not in text


def test_a_lead_that_was_never_scored_has_a_page_that_says_whether_it_is_closed(site: Any) -> None:
    for lead_id in ("L-1", "L-2"):
        site.store("leads", lead_id, lead_id=lead_id, source_partner_id="P-1")
    won(site)
    assert "Won on 21 Nov 2026, 12:00 UTC for EUR 90,000" in site.read("/leads/L-1").text
    assert "waits to be scored" in site.read("/leads/L-2").text
    assert site.get("/leads/L-3").status_code == 404
    assert site.get("/leads/L-1", "partner", "P-1").status_code == 404


def test_a_decision_on_another_lead_is_shown_on_no_page(site: Any) -> None:
    for lead_id in ("L-1", "L-2"):
        site.store("leads", lead_id, lead_id=lead_id)
        site.decide(lead_id)
    with site.engine.begin() as connection:
        forged = update(current_score).where(current_score.c.lead_id == "L-1").values(decision_id="D-L-2")
        connection.execute(forged)
    answer = site.get("/leads/L-1")
    assert answer.status_code == 500
    assert "The store was altered" in answer.text
    assert site.get("/leads/L-2").status_code == 200
    assert "Its current score was altered in the store" in site.read("/").text
