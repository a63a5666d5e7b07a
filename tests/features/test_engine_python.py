"""The direct engine: what is visible as of a moment, and what each expression makes of it."""

from collections.abc import Mapping
from typing import Any

import pytest

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import (
    Aggregate,
    Condition,
    DaysSince,
    Difference,
    Entry,
    Expression,
    Quotient,
    Reading,
    mentions,
    one_of,
)
from features.engines.python import Evaluation, evaluate
from features.records import KINDS
from features.value_types import DAY, MAX_INTEGER, Scalar
from features.versions import current_versions

NOW = 20_000 * DAY
Row = dict[str, Any]


def row(kind: str, **columns: Scalar) -> Row:
    """A flat row; what it does not name is missing, and it was recorded when it happened, a day ago by default."""
    known = KINDS[kind]
    empty: Row = {column.name: None for column in known.columns}
    times = {"occurred_at": NOW - DAY, "deleted": False, known.id: f"{kind}-1"}
    if known.parent:
        times[known.parent] = {"lead_id": "L", "account_id": "A"}[known.parent]
    found = empty | times | columns
    found["recorded_at"] = columns.get("recorded_at", found["occurred_at"])
    return found


LEAD = row("leads", lead_id="L", account_id="A", source_partner_id="P", created_at=NOW - 2 * DAY)


def touches(*days: float, **columns: Scalar) -> list[Row]:
    """Touchpoints so many days ago."""
    return [
        row("touchpoints", touchpoint_id=f"T{n}", occurred_at=NOW - int(day * DAY), channel="webinar", **columns)
        for n, day in enumerate(days)
    ]


def evaluated(facts: Mapping[str, list[Row]], as_of: int = NOW) -> Evaluation:
    return evaluate(CATALOGUE, {"leads": [LEAD], **facts}, as_of)


def value(expression: Expression, facts: Mapping[str, list[Row]], missing: Any = "unknown") -> Scalar:
    words = {"unit": "units", "description": "It.", "sentence": "{value}", "absent": "none"}
    entry = Entry("lead", "x", expression, missing=missing, **words)
    return evaluate(Catalogue((entry,)), {"leads": [LEAD], **facts}, NOW).features["x"]


def test_a_lead_of_which_nothing_is_known_has_every_feature() -> None:
    found = evaluate(CATALOGUE, {}, NOW)
    assert tuple(found.features) == CATALOGUE.names
    for entry in CATALOGUE:
        expected = 10 if entry.name == "month" else 0 if entry.missing == "none" else None
        assert found.features[entry.name] == expected, entry.name
    assert (found.lead, found.account, found.partner) == ({}, {}, {})


def test_the_latest_version_by_then_speaks() -> None:
    versions = [
        row("accounts", account_id="A", employees=10, recorded_at=NOW - 9 * DAY),
        row("accounts", account_id="A", employees=20, recorded_at=NOW - 3 * DAY),
        row("accounts", account_id="A", employees=30, recorded_at=NOW + 1),
        row("accounts", account_id="B", employees=99, recorded_at=NOW - 1),
    ]
    for accounts in (versions, versions[::-1]):
        assert evaluated({"accounts": accounts}).features["employees"] == 20
        assert evaluated({"accounts": accounts}, NOW - 5 * DAY).features["employees"] is None
    assert evaluated({"accounts": versions}, NOW + 1).features["employees"] == 30


def test_of_versions_recorded_at_once_the_last_to_come_in_speaks() -> None:
    at_once = [row("accounts", account_id="A", employees=n) for n in (1, 2, 3)]
    assert evaluated({"accounts": at_once}).features["employees"] == 3


def test_a_version_without_a_time_was_always_known_and_gives_way_to_any_other() -> None:
    undated = row("accounts", account_id="A", employees=1, occurred_at=None)
    dated = row("accounts", account_id="A", employees=2)
    assert evaluated({"accounts": [undated]}).features["employees"] == 1
    for accounts in ([undated, dated], [dated, undated]):
        assert evaluated({"accounts": accounts}).features["employees"] == 2


def test_a_tombstone_hides_a_record_from_then_on() -> None:
    gone = [*touches(5), *touches(5, deleted=True, recorded_at=NOW - 2 * DAY)]
    assert evaluated({"touchpoints": gone}).features["own_touches"] == 0
    assert evaluated({"touchpoints": gone}, NOW - 3 * DAY + 1).features["own_touches"] == 0
    lead_then = LEAD | {"recorded_at": NOW - 9 * DAY}
    then = evaluate(CATALOGUE, {"leads": [lead_then], "touchpoints": gone}, NOW - 3 * DAY)
    assert then.features["own_touches"] == 1


def test_rows_without_an_id_stand_for_themselves() -> None:
    bare = [{"recorded_at": NOW, "occurred_at": NOW, "lead_id": "L"} for _ in range(3)]
    assert len(current_versions(bare, KINDS["touchpoints"], NOW)) == 3


