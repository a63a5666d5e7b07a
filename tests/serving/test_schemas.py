import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.provenance import Attribute
from features.records import KINDS
from features.value_types import DAY, parse_instant
from serving.http.bodies import read
from serving.http.problems import Problem
from serving.scoring.requests import MAX_BATCH, MAX_FACTS, BatchRequest, ScoreRequest, check_attributes, moment_of
from serving.validation import InvalidFields

REFERRAL: dict[str, Any] = {
    "as_of": "2026-11-01T00:00:00Z",
    "lead": {
        "lead_id": "L-1",
        "email": "cto@acme.example",
        "created_at": "2026-10-20T09:00:00Z",
        "channel": "partner_referral",
        "source_partner_id": "P-1",
        "programme_tier": "gold",
        "referral_date": "2026-10-20",
        "region": "EMEA",
        "product_line": "core",
    },
    "account": {
        "account_id": "A-1",
        "domain": "acme.example",
        "name": "Acme",
        "employees": 400,
        "annual_revenue": {"minor": 5000000000, "currency": "USD"},
        "industry": "software",
        "country": "DE",
        "technologies": ["salesforce", "slack"],
    },
    "partners": [
        {"partner_id": "P-1", "name": "Integrators Ltd", "kind": "implementation", "tier": "gold", "certified": True}
    ],
    "referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}],
    "confirmations": [
        {
            "side": "partner",
            "partner_id": "P-1",
            "subjects": ["fit", "intent"],
            "occurred_at": "2026-10-20T09:00:00Z",
        },
        {"side": "vendor", "subjects": ["fit", "intent"], "occurred_at": "2026-10-21T09:00:00Z"},
    ],
    "integration_usage": [
        {"integration": "slack", "partner_id": "P-2", "day": "2026-10-30", "calls": 120, "active_users": 9}
    ],
    "shared_customers": [{"partner_id": "P-1", "relationship": "customer", "since": "2025-03-01", "confidence": 0.9}],
    "touchpoints": [
        {
            "occurred_at": "2026-10-10T10:00:00Z",
            "channel": "backlink",
            "kind": "visit",
            "partner_id": "P-3",
            "url": "https://acme.example/?utm_source=p3&utm_medium=referral",
        }
    ],
    "buying_signals": [{"kind": "budget_confirmed", "occurred_at": "2026-10-25T10:00:00Z"}],
}

Change = tuple[str, Any]
"""A path such as `lead.email` and what is put there."""

REFUSED: dict[str, tuple[Change, str]] = {
    "no lead": (("lead", ...), "lead"),
    "a lead without an id": (("lead.lead_id", ...), "lead.lead_id"),
    "an empty id": (("lead.lead_id", ""), "lead.lead_id"),
    "an endless id": (("lead.lead_id", "CANARY" * 1000), "lead.lead_id"),
    "a number as id": (("lead.lead_id", 77123), "lead.lead_id"),
    "an unknown field": (("CANARY", 1), "body"),
    "an unknown field of the lead": (("lead.CANARY", 1), "lead"),
    "an unknown field of money": (("account.annual_revenue.CANARY", 1), "account.annual_revenue"),
    "an unknown field in a list": (("referrals.0.CANARY", 1), "referrals.0"),
    "a stage, which is no field": (("lead.stage", "CANARY"), "lead"),
    "an unknown channel": (("lead.channel", "CANARY"), "lead.channel"),
    "an unknown buying signal": (("buying_signals.0.kind", "CANARY"), "buying_signals.0.kind"),
    "an unknown relationship": (("shared_customers.0.relationship", "CANARY"), "shared_customers.0.relationship"),
    "an unknown partner kind": (("partners.0.kind", "CANARY"), "partners.0.kind"),
    "an unknown subject": (("confirmations.0.subjects", ["fit", "CANARY"]), "confirmations.0.subjects.1"),
    "no subject": (("confirmations.0.subjects", []), "confirmations.0.subjects"),
    "a number as text": (("account.employees", "77123"), "account.employees"),
    "a truth value as number": (("account.employees", True), "account.employees"),
    "a number as truth value": (("partners.0.certified", 1), "partners.0.certified"),
    "a text as truth value": (("partners.0.certified", "true"), "partners.0.certified"),
    "a real as integer": (("account.employees", 77123.5), "account.employees"),
    "a negative size": (("account.employees", -77123), "account.employees"),
    "a negative revenue": (("account.annual_revenue.minor", -77123), "account.annual_revenue.minor"),
    "negative usage": (("integration_usage.0.calls", -77123), "integration_usage.0.calls"),
    "a share beyond one": (("shared_customers.0.confidence", 77123.0), "shared_customers.0.confidence"),
    "a currency that is none": (("account.annual_revenue.currency", "CANARY"), "account.annual_revenue.currency"),
    "a country that is none": (("account.country", "CANARY"), "account.country"),
    "a domain with a path": (("account.domain", "https://CANARY.example/"), "account.domain"),
    "a malformed e-mail": (("lead.email", "CANARY@"), "lead.email"),
    "an e-mail without host": (("lead.email", "CANARY"), "lead.email"),
    "a time without an offset": (("as_of", "2026-11-01T00:00:00"), "as_of"),
    "a time as number": (("as_of", 77123), "as_of"),
    "a time in words": (("lead.created_at", "CANARY"), "lead.created_at"),
    "a thirteenth month": (("lead.created_at", "2026-13-01T00:00:00Z"), "lead.created_at"),
    "a leap second": (("lead.created_at", "2026-06-30T23:59:60Z"), "lead.created_at"),
    "an endless offset": (("lead.created_at", "2026-06-30T00:00:00+77:12"), "lead.created_at"),
    "a year before 1970": (("lead.created_at", "1969-12-31T23:59:59Z"), "lead.created_at"),
    "a year after 2200": (("lead.created_at", "2201-01-01T00:00:00Z"), "lead.created_at"),
    "a day that is none": (("lead.referral_date", "2026-02-30"), "lead.referral_date"),
    "a time as day": (("lead.referral_date", "2026-02-03T00:00:00Z"), "lead.referral_date"),
    "an object as list": (("referrals", {"CANARY": 1}), "referrals"),
    "a text as list": (("account.technologies", "CANARY"), "account.technologies"),
    "a list as lead": (("lead", ["CANARY"]), "lead"),
    "a list in the place of a text": (("lead.region", ["CANARY"]), "lead.region"),
    "a text in the place of a record": (("referrals.0", "CANARY"), "referrals.0"),
    "a text without end": (("account.name", "CANARY" * 100), "account.name"),
    "an account that is not the lead's": (("lead.account_id", "CANARY"), "body"),
    "an attribute that is neither number nor text": (("lead.attributes", {"CANARY": True}), "lead.attributes"),
    "an attribute without a name": (("lead.attributes", {"": 77123}), "lead.attributes"),
    "more facts than allowed": (("referrals", REFERRAL["referrals"] * (MAX_FACTS + 1)), "referrals"),
}


