import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from features import folder
from features.provenance import Attribute, Provenance
from features.records import (
    KINDS,
    PARTNER_HISTORY,
    Account,
    Agreement,
    BuyingSignal,
    Confirmation,
    ExchangeRate,
    IntegrationUsage,
    Lead,
    LeadEvent,
    Partner,
    Payout,
    Record,
    Referral,
    Row,
    SharedCustomer,
    Spend,
    Stored,
    Touchpoint,
)
from features.rows import stored
from features.value_types import DAY, MAX_INTEGER, Money, Size, microseconds
from serving.records import provenance as provenances
from serving.records.export import export
from serving.records.facts import derived_of, facts_of, facts_of_many
from serving.records.versions import add, count, last_ingest, open_leads, replace_derived, versions
from serving.store.database import reading

pytestmark = pytest.mark.both_databases

NOON = 20_000 * DAY + DAY // 2


def version(name: str, identity: str, record: Record, parent: str | None = None, **extra: object) -> Stored:
    return Stored(KINDS[name], identity, record, parent, **extra)


ONE_OF_EACH = (
    version(
        "accounts",
        "A",
        Account(
            account_id="A",
            domain="acme.example",
            employees=MAX_INTEGER,
            annual_revenue=Size(minor=5, currency="EUR"),
            technologies=("slack", "salesforce"),
            competitor=False,
        ),
    ),
    version("partners", "P", Partner(partner_id="P", kind="agency", certified=True)),
    version(
        "leads",
        "L",
        Lead(lead_id="L", account_id="A", email="a@acme.example", created_at=NOON, source_partner_id="P"),
        attributes={"landing_page": "Ä \U0001f600", "visits": 0.1, "score": 3.0},
        order=7,
        group="G",
    ),
    version("referrals", "R", Referral(partner_id="Q", occurred_at=NOON, recorded_at=NOON + 1), "L"),
    version("confirmations", "C", Confirmation(side="partner", subjects=("fit", "intent"), occurred_at=NOON), "L"),
    version("shared_customers", "S", SharedCustomer(partner_id="S", relationship="customer", confidence=0.5), "A"),
    version("integration_usage", "U", IntegrationUsage(integration="slack", day=NOON, calls=3), "A"),
    version("touchpoints", "T", Touchpoint(occurred_at=NOON, channel="webinar", url="https://a.example/?u=1"), "L"),
    version("buying_signals", "B", BuyingSignal(kind="demo_request", occurred_at=NOON), "L"),
    version("lead_events", "E", LeadEvent(event="won", amount=Money(minor=-1, currency="BRL")), "L", deleted=True),
    version("spend", "X", Spend(amount=Size(minor=1, currency="USD"), occurred_at=NOON)),
    version("agreements", "G", Agreement(partner_id="P", role="sourced", share=0.1, occurred_at=NOON)),
    version(
        "payouts",
        "Y",
        Payout(partner_id="P", amount=Money(minor=-5, currency="USD"), status="paid", occurred_at=NOON),
    ),
    version("exchange_rates", "Z", ExchangeRate(base="EUR", quote="USD", rate=1.1, occurred_at=NOON)),
)


def keep(store: Engine, *records: Stored) -> None:
    with store.begin() as connection:
        add(connection, records)


def history(partner: str, day: int, leads: int) -> Row:
    counts = {"leads": leads, "wins": 0, "days_to_close": None}
    return {"occurred_at": day, "recorded_at": day, "deleted": False, "partner_id": partner, **counts}


def lead(identity: str = "L", **content: object) -> Stored:
    return version("leads", identity, Lead(lead_id=identity, **content))


def usage(identity: str, account: str, day: int = NOON) -> Stored:
    return version("integration_usage", identity, IntegrationUsage(integration="slack", day=day), account)


def touch(identity: str, lead_id: str, partner: str | None = None) -> Stored:
    return version(
        "touchpoints", identity, Touchpoint(occurred_at=NOON, channel="webinar", partner_id=partner), lead_id
    )


def ids(rows: Sequence[Row], column: str) -> list[object]:
    return [row[column] for row in rows]