def test_facts_of_others_and_facts_to_come_are_not_the_leads() -> None:
    other = touches(1, lead_id="M")
    ahead = [row("touchpoints", occurred_at=NOW + 1, recorded_at=NOW - DAY, channel="email")]
    assert evaluated({"touchpoints": other}).features["own_touches"] == 0
    assert evaluated({"touchpoints": ahead}).features["own_touches"] == 0
    usage = [row("integration_usage", day=NOW - 3 * DAY, integration="slack", account_id="B")]
    assert evaluated({"integration_usage": usage}).features["integrations_used_90d"] == 0


def test_a_fact_learned_late_counts_from_then_on() -> None:
    late = touches(20, recorded_at=NOW - DAY)
    assert evaluated({"touchpoints": late}).features["own_touches"] == 1
    assert evaluated({"touchpoints": late}, NOW - DAY - 1).features["own_touches"] == 0


@pytest.mark.parametrize(("days", "inside"), [(0, True), (29.999, True), (30, False), (31, False)])
def test_a_window_ends_at_the_moment_and_leaves_out_its_start(days: float, inside: bool) -> None:
    aggregate = Aggregate("count", "touchpoints", days=30)
    assert value(aggregate, {"touchpoints": touches(days)}) == int(inside)


def test_the_window_before_begins_where_the_last_ends() -> None:
    before = Aggregate("count", "touchpoints", days=30, skip=30)
    assert value(before, {"touchpoints": touches(0, 29.9, 30, 45, 59.9, 60)}) == 3


def test_aggregates_of_what_is_there() -> None:
    usage = [
        row("integration_usage", usage_id=f"U{n}", day=NOW - day * DAY, occurred_at=NOW - day * DAY, calls=calls)
        for n, (day, calls) in enumerate([(1, 5), (1, 7), (2, None), (9, 3)])
    ]
    facts = {"integration_usage": usage}
    found = {
        how: value(Aggregate(how, "integration_usage", column), facts)
        for how, column in (("count", None), ("distinct", "day"), ("sum", "calls"), ("max", "calls"))
    }
    assert found == {"count": 4, "distinct": 3, "sum": 15, "max": 7}
    assert value(Aggregate("days_since_first", "integration_usage"), facts) == 9.0
    assert value(Aggregate("days_since_last", "integration_usage"), facts) == 1.0


@pytest.mark.parametrize(("days", "kind"), [(1, int), (30, float)])
def test_a_sum_is_an_integer_as_far_as_every_reader_of_json_knows_them(days: int, kind: type) -> None:
    used = [row("integration_usage", usage_id=f"U{n}", calls=MAX_INTEGER) for n in range(days)]
    found = value(Aggregate("sum", "integration_usage", "calls"), {"integration_usage": used})
    assert type(found) is kind
    assert found == days * MAX_INTEGER


def test_aggregates_of_nothing() -> None:
    for how, column, expected in (
        ("count", None, 0),
        ("distinct", "day", 0),
        ("sum", "calls", 0),
        ("max", "calls", None),
        ("days_since_last", None, None),
    ):
        aggregate = Aggregate(how, "integration_usage", column)
        assert value(aggregate, {}) == expected
        assert value(aggregate, {}, missing="none") == 0


def test_conditions_of_a_fact_and_of_the_partner_it_names() -> None:
    partners = [row("partners", partner_id=p, certified=c) for p, c in (("P", True), ("Q", False), ("R", None))]
    referrals = [row("referrals", referral_id=p, partner_id=p) for p in ("P", "Q", "R", "S")]
    certified = Aggregate("count", "referrals", where=(one_of("partner.certified", True),))
    assert value(certified, {"partners": partners, "referrals": referrals}) == 1
    unsure = Aggregate("count", "referrals", where=(Condition("partner.certified", "absent"),))
    assert value(unsure, {"partners": partners, "referrals": referrals}) == 2
    confirmed = [row("confirmations", confirmation_id=s, subjects=s) for s in ("|fit|", "|intent|fit|", "|intent|")]
    fit = Aggregate("count", "confirmations", where=(mentions("subjects", "fit"),))
    assert value(fit, {"confirmations": confirmed}) == 2
    given = Aggregate("count", "touchpoints", where=(Condition("partner_id", "given"),))
    assert value(given, {"touchpoints": touches(1, 2, partner_id="P")}) == 2
    assert value(given, {"touchpoints": touches(1, 2)}) == 0


def test_a_partner_is_taken_as_it_was() -> None:
    partners = [
        row("partners", partner_id="P", certified=True, recorded_at=NOW - 9 * DAY),
        row("partners", partner_id="P", certified=False, recorded_at=NOW - DAY),
    ]
    facts = {"leads": [LEAD | {"recorded_at": 0}], "partners": partners}
    facts["referrals"] = [row("referrals", partner_id="P", occurred_at=NOW - 5 * DAY)]
    assert evaluate(CATALOGUE, facts, NOW - 4 * DAY).features["certified_referrals"] == 1
    assert evaluate(CATALOGUE, facts, NOW).features["certified_referrals"] == 0


