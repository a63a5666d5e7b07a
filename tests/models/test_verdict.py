"""Qualification: the golden cases and their variants, and I5: unknown never passes a qualifying gate."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.engines.python import Evaluation, evaluate
from models import policy
from models.verdict import RuleOutcome, Verdict, apply_policy, kleene_and
from serving.scoring.requests import ScoreRequest

FILE = Path(policy.__file__).with_name("default_policy.yaml")
DEFAULT = policy.load(FILE, CATALOGUE)
BOTH = ["fit", "intent"]
Body = dict[str, Any]


def confirmation(side: str, *subjects: str) -> Body:
    partner = {"partner_id": "P-1"} if side == "partner" else {}
    return {"side": side, "subjects": list(subjects), "occurred_at": "2026-10-21T09:00:00Z", **partner}


def usage(days: int, first: int = 3, month: int = 10) -> list[Body]:
    """A day of use on each of so many days."""
    return [{"integration": "slack", "day": f"2026-{month:02}-{first + n:02}", "calls": 5} for n in range(days)]


def touch(**columns: str) -> Body:
    return {"occurred_at": "2026-10-10T10:00:00Z", "channel": "webinar", **columns}


def first_party(channel: str, *signals: str) -> Body:
    """A lead of our own with an account that fits."""
    return {
        "as_of": "2026-11-01T00:00:00Z",
        "lead": {
            "lead_id": "L-1",
            "email": "cto@acme.example",
            "created_at": "2026-10-20T09:00:00Z",
            "channel": channel,
            "region": "EMEA",
        },
        "account": {
            "account_id": "A-1",
            "domain": "acme.example",
            "employees": 400,
            "industry": "software",
            "country": "DE",
        },
        "buying_signals": [{"kind": kind, "occurred_at": "2026-10-25T10:00:00Z"} for kind in signals],
    }


def partner_lead(channel: str) -> Body:
    """A complete, confirmed lead from a partner, with a buying signal but no ecosystem signal."""
    body = first_party(channel, "budget_confirmed")
    body["lead"] |= {"source_partner_id": "P-1", "programme_tier": "gold", "referral_date": "2026-10-20"}
    body["partners"] = [{"partner_id": "P-1", "name": "Integrators", "tier": "gold", "certified": True}]
    body["confirmations"] = [confirmation("partner", *BOTH), confirmation("vendor", *BOTH)]
    return body


def referral() -> Body:
    """A referral by a certified implementation partner, complete and confirmed."""
    body = partner_lead("partner_referral")
    return body | {"referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}]}


def integration() -> Body:
    """Active use of an integration, complete and confirmed."""
    return partner_lead("integration_marketplace") | {"integration_usage": usage(20)}


def look_alike() -> Body:
    """An account that overlaps with three partners but neither uses an integration nor was referred."""
    shared = [{"partner_id": f"P-{n}", "relationship": "customer", "confidence": 0.95} for n in (1, 2, 3)]
    return partner_lead("co_created_content") | {"shared_customers": shared}


def verdict(body: Body, probability: float | None = None, rules: policy.Policy = DEFAULT) -> Verdict:
    request = ScoreRequest.model_validate_json(json.dumps(body))
    assert request.as_of is not None
    return apply_policy(rules, evaluate(CATALOGUE, request.facts(), request.as_of), probability)


def varied(**changes: Any) -> policy.Policy:
    """The default policy with some of it changed."""
    return policy.Policy.model_validate(yaml.safe_load(FILE.read_text()) | changes)


def outcome(found: Verdict, rule: str) -> RuleOutcome:
    return next(each for each in found.rules if each.rule == rule)


@pytest.mark.parametrize("probability", [None, 0.0, 0.05, 0.9])
@pytest.mark.parametrize("body", [referral, integration], ids=["certified referral", "active integration"])
def test_complete_and_confirmed_with_an_ecosystem_signal_is_an_eql_at_any_probability(
    body: Callable[[], Body], probability: float | None
) -> None:
    found = verdict(body(), probability)
    assert (found.qualification, found.pending, found.missing) == ("EQL", False, ())


@pytest.mark.parametrize(("probability", "expected"), [(None, "MQL"), (0.19, "MQL"), (0.2, "SQL"), (0.9, "SQL")])
@pytest.mark.parametrize(
    "body", [first_party("demo_request", "demo_request"), look_alike()], ids=["demo request", "look-alike"]
)
def test_without_the_gates_of_an_eql_the_probability_tells_mql_from_sql(
    body: Body, probability: float | None, expected: str
) -> None:
    found = verdict(body, probability)
    assert found.qualification == expected
    assert not found.pending


@pytest.mark.parametrize("probability", [None, 0.05, 0.9])
def test_a_list_from_a_trade_show_is_unqualified(probability: float | None) -> None:
    body = first_party("trade_show")
    assert verdict(body, probability).qualification == "UNQUALIFIED"
    body["touchpoints"] = [touch(channel="trade_show")]
    assert verdict(body, probability).qualification == "UNQUALIFIED"


def test_first_party_engagement_makes_an_mql_and_partner_content_does_not() -> None:
    body = first_party("trade_show")
    assert verdict(body | {"touchpoints": [touch()]}, 0.9).qualification == "MQL"
    assert verdict(body | {"touchpoints": [touch(partner_id="P-1")]}, 0.9).qualification == "UNQUALIFIED"
    assert verdict(first_party("demo_request"), 0.9).qualification == "MQL"


@pytest.mark.parametrize("account", [{"employees": 49}, {"employees": 5001}, {"industry": "mining"}, {"country": "AQ"}])
def test_an_sql_needs_an_account_that_fits(account: Body) -> None:
    body = first_party("demo_request", "demo_request")
    body["account"] |= account
    expected = "DISQUALIFIED" if account == {"country": "AQ"} else "MQL"
    assert verdict(body, 0.9).qualification == expected


@pytest.mark.parametrize("employees", [50, 5000])
@pytest.mark.parametrize("industry", ["e-commerce", "E commerce", "ecommerce", "Professional_Services"])
def test_the_bounds_of_the_icp_belong_to_it_and_text_is_compared_by_its_letters(employees: int, industry: str) -> None:
    body = referral()
    body["account"] |= {"employees": employees, "industry": industry}
    assert verdict(body).qualification == "EQL"


@pytest.mark.parametrize(("days", "expected"), [(9, "MQL"), (10, "EQL")])
def test_active_use_is_ten_days_of_the_last_thirty(days: int, expected: str) -> None:
    found = verdict(partner_lead("integration_marketplace") | {"integration_usage": usage(days)})
    assert found.qualification == expected
    assert not found.pending
    assert outcome(found, "ecosystem_signal").evidence["integration_active_days_30d"] == days


def test_days_of_use_count_once_and_only_within_the_window() -> None:
    lead = partner_lead("integration_marketplace")
    assert verdict(lead | {"integration_usage": usage(9) * 2}).qualification == "MQL"
    assert verdict(lead | {"integration_usage": [*usage(9), *usage(20, month=9)]}).qualification == "MQL"


def test_facts_after_the_moment_count_for_nothing() -> None:
    body = referral()
    body["referrals"][0]["occurred_at"] = "2026-11-01T00:00:01Z"
    assert verdict(body).qualification == "MQL"
    body = referral()
    body["confirmations"][1]["recorded_at"] = "2026-11-02T00:00:00Z"
    assert verdict(body).pending


def _without(*path: Any) -> Callable[[Body], None]:
    def edit(body: Body) -> None:
        inside = body
        for key in path[:-1]:
            inside = inside[key]
        del inside[path[-1]]

    return edit


def _confirmed(*confirmations: Body) -> Callable[[Body], None]:
    def edit(body: Body) -> None:
        body["confirmations"] = list(confirmations)

    return edit


UNKNOWN: Mapping[str, tuple[Callable[[Body], None], str, str]] = {
    "no programme tier": (_without("lead", "programme_tier"), "programme_tier", "programme tier"),
    "no referral date": (_without("lead", "referral_date"), "referral_date", "date of the referral"),
    "no source partner": (_without("lead", "source_partner_id"), "source_partner", "which partner"),
    "no employees": (_without("account", "employees"), "icp_fit", "size, industry and country"),
    "no industry": (_without("account", "industry"), "icp_fit", "size, industry and country"),
    "no country": (_without("account", "country"), "icp_fit", "size, industry and country"),
    "no account": (_without("account"), "icp_fit", "size, industry and country"),
    "unconfirmed by the partner": (_confirmed(confirmation("vendor", *BOTH)), "confirmed_by_partner", "the partner"),
    "unconfirmed by us": (_confirmed(confirmation("partner", *BOTH)), "confirmed_by_vendor", "our own side"),
    "intent unconfirmed by the partner": (
        _confirmed(confirmation("vendor", *BOTH), confirmation("partner", "fit")),
        "confirmed_by_partner",
        "the partner",
    ),
}


@pytest.mark.parametrize("body", [referral, integration], ids=["certified referral", "active integration"])
@pytest.mark.parametrize(("edit", "rule", "ask"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_an_eql_lacks_is_pending_and_asked_for(
    body: Callable[[], Body], edit: Callable[[Body], None], rule: str, ask: str
) -> None:
    lead = body()
    edit(lead)
    found = verdict(lead)
    assert found.qualification == "MQL"
    assert found.pending
    assert outcome(found, rule).outcome == "unknown"
    assert len(found.missing) == 1
    assert ask in found.missing[0]
    # Sales may still see it for its probability; for the partner manager it stays pending.
    likely = verdict(lead, 0.9)
    assert likely.pending
    assert likely.qualification == ("MQL" if rule == "icp_fit" else "SQL")


def test_confirmations_may_come_one_subject_at_a_time() -> None:
    body = referral()
    body["confirmations"] = [confirmation(side, subject) for side in ("partner", "vendor") for subject in BOTH]
    assert verdict(body).qualification == "EQL"


def test_nothing_is_pending_once_a_gate_has_failed() -> None:
    for failing in ({"referrals": []}, {"buying_signals": []}):
        body = referral() | failing | {"confirmations": []}
        assert not verdict(body).pending
    body = referral() | {"confirmations": []}
    body["account"]["employees"] = 3
    assert not verdict(body).pending


def test_only_a_partner_lead_can_be_pending() -> None:
    body = first_party("demo_request", "demo_request")
    del body["account"]["employees"]
    assert not verdict(body).pending


@pytest.mark.parametrize("channel", ["webinar", "case_study", "backlink"])
def test_our_own_content_makes_no_partner_lead_until_a_partner_is_involved(channel: str) -> None:
    body = first_party(channel)
    assert not is_partner(body)
    for facts in (
        {"referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}]},
        {"touchpoints": [touch(partner_id="P-1")]},
        {"lead": {**body["lead"], "source_partner_id": "P-1"}},
    ):
        assert is_partner({**body, **facts})
    assert not is_partner({**body, "touchpoints": [touch()]})


@pytest.mark.parametrize("channel", ["partner_referral", "integration_marketplace", "co_created_content"])
def test_a_channel_that_only_partners_have_makes_a_partner_lead(channel: str) -> None:
    assert is_partner(first_party(channel))


def test_a_named_source_partner_makes_a_partner_lead_of_any_channel() -> None:
    body = first_party("direct")
    assert not is_partner(body)
    body["lead"]["source_partner_id"] = "P-1"
    assert is_partner(body)


def is_partner(body: Body) -> bool:
    [rule] = (rule for rule in verdict(body).rules if rule.rule == "source_partner")
    return bool(rule.evidence["partner_lead"])


def test_a_lead_without_a_referral_is_complete_by_its_first_partner_touch() -> None:
    body = integration()
    del body["lead"]["referral_date"]
    assert verdict(body).pending
    assert verdict(body | {"touchpoints": [touch()]}).pending
    assert verdict(body | {"touchpoints": [touch(partner_id="P-3")]}).qualification == "EQL"


def test_a_referral_needs_its_own_date_whatever_was_touched_before() -> None:
    body = referral() | {"touchpoints": [touch(partner_id="P-3")]}
    del body["lead"]["referral_date"]
    found = verdict(body)
    assert found.pending
    assert outcome(found, "referral_date").outcome == "unknown"


DISQUALIFIED: Mapping[str, tuple[str, str, Any, str]] = {
    "competitor": ("account", "competitor", True, "competitor"),
    "free-mail address": ("lead", "email", "cto@Gmail.com", "free_mail"),
    "free-mail domain": ("account", "domain", "gmail.com", "free_mail"),
    "region": ("lead", "region", "ANTARCTICA", "region_not_served"),
    "country": ("account", "country", "AQ", "region_not_served"),
    "duplicate": ("lead", "duplicate_of", "L-0", "known_duplicate"),
    "opted out": ("lead", "opted_out", True, "opted_out"),
}


@pytest.mark.parametrize("probability", [None, 0.9])
@pytest.mark.parametrize(("entity", "field", "value", "rule"), DISQUALIFIED.values(), ids=DISQUALIFIED)
def test_any_disqualifier_goes_before_everything_else(
    entity: str, field: str, value: Any, rule: str, probability: float | None
) -> None:
    for body in (referral(), referral() | {"confirmations": []}, first_party("demo_request", "demo_request")):
        body[entity][field] = value
        found = verdict(body, probability)
        assert (found.qualification, found.pending, found.missing) == ("DISQUALIFIED", False, ())
        assert outcome(found, rule).outcome == "fail"


@pytest.mark.parametrize(("entity", "field"), sorted({(entity, field) for entity, field, *_ in DISQUALIFIED.values()}))
def test_a_disqualifier_needs_evidence(entity: str, field: str) -> None:
    body = referral()
    body[entity].pop(field, None)
    found = verdict(body)
    assert found.qualification != "DISQUALIFIED"
    assert {each.outcome for each in found.rules if each.gate == "disqualifier"} == {"pass"}


def test_saying_no_to_a_disqualifier_is_no_evidence_for_it() -> None:
    body = referral()
    body["lead"]["opted_out"] = body["account"]["competitor"] = False
    assert verdict(body).qualification == "EQL"


def test_lists_of_the_policy_disqualify_competitors_and_ourselves() -> None:
    for name, rule in (("competitor_domains", "competitor"), ("own_domains", "own_domain")):
        strict = varied(lists={**DEFAULT.lists, name: ["ACME.example"]})
        found = verdict(referral(), rules=strict)
        assert found.qualification == "DISQUALIFIED"
        assert outcome(found, rule).outcome == "fail"


@pytest.mark.parametrize(
    ("probability", "qualification", "pending", "expected"),
    [(0.3, "EQL", False, "pass"), (0.29, "SQL", False, "fail"), (None, "MQL", True, "unknown")],
)
def test_a_least_probability_is_one_more_gate_of_an_eql(
    probability: float | None, qualification: str, pending: bool, expected: str
) -> None:
    strict = varied(minimum_probability=0.3)
    found = verdict(referral(), probability, strict)
    assert (found.qualification, found.pending) == (qualification, pending)
    assert outcome(found, "minimum_probability").outcome == expected
    assert outcome(found, "minimum_probability").gate == "close_probability"


def test_reasons_say_what_was_found_and_what_was_wanted() -> None:
    found = verdict(referral())
    assert outcome(found, "icp_fit").reason == "400 employees, within 50 to 5,000; industry software; country DE"
    assert outcome(found, "icp_fit").evidence == {"employees": 400, "industry": "software", "country": "DE"}
    assert outcome(found, "referral_date").evidence["referral_date"] == "2026-10-20"
    body = referral()
    body["account"] |= {"employees": 12_000}
    assert outcome(verdict(body), "icp_fit").reason == "12,000 employees, outside 50 to 5,000"
    del body["account"]["employees"]
    assert outcome(verdict(body), "icp_fit").reason.startswith("employees unknown")


def test_a_flag_that_nobody_set_is_called_unknown_and_not_false() -> None:
    require = {"field": "partner.certified", "equals": True}
    rules = varied(rules=[{"id": "certified", "gate": "icp", "description": "By a certified one", "require": require}])
    body = referral()
    reasons = []
    for certified in (True, False, None):
        body["partners"][0]["certified"] = certified
        reasons.append(verdict(body, rules=rules).rules[0].reason)
    assert reasons == ["certified", "not certified", "certified unknown"]


blanks = st.sets(
    st.sampled_from(
        [
            ("lead", "source_partner_id"),
            ("lead", "programme_tier"),
            ("lead", "referral_date"),
            ("account", "employees"),
            ("account", "industry"),
            ("account", "country"),
            ("confirmations", 0),
            ("confirmations", 1),
            ("buying_signals", 0),
            ("referrals", 0),
        ]
    ),
    min_size=1,
)


@given(blanks, st.none() | st.floats(0, 1))
def test_forgetting_anything_a_gate_rests_on_never_leaves_an_eql(
    forgotten: set[tuple[str, str | int]], probability: float | None
) -> None:
    body = copy.deepcopy(referral())
    for place, key in sorted(forgotten, key=str, reverse=True):
        del body[place][key]
    found = verdict(body, probability)
    assert found.qualification != "EQL"
    failed = forgotten & {("referrals", 0), ("buying_signals", 0)}
    assert found.pending == (not failed)
    assert found.missing or failed


# I5 for any rule: Kleene's logic is sound, so what is decided with something unknown stays so once it is known.

FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "account.employees": st.integers(0, 3),
    "account.industry": st.sampled_from(["a", "b"]),
    "lead.opted_out": st.booleans(),
    "partner.tier": st.sampled_from(["gold", "tin"]),
}
TESTS = st.one_of(
    st.builds(policy.Test, field=st.just("account.employees"), at_least=st.integers(0, 3)),
    st.builds(policy.Test, field=st.just("account.employees"), at_most=st.integers(0, 3)),
    st.builds(policy.Test, field=st.just("account.employees"), one_of=st.just((0, 2))),
    st.builds(policy.Test, field=st.just("account.industry"), equals=st.sampled_from(["A", "b"])),
    st.builds(policy.Test, field=st.just("lead.opted_out"), equals=st.booleans()),
    st.builds(policy.Test, field=st.just("partner.tier"), in_list=st.just("tiers")),
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(lambda all_: policy.AllOf(all=all_), parts),
        st.builds(lambda any_: policy.AnyOf(any=any_), parts),
        st.builds(lambda part: policy.Not(condition=part), inner),
    )


conditions = st.recursive(TESTS, _combined, max_leaves=6)
worlds = st.fixed_dictionaries(dict(FIELDS))
known = st.sets(st.sampled_from(sorted(FIELDS)))


@dataclass(frozen=True)
class Applied:
    """What one rule comes to when some fields of a world are known."""

    condition: Any
    disqualifies: bool

    def __call__(self, world: Mapping[str, Any]) -> str:
        rows: dict[str, dict[str, Any]] = {"lead": {}, "account": {}, "partner": {}}
        for name, value in world.items():
            entity, _, column = name.partition(".")
            rows[entity][column] = value
        rule = policy.Rule(
            id="rule",
            gate="disqualifier" if self.disqualifies else "icp",
            description="a rule",
            **{"forbid" if self.disqualifies else "require": self.condition},
        )
        only = policy.Policy(version="1", sql_probability=0.5, actions={}, lists={"tiers": ("gold",)}, rules=(rule,))
        return apply_policy(only, Evaluation(rows["lead"], rows["account"], rows["partner"], {}), None).rules[0].outcome


@given(conditions, worlds, known)
def test_what_passes_or_fails_with_something_unknown_does_so_once_it_is_known(
    condition: Any, world: dict[str, Any], names: set[str]
) -> None:
    applied = Applied(condition, disqualifies=False)
    partly = applied({name: value for name, value in world.items() if name in names})
    assert applied(world) in ("pass", "fail")
    assert partly in ("unknown", applied(world))


@given(conditions)
def test_nothing_passes_or_disqualifies_by_what_is_unknown_alone(condition: Any) -> None:
    assert Applied(condition, disqualifies=False)({}) == "unknown"
    assert Applied(condition, disqualifies=True)({}) == "pass"


@given(conditions, worlds, known)
def test_a_disqualifier_acts_on_evidence_only(condition: Any, world: dict[str, Any], names: set[str]) -> None:
    seen = {name: value for name, value in world.items() if name in names}
    forbidden, required = Applied(condition, disqualifies=True)(seen), Applied(condition, disqualifies=False)(seen)
    assert forbidden == ("fail" if required == "pass" else "pass")


@given(conditions, worlds, known)
def test_not_turns_a_condition_round_and_keeps_unknown(condition: Any, world: dict[str, Any], names: set[str]) -> None:
    seen = {name: value for name, value in world.items() if name in names}
    turned = Applied(policy.Not(condition=condition), disqualifies=False)(seen)
    assert turned == {"pass": "fail", "fail": "pass", "unknown": "unknown"}[Applied(condition, False)(seen)]


def test_a_gate_is_as_weak_as_its_weakest_rule() -> None:
    assert kleene_and([]) == "pass"
    assert kleene_and(["pass", "unknown"]) == "unknown"
    assert kleene_and(["unknown", "fail", "pass"]) == "fail"


@given(TESTS, worlds, known)
def test_otherwise_unknown_holds_a_place_open_without_letting_it_pass(
    test: policy.Test, world: dict[str, Any], names: set[str]
) -> None:
    seen = {name: value for name, value in world.items() if name in names}
    plain = Applied(test, False)(seen)
    held_open = Applied(test.model_copy(update={"otherwise": "unknown"}), False)(seen)
    assert held_open == ("pass" if plain == "pass" else "unknown")


@pytest.mark.parametrize(("wanted", "expected"), [("salesforce", "pass"), ("oracle", "fail")])
def test_a_test_of_a_list_holds_if_an_item_meets_it(wanted: str, expected: str) -> None:
    body = referral()
    body["account"]["technologies"] = ["Salesforce", "slack"]
    condition = policy.Test(field="account.technologies", one_of=(wanted,))
    rule = policy.Rule(id="extra", gate="icp", description="Uses it", require=condition)
    found = outcome(verdict(body, None, DEFAULT.model_copy(update={"rules": (*DEFAULT.rules, rule)})), "extra")
    assert (found.outcome, found.evidence) == (expected, {"technologies": "Salesforce, slack"})


def test_a_disqualifier_says_what_is_known_and_that_nothing_is_known() -> None:
    unknown = verdict({"as_of": "2026-11-01T00:00:00Z", "lead": {"lead_id": "L-1"}})
    assert outcome(unknown, "opted_out").reason == "No opt-out on record"
    assert outcome(unknown, "region_not_served").reason == "No region or country on record that we do not serve"
    assert outcome(unknown, "free_mail").reason == "No free-mail domain on record"
    known = first_party("demo_request")
    known["lead"]["opted_out"] = False
    assert outcome(verdict(known), "opted_out").reason == "Has not opted out"
    assert outcome(verdict(known), "region_not_served").reason == "In a region we serve"
    assert outcome(verdict(known), "free_mail").reason == "Not a free-mail domain"


def test_a_duplicate_names_the_lead_that_it_duplicates() -> None:
    body = first_party("demo_request")
    body["lead"]["duplicate_of"] = "L-9"
    found = outcome(verdict(body), "known_duplicate")
    assert (found.outcome, found.reason) == ("fail", "duplicate of L-9")