def test_every_kind_comes_out_as_it_went_in(store: Engine) -> None:
    assert {record.kind.name for record in ONE_OF_EACH} == set(KINDS)
    keep(store, *ONE_OF_EACH)
    with reading(store) as connection:
        for number, record in enumerate(ONE_OF_EACH, 1):
            [row] = versions(connection, record.kind)
            assert row == {**record.row(), "ingest": number}
            assert stored(record.kind, row).row() == record.row()
        assert count(connection) == dict.fromkeys(KINDS, 1)


def test_ingest_numbers_grow_over_all_kinds_and_threads_without_gap(store: Engine) -> None:
    def keep_some(thread: int) -> None:
        for number in range(10):
            keep(store, lead(f"{thread}-{number}"), touch(f"{thread}-{number}", "L"))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(keep_some, range(4)))
    with reading(store) as connection:
        rows = [row for name in ("leads", "touchpoints") for row in versions(connection, KINDS[name])]
        assert sorted(ids(rows, "ingest")) == list(range(1, 81))
        assert last_ingest(connection) == 80


def test_a_version_more_is_no_record_more(store: Engine) -> None:
    keep(store, lead(), lead(region="EMEA"))
    with reading(store) as connection:
        assert count(connection)["leads"] == 1


def test_records_that_fail_half_way_leave_nothing_even_in_a_transaction_that_goes_on(store: Engine) -> None:
    def faulty() -> Iterator[Stored]:
        yield from (touch(str(number), "L") for number in range(25_000))
        raise ValueError("row 25001")

    with store.begin() as connection:
        add(connection, [lead("before")])
        with pytest.raises(ValueError, match="row 25001"):
            add(connection, faulty())
        assert add(connection, [lead("after")]) == 1
    with reading(store) as connection:
        assert count(connection)["touchpoints"] == 0
        assert ids(list(versions(connection, KINDS["leads"])), "lead_id") == ["before", "after"]
        assert last_ingest(connection) == 2


def test_a_rolled_back_transaction_leaves_nothing(store: Engine) -> None:
    with store.connect() as connection:
        add(connection, ONE_OF_EACH)
    with reading(store) as connection:
        assert set(count(connection).values()) == {0}
        assert last_ingest(connection) == 0


def test_facts_of_a_lead_hold_all_that_concerns_it_and_nothing_else(store: Engine) -> None:
    others = (lead("M", account_id="B"), touch("TM", "M", "PM"), usage("UM", "B"))
    keep(store, *ONE_OF_EACH, *others, *(version("partners", p, Partner(partner_id=p)) for p in ("Q", "S", "PM")))
    with store.begin() as connection:
        replace_derived(connection, {PARTNER_HISTORY: [history(p, NOON, 1) for p in ("P", "S", "PM")]})
    with reading(store) as connection:
        facts = facts_of(connection, "L", NOON)
    assert {name: len(rows) for name, rows in facts.items()} == {
        "leads": 1,
        "accounts": 1,
        "referrals": 1,
        "confirmations": 1,
        "shared_customers": 1,
        "integration_usage": 1,
        "touchpoints": 1,
        "buying_signals": 1,
        "lead_events": 1,
        "partners": 3,
        "partner_history": 2,
        "tier_history": 0,
    }
    assert ids(facts["partners"], "partner_id") == ["P", "Q", "S"]
    assert facts["leads"][0]["attributes.visits"] == 0.1


def test_facts_of_an_unknown_lead_are_none(store: Engine) -> None:
    with reading(store) as connection:
        assert not any(facts_of(connection, "unknown", NOON).values())


def test_versions_come_in_the_order_they_came_in(store: Engine) -> None:
    keep(store, touch("T2", "L"), lead(region="EMEA"), touch("T1", "L"), lead(region="APAC"), touch("T2", "L", "P"))
    with reading(store) as connection:
        facts = facts_of(connection, "L", NOON)
    assert ids(facts["leads"], "region") == ["EMEA", "APAC"]
    assert ids(facts["touchpoints"], "touchpoint_id") == ["T2", "T1", "T2"]