def test_readings_and_arithmetic() -> None:
    account = row(
        "accounts", account_id="A", annual_revenue_minor=12_345, annual_revenue_currency="USD", competitor=True
    )
    facts = {"accounts": [account]}
    in_dollars = Reading("account", "annual_revenue_minor", where=(one_of("annual_revenue_currency", "USD"),))
    assert value(Quotient(in_dollars, 100), facts) == 123.45
    in_euros = Reading("account", "annual_revenue_minor", where=(one_of("annual_revenue_currency", "EUR"),))
    assert value(Quotient(in_euros, 100), facts) is None
    assert value(Reading("account", "competitor"), facts) == 1
    assert type(value(Reading("account", "competitor"), facts)) is int
    two, none = Aggregate("count", "touchpoints"), Aggregate("max", "integration_usage", "calls")
    assert value(Difference(two, two), {"touchpoints": touches(1, 2)}) == 0
    assert value(Difference(two, none), {"touchpoints": touches(1, 2)}) is None


def test_days_since_a_moment_ahead_are_unknown() -> None:
    age = DaysSince(Reading("lead", "created_at"))
    assert value(age, {}) == 2.0
    assert value(age, {"leads": [LEAD | {"created_at": NOW + 1}]}) is None


def history(key: str, ago: int, **counts: Scalar) -> Row:
    """A row of a derived record: of a partner, or of a tier."""
    kind = "partner_id" if key in ("P", "Q") else "tier"
    at = NOW - ago * DAY
    return {"occurred_at": at, "recorded_at": at, "deleted": False, kind: key, "days_to_close": None} | counts


EVERYONE = history("*", 1, leads=100, wins=20, partner_strength=20.0, tier_strength=50.0)
GOLD = history("gold", 1, leads=50, wins=20)
ALL, TIER = 20 / 100, (20 + 50 * 0.2) / (50 + 50)


@pytest.mark.parametrize(
    ("partners", "tiers", "expected"),
    [
        ([history("P", 1, leads=10, wins=5)], [EVERYONE, GOLD], (5 + 20 * TIER) / 30),
        ([], [EVERYONE, GOLD], TIER),
        ([history("P", 1, leads=10, wins=5)], [EVERYONE], (5 + 20 * ALL) / 30),
        ([], [EVERYONE], ALL),
        ([], [], None),
        ([], [history("*", 1, leads=0, wins=0, partner_strength=20.0, tier_strength=50.0)], None),
        ([], [EVERYONE | {"recorded_at": NOW + 1}, GOLD], None),
    ],
)
def test_a_partners_rate_is_shrunk_to_its_tiers_and_that_to_everyones(
    partners: list[Row], tiers: list[Row], expected: float | None
) -> None:
    known = {"partners": [row("partners", partner_id="P", tier="gold")]}
    found = evaluated({**known, "partner_history": partners, "tier_history": tiers}).features["partner_win_rate"]
    assert found == (None if expected is None else pytest.approx(expected))


def test_history_is_that_of_the_source_partner_as_of_the_moment() -> None:
    told = (("P", 9, 1), ("P", 3, 2), ("P", -1, 3), ("Q", 1, 50))
    rows = [history(partner, ago, leads=leads, wins=0) for partner, ago, leads in told]
    assert evaluated({"partner_history": rows}).features["partner_matured_leads"] == 2
    alone = {"partner_history": rows, "tier_history": [EVERYONE], "leads": [LEAD | {"source_partner_id": None}]}
    assert evaluated(alone).features["partner_matured_leads"] == 0
    assert evaluated(alone).features["partner_win_rate"] is None


def test_shared_customers_fade_with_the_age_of_what_says_so() -> None:
    def shared(partner: str, confidence: float | None, years: int) -> Row:
        at = NOW - years * 365 * DAY
        return row(
            "shared_customers",
            shared_customer_id=partner,
            partner_id=partner,
            relationship="customer",
            confidence=confidence,
            recorded_at=at,
        )

    facts = {"shared_customers": [shared("P", 0.8, 1), shared("Q", None, 0), shared("R", 0.0, 0)]}
    found = evaluated(facts).features
    assert found["shared_customers_weighted"] == pytest.approx(0.4 + 1)
    assert found["partners_with_customer"] == 2
    assert found["source_partner_overlaps"] == 1


def test_technologies_and_free_mail_are_matched_whatever_their_case() -> None:
    account = row("accounts", account_id="A", technologies="|Salesforce|homemade|SLACK|")
    found = evaluated({"accounts": [account], "leads": [LEAD | {"email_domain": "gmail.com"}]}).features
    assert (found["technology_matches"], found["free_mail"]) == (2, 1)
    unknown = evaluated({"accounts": [row("accounts", account_id="A")]}).features
    assert (unknown["technology_matches"], unknown["free_mail"]) == (None, None)


def test_entities_are_handed_on_for_the_rules() -> None:
    found = evaluated(
        {"accounts": [row("accounts", account_id="A", country="DE")], "partners": [row("partners", partner_id="P")]}
    )
    assert found.lead["source_partner_id"] == "P"
    assert found.account["country"] == "DE"
    assert found.partner["partner_id"] == "P"


def test_an_expression_it_does_not_know_is_refused() -> None:
    from features.engines.python import evaluator

    with pytest.raises(NotImplementedError, match="no evaluation of"):
        evaluator("employees")