def body(*changes: Change) -> bytes:
    content = copy.deepcopy(REFERRAL)
    for path, value in changes:
        *parents, last = path.split(".")
        place: Any = content
        for step in parents:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key = int(last) if isinstance(place, list) else last
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return json.dumps(content).encode()


def refusal(content: bytes, model: type = ScoreRequest) -> Problem:
    with pytest.raises(Problem) as raised:
        read(model, content)
    return raised.value


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_a_faulty_field_is_refused_by_name_and_nothing_of_it_repeated(change: Change, field: str) -> None:
    problem = refusal(body(change))
    shown = problem.response().body.decode()
    assert problem.status == 422
    assert [error.field for error in problem.errors] == [field]
    assert "CANARY" not in shown
    assert "77123" not in shown
    assert "77:12" not in shown
    assert "28020" not in shown
    assert problem.errors[0].constraint.startswith(("must ", "is required", "is not valid", "has a field"))


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_in_a_batch_the_field_is_named_with_its_place(change: Change, field: str) -> None:
    items = b", ".join((body(), body(change)))
    problem = refusal(b'{"items": [' + items + b"]}", BatchRequest)
    assert [error.field for error in problem.errors] == [f"items.1.{field}".removesuffix(".body")]


def test_of_an_unknown_field_the_known_ones_are_told() -> None:
    [error] = refusal(body(("referrals.0.CANARY", 1))).errors
    assert error.constraint == "has a field that is not known; known are: recorded_at, occurred_at, partner_id"


def test_every_fault_is_told_at_once_but_not_without_end() -> None:
    assert len(refusal(body(("lead.email", 1), ("account.country", "x"), ("partners", 1))).errors) == 3
    assert len(refusal(body(("referrals", [1] * 5000))).errors) == 100


def test_the_published_example_is_read() -> None:
    request, content = read(ScoreRequest, body())
    assert request.as_of == parse_instant("2026-11-01T00:00:00Z")
    assert content == REFERRAL


def test_the_lead_alone_is_enough_and_null_is_absent() -> None:
    request, _ = read(ScoreRequest, b'{"lead": {"lead_id": "L"}}')
    nulls = dict.fromkeys(ScoreRequest.model_fields) | {"lead": {"lead_id": "L", "email": None, "attributes": None}}
    assert read(ScoreRequest, json.dumps(nulls).encode())[0].facts() == request.facts()
    assert {name: len(rows) for name, rows in request.facts().items() if rows} == {"leads": 1}