def test_a_fact_corrected_to_another_lead_comes_with_its_correction(store: Engine) -> None:
    keep(store, lead("L"), lead("M"), touch("T", "L"), touch("T", "M"))
    with reading(store) as connection:
        assert ids(facts_of(connection, "L", NOON)["touchpoints"], "lead_id") == ["L", "M"]
        assert ids(facts_of(connection, "M", NOON)["touchpoints"], "lead_id") == ["L", "M"]


def test_a_lead_that_moved_comes_with_both_accounts(store: Engine) -> None:
    accounts = [version("accounts", a, Account(account_id=a)) for a in "ABC"]
    keep(store, *accounts, lead(account_id="A"), lead(account_id="B"), usage("UA", "A"), usage("UC", "C"))
    with reading(store) as connection:
        facts = facts_of(connection, "L", NOON)
    assert ids(facts["accounts"], "account_id") == ["A", "B"]
    assert ids(facts["integration_usage"], "usage_id") == ["UA"]


letters = st.sampled_from("LMN")
any_records = st.lists(
    st.one_of(
        st.builds(lead, letters, account_id=st.sampled_from(("A", "B", None)), source_partner_id=st.just("P")),
        st.builds(touch, st.sampled_from("123"), letters, st.sampled_from(("P", "Q", None))),
        st.builds(usage, st.sampled_from("123"), st.sampled_from("AB")),
        st.builds(lambda p: version("partners", p, Partner(partner_id=p)), st.sampled_from("PQ")),
    ),
    max_size=12,
)
in_one_store = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(any_records)
@in_one_store
def test_facts_of_many_leads_are_those_of_each(store: Engine, records: list[Stored]) -> None:
    with store.connect() as connection:
        add(connection, records)
        wanted = ["N", "L", "M", "L", *(f"unknown-{number}" for number in range(600)), "M"]
        many = list(facts_of_many(connection, wanted, NOON))
        assert [lead_id for lead_id, _ in many] == wanted
        assert all(facts == facts_of(connection, lead_id, NOON) for lead_id, facts in (*many[:4], many[-1]))


def event(identity: str, lead_id: str, what: str, happened: int | None, recorded: int | None, gone: bool) -> Stored:
    content = LeadEvent(event=what, occurred_at=happened, recorded_at=recorded)
    return version("lead_events", identity, content, lead_id, deleted=gone)


times = st.none() | st.integers(0, 4)
steps = st.sampled_from(("opened", "stage", "won", "lost", "reopened"))
any_history = st.lists(
    st.one_of(
        st.builds(lead, letters, created_at=times, recorded_at=times),
        st.builds(event, st.sampled_from("123"), letters, steps, times, times, st.booleans()),
    ),
    max_size=10,
)


def latest(rows: list[Row], key: str, as_of: int) -> list[Row]:
    """The reference in plain Python: the version of each record that was the last recorded by `as_of`."""
    known = [row for row in rows if row["recorded_at"] is None or row["recorded_at"] <= as_of]
    known.sort(key=lambda row: (-1 if row["recorded_at"] is None else row["recorded_at"], row["ingest"]))
    return [row for row in {row[key]: row for row in known}.values() if not row["deleted"]]


def is_open(lead_id: object, events: list[Row], as_of: int) -> bool:
    outcomes = [row for row in events if row["lead_id"] == lead_id and row["event"] in ("won", "lost", "reopened")]
    outcomes = [row for row in outcomes if row["occurred_at"] is None or row["occurred_at"] <= as_of]
    order = ("occurred_at", "recorded_at", "ingest")
    outcomes.sort(key=lambda row: [-1 if row[column] is None else row[column] for column in order])
    return not outcomes or outcomes[-1]["event"] == "reopened"


@given(any_history, st.integers(0, 4))
@settings(in_one_store, max_examples=150)
def test_open_leads_are_those_created_and_not_closed_by_then(store: Engine, records: list[Stored], as_of: int) -> None:
    with store.connect() as connection:
        add(connection, records)
        leads, events = (list(versions(connection, KINDS[name])) for name in ("leads", "lead_events"))
        events = latest(events, "lead_event_id", as_of)
        created = [row for row in latest(leads, "lead_id", as_of) if (row["created_at"] or 0) <= as_of]
        expected = sorted(str(row["lead_id"]) for row in created if is_open(row["lead_id"], events, as_of))
        assert open_leads(connection, as_of) == expected


def test_partner_history_that_holds_is_the_last_known_one(store: Engine) -> None:
    with store.begin() as connection:
        replace_derived(connection, {PARTNER_HISTORY: [history("old", 1 * DAY, 9)]})
        rows = [history("P", day * DAY, day) for day in (1, 2, 3)] + [history("Q", 3 * DAY, 3), history("R", DAY, 1)]
        replace_derived(connection, {PARTNER_HISTORY: rows})
    with reading(store) as connection:
        found = derived_of(connection, PARTNER_HISTORY, ["P", "Q", "old"], 3 * DAY - 1)
        assert [(row["partner_id"], row["leads"]) for row in found] == [("P", 2)]
        assert derived_of(connection, PARTNER_HISTORY, [], 3 * DAY) == []


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a Parquet file with its times as the store has them."""
    return {name: microseconds(value) if isinstance(value, dt.datetime) else value for name, value in row.items()}


def test_the_export_holds_every_version_and_nothing_personal(store: Engine, tmp_path: Path) -> None:
    declared = (
        Attribute("landing_page", "category", "at_creation"),
        Attribute("visits", "number", "at_creation"),
        Attribute("score", "number", "later"),
    )
    later = replace(ONE_OF_EACH[2], record=Lead(lead_id="L", email="b@acme.example", created_at=NOON, region="EMEA"))
    keep(store, *ONE_OF_EACH, later)
    with reading(store) as connection:
        export(connection, tmp_path / "out", Provenance(NOON, True, declared))
    for kind in KINDS.values():
        rows = [record.row() for record in (*ONE_OF_EACH, later) if record.kind == kind]
        kept = [{**row, **dict.fromkeys({"email", "url"} & row.keys())} for row in rows]
        found = pq.read_table(tmp_path / "out" / f"{kind.name}.parquet").to_pylist()
        assert [plain(row) for row in found] == [
            {**row, **dict.fromkeys({"email", "url"} & row.keys())} for row in kept
        ]
    assert folder.read_provenance(tmp_path / "out") == Provenance(NOON, True, declared)
    for file in (tmp_path / "out").iterdir():
        assert b"@acme" not in file.read_bytes()
        assert b"a.example/?u" not in file.read_bytes()


def test_the_derived_history_is_exported_too(store: Engine, tmp_path: Path) -> None:
    with store.begin() as connection:
        replace_derived(connection, {PARTNER_HISTORY: [history("P", DAY, 4)]})
        export(connection, tmp_path / "out", Provenance())
    [found] = folder.read(tmp_path / "out", PARTNER_HISTORY)
    assert found.row() == history("P", DAY, 4)


attributes = st.lists(
    st.builds(Attribute, st.sampled_from("abc"), st.just("number"), st.just("at_creation")), unique=True, max_size=3
)
any_provenance = st.builds(
    Provenance, st.none() | st.integers(0, 10**15), st.booleans(), attributes.map(lambda found: tuple(found))
)


@given(any_provenance, any_provenance)
@in_one_store
def test_provenance_of_two_imports_trusts_the_least_and_names_all(
    store: Engine, first: Provenance, second: Provenance
) -> None:
    with store.connect() as connection:
        assert provenances.read(connection) == Provenance()
        assert provenances.add(connection, first) == first
        whole = provenances.add(connection, second)
        assert provenances.read(connection) == whole
    assert whole.cut == max((cut for cut in (first.cut, second.cut) if cut is not None), default=None)
    assert whole.point_in_time == (first.point_in_time and second.point_in_time)
    assert set(whole.attributes) == {*first.attributes, *second.attributes}
    assert len(whole.attributes) == len(set(whole.attributes))


def test_an_attribute_declared_otherwise_is_refused_and_nothing_changes(store: Engine) -> None:
    first = Provenance(attributes=(Attribute("cost", "number", "at_creation"),))
    with store.begin() as connection:
        provenances.add(connection, first)
        with pytest.raises(provenances.ConflictingAttributes, match=r"'cost'.*category.*number"):
            provenances.add(connection, Provenance(attributes=(Attribute("cost", "category", "at_creation"),)))
        assert provenances.read(connection) == first