def test_facts_are_flat_rows_of_their_kinds_that_belong_together() -> None:
    request, _ = read(ScoreRequest, body())
    facts = request.facts()
    assert {name: len(rows) for name, rows in facts.items()} == {
        "leads": 1,
        "accounts": 1,
        "partners": 1,
        "referrals": 1,
        "confirmations": 2,
        "integration_usage": 1,
        "shared_customers": 1,
        "touchpoints": 1,
        "buying_signals": 1,
    }
    for name, rows in facts.items():
        assert all([*row] == [column.name for column in KINDS[name].columns] for row in rows)
        assert len({row[KINDS[name].id] for row in rows}) == len(rows)
        assert {row.get("lead_id", "L-1") for row in rows} == {"L-1"}
        assert {row.get("account_id", "A-1") for row in rows} == {"A-1"}
    assert facts["integration_usage"][0]["recorded_at"] == parse_instant("2026-10-30T00:00:00Z") + DAY


@pytest.mark.parametrize(
    ("changes", "account_id"),
    [
        ([], "A-1"),
        ([("lead.account_id", "A-1")], "A-1"),
        ([("account", ...), ("lead.account_id", "A-2")], "A-2"),
        ([("account", ...)], "L-1"),
    ],
)
def test_facts_of_the_account_find_the_lead_with_or_without_one(changes: list[Change], account_id: str) -> None:
    facts = read(ScoreRequest, body(*changes))[0].facts()
    assert facts["leads"][0]["account_id"] == account_id
    assert facts["integration_usage"][0]["account_id"] == facts["shared_customers"][0]["account_id"] == account_id


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing(order: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in order.sample(sorted(value), len(value))}
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    assert read(ScoreRequest, json.dumps(shuffled(REFERRAL)).encode())[0] == read(ScoreRequest, body())[0]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.data())
def test_no_value_in_any_place_breaks_the_reader(value: Any, data: st.DataObject) -> None:
    where = data.draw(st.sampled_from(("as_of", "lead", "lead.email", "account", "partners.0", "touchpoints.0.url")))
    try:
        request, _ = read(ScoreRequest, body((where, value)))
    except (Problem, ValueError):
        return
    assert request.facts()["leads"]


@pytest.mark.parametrize("items", [0, MAX_BATCH + 1])
def test_a_batch_has_one_to_a_thousand_items(items: int) -> None:
    content = json.dumps({"items": [{"lead": {"lead_id": "L"}}] * items}).encode()
    assert [error.field for error in refusal(content, BatchRequest).errors] == ["items"]


def test_a_full_batch_is_read_in_order() -> None:
    items = [{"lead": {"lead_id": f"L-{number}"}} for number in range(MAX_BATCH)]
    request, _ = read(BatchRequest, json.dumps({"items": items}).encode())
    assert [item.lead.lead_id for item in request.items] == [f"L-{number}" for number in range(MAX_BATCH)]


def test_the_moment_is_now_unless_given_and_never_in_the_future() -> None:
    request, _ = read(ScoreRequest, body())
    moment = parse_instant("2026-11-01T00:00:00Z")
    assert moment_of(request, moment) == moment_of(request, moment + 1) == moment
    assert moment_of(request.model_copy(update={"as_of": None}), moment + 5) == moment + 5
    with pytest.raises(InvalidFields) as raised:
        moment_of(request, moment - 1, "items.3.")
    assert raised.value.errors[0].field == "items.3.as_of"


DECLARED = (
    Attribute("cost", "number", "at_creation"),
    Attribute("page", "category", "at_creation"),
    Attribute("days", "number", "later"),
)


def test_declared_attributes_become_columns() -> None:
    request, _ = read(ScoreRequest, body(("lead.attributes", {"cost": 3, "page": "a", "days": None})))
    check_attributes(request, DECLARED)
    [lead] = request.facts()["leads"]
    assert {name: value for name, value in lead.items() if name.startswith("attributes.")} == {
        "attributes.cost": 3.0,
        "attributes.page": "a",
    }


@pytest.mark.parametrize(
    ("attributes", "field", "constraint"),
    [
        ({"CANARY": 1}, "lead.attributes", "declared are: cost, page"),
        ({"days": 1}, "lead.attributes", "declared are: cost, page"),
        ({"cost": "CANARY"}, "lead.attributes.cost", "must be a number"),
        ({"page": 77123}, "lead.attributes.page", "must be a category"),
    ],
)
def test_other_attributes_are_refused(attributes: dict[str, Any], field: str, constraint: str) -> None:
    request, _ = read(ScoreRequest, body(("lead.attributes", attributes)))
    with pytest.raises(InvalidFields) as raised:
        check_attributes(request, DECLARED)
    [error] = raised.value.errors
    assert (error.field, constraint in error.constraint) == (field, True)
    assert "CANARY" not in error.constraint
