"""What rows of an export become: records, attributes, outcomes, groups, or a line in the reject file."""

import contextlib
import csv
import io
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import BuyingSignal, Lead, LeadEvent, Touchpoint
from features.value_types import parse_instant
from training.importing import importer, mapping
from training.importing.errors import ImportFailure
from training.importing.fields import money
from training.importing.numbers import PLAIN

FLAT = """
timezone: Europe/Berlin
records:
  leads:
    file: deals.csv
    id: id
    occurred_at: created
    outcome: {column: status, won: ["Won"], lost: ["Lost"], closed_at: closed}
    fields:
      channel: {column: source, map: {"Partner": partner_referral, "Mail": email}}
      region: {value: EMEA}
    attributes:
      size: {kind: number, known: at_creation, none: ["n/a"]}
      tool: {column: crm, kind: category, known: at_creation, none: ["no tool"]}
      discount: {kind: number, known: later}
"""
HEADER = "id,created,status,closed,source,size,crm,discount\n"


def flat(*rows: str) -> dict[str, str]:
    return {"deals.csv": HEADER + "".join(f"{row}\n" for row in rows)}


def lead(record: Any) -> Lead:
    assert isinstance(record, Lead)
    return record


def event(record: Any) -> LeadEvent:
    assert isinstance(record, LeadEvent)
    return record


def test_a_row_becomes_a_lead_and_its_closing(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("D1,2024-01-10,Won,2024-02-01 10:00:00,Partner,12,None,5"))
    stored = done.of("leads")["D1"]
    assert lead(stored.record).channel == "partner_referral"
    assert lead(stored.record).region == "EMEA"
    assert lead(stored.record).created_at == parse_instant("2024-01-10T00:00:00+01:00")
    assert stored.attributes == {"size": 12.0, "tool": "None"}
    (closing,) = done.of("lead_events").values()
    assert closing.parent == "D1"
    assert event(closing.record).event == "won"
    assert event(closing.record).occurred_at == parse_instant("2024-02-01T10:00:00+01:00")
    assert done.rejects == []


def test_outcomes_are_compared_folded_and_every_text_is_told(import_files: Callable[..., Any]) -> None:
    closes = ("LOST", "won", "Won ", "\uff37on")
    rows = [f"{n},2024-01-10,{text},2024-01-11,Mail,,," for n, text in enumerate(closes)]
    done = import_files(FLAT, flat(*rows, "8,2024-01-10,Stalled,,Mail,,,", "9,2024-01-10,,,Mail,,,"))
    assert done.report.outcomes == {"won": 3, "lost": 1, "open": 2}
    assert done.report.accepted == {"leads": 6, "lead_events": 4}
    assert "  open: Stalled (1), (empty) (1)" in done.report.text().splitlines()


def test_exact_outcomes_are_compared_as_written(import_files: Callable[..., Any]) -> None:
    exact = FLAT.replace("outcome: {", "outcome: {exact: true, ")
    rows = ("1,2024-01-10,won,,Mail,,,", "2,2024-01-10, Won ,2024-01-11,Mail,,,")
    done = import_files(exact, flat(*rows))
    assert done.report.outcomes == {"won": 1, "lost": 0, "open": 1}
    texts = {(each.text, each.means, each.count) for each in done.report.outcome_texts}
    assert texts == {("won", "open", 1), ("Won", "won", 1), ("Lost", "lost", 0)}


def test_none_is_known_and_missing_is_not(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("1,2024-01-10,,,Mail,n/a,no tool,", "2,2024-01-10,,,Mail,,,"))
    assert done.of("leads")["1"].attributes == {"size": 0.0, "tool": "none"}
    assert done.of("leads")["2"].attributes == {}


def test_what_is_known_later_is_not_stored_but_reported(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("1,2024-01-10,,,Mail,1,a,77"))
    assert "discount" not in done.of("leads")["1"].attributes
    assert done.report.later == ("discount",)
    assert "kept out, known later: discount" in done.report.text()


@pytest.mark.parametrize(
    ("row", "field", "reason", "value"),
    [
        ("1,10/01/2024,,,Mail,,,", "created_at", "must be a date or time", "10/01/2024"),
        ("1,2024-02-30,,,Mail,,,", "created_at", "must be a date or time", "2024-02-30"),
        ("1,20241330,,,Mail,,,", "created_at", "must be a date or time", "20241330"),
        ("1,1024-02-20,,,Mail,,,", "created_at", "must lie in the years", "1024-02-20"),
        ("1,,,,Mail,,,", "created_at", "is missing", ""),
        (",2024-01-10,,,Mail,,,", "lead_id", "is missing", ""),
        (f"{'x' * 201},2024-01-10,,,Mail,,,", "lead_id", "at most 200", "x" * 201),
        ("a\0b,2024-01-10,,,Mail,,,", "lead_id", "NUL", "a\0b"),
        ("1,2024-01-10,Won,,Mail,,,", "closed_at", "is missing", ""),
        ("1,2024-01-10,Won,soon,Mail,,,", "closed_at", "must be a date or time", "soon"),
        ("1,2024-01-10,Lost,2024-01-09,Mail,,,", "occurred_at", "must not be before the creation", ""),
    ],
)
def test_a_faulty_row_is_rejected_with_its_reason(
    import_files: Callable[..., Any], row: str, field: str, reason: str, value: str
) -> None:
    done = import_files(FLAT, flat("0,2024-01-10,,,Mail,,,", row))
    assert set(done.of("leads")) == {"0"}
    assert done.of("lead_events") == {}
    (line,) = done.rejects
    assert (line["record"][:4], line["file"], line["row"], line["field"]) == ("lead", "deals.csv", "2", field)
    assert reason in line["reason"]
    assert value in line["value"]
    assert done.report.rejected == {"leads": 1}


def test_a_close_without_a_readable_time_takes_that_of_the_fallback_and_the_report_counts_it(
    import_files: Callable[..., Any],
) -> None:
    mapped = FLAT.replace("closed_at: closed}", "closed_at: closed, closed_at_fallback: created}")
    done = import_files(mapped, flat("1,2024-01-10,Won,soon,Mail,,,", "2,2024-01-11,Lost,,Mail,,,"))
    closes = {stored.parent: event(stored.record).occurred_at for stored in done.of("lead_events").values()}
    assert closes == {"1": parse_instant("2024-01-09T23:00:00Z"), "2": parse_instant("2024-01-10T23:00:00Z")}
    (line,) = done.rejects
    assert (line["row"], line["lost"], line["field"], line["value"]) == ("1", "field", "closed_at", "soon")


@pytest.mark.parametrize(
    ("row", "field", "reason", "value"),
    [
        ("1,2024-01-10,,,Radio,,,", "channel", "'partner_referral'", "Radio"),
        ("1,2024-01-10,,,Mail,nan,,", "size", "must be a finite number", "nan"),
        ("1,2024-01-10,,,Mail,inf,,", "size", "must be a finite number", "inf"),
        ("1,2024-01-10,,,Mail,1e999,,", "size", "must be a finite number", "1e999"),
        ("1,2024-01-10,,,Mail,1_000,,", "size", "must be a finite number", "1_000"),
        ("1,2024-01-10,,,Mail,,a\0b,", "tool", "NUL", "a\0b"),
    ],
)
def test_a_faulty_optional_field_is_dropped_and_the_lead_is_kept(
    import_files: Callable[..., Any], row: str, field: str, reason: str, value: str
) -> None:
    done = import_files(FLAT, flat(row))
    kept = done.of("leads")["1"]
    assert field not in kept.attributes
    assert getattr(lead(kept.record), field, None) is None
    (line,) = done.rejects
    assert (line["row"], line["lost"], line["field"], line["value"]) == ("1", "field", field, value)
    assert reason in line["reason"]
    assert done.report.rejected == {}
    assert f"1 x leads: {field} " in done.report.text()


def test_every_fault_of_a_row_is_told(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat(",soon,,,Radio,many,,", "1,2024-01-10,,,Radio,many,,"))
    assert {line["field"] for line in done.rejects if line["row"] == "1"} == {"lead_id", "created_at"}
    assert {line["field"] for line in done.rejects if line["row"] == "2"} == {"channel", "size"}
    assert done.report.rejected == {"leads": 1}


def test_the_second_of_two_equal_ids_is_rejected(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("1,2024-01-10,,,Mail,1,,", "1,2024-01-11,Won,2024-01-12,Mail,2,,"))
    assert done.of("leads")["1"].attributes == {"size": 1.0}
    assert done.reasons() == {("2", "lead_id", "must be unique, and an earlier row has it")}
    assert done.of("lead_events") == {}


def test_a_row_of_another_width_is_rejected(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("1,2024-01-10", "2,2024-01-10,,,Mail,,,", "3,2024-01-10,,,Mail,,,,"))
    assert set(done.of("leads")) == {"2"}
    assert [(line["row"], line["value"]) for line in done.rejects] == [("1", "2"), ("3", "9")]


def test_a_close_dated_on_the_day_of_the_creation_is_not_before_it(import_files: Callable[..., Any]) -> None:
    rows = ("1,2024-01-10 15:00,Won,2024-01-10,Mail,,,", "2,2024-01-10 15:00,Won,2024-01-10 14:59,Mail,,,")
    done = import_files(FLAT, flat(*rows))
    (closing,) = done.of("lead_events").values()
    assert event(closing.record).occurred_at == lead(done.of("leads")["1"].record).created_at
    assert [line["row"] for line in done.rejects] == ["2"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-01-10", "2024-01-09T23:00:00Z"),
        ("2024-07-10 12:00:00", "2024-07-10T10:00:00Z"),
        ("2024-07-10T12:00:00.25", "2024-07-10T10:00:00.25Z"),
        ("2024-07-10 12:00+05:30", "2024-07-10T06:30:00Z"),
        ("2024-07-10T12:00:00Z", "2024-07-10T12:00:00Z"),
        ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),  # comes twice: the first
        ("2024-03-31 02:30:00", "2024-03-31T01:30:00Z"),  # left out: the offset of before
    ],
)
def test_times_without_an_offset_are_local(import_files: Callable[..., Any], text: str, instant: str) -> None:
    done = import_files(FLAT, flat(f"1,{text},,,Mail,,,"))
    assert lead(done.of("leads")["1"].record).created_at == parse_instant(instant)


def test_times_of_another_form(import_files: Callable[..., Any]) -> None:
    text = FLAT.replace("occurred_at: created", 'occurred_at: {column: created, format: "%d/%m/%Y %H:%M"}')
    done = import_files(text, flat("1,10/01/2024 12:00,,,Mail,,,", "2,2024-01-10,,,Mail,,,"))
    assert lead(done.of("leads")["1"].record).created_at == parse_instant("2024-01-10T11:00:00Z")
    assert [line["row"] for line in done.rejects] == ["2"]


def test_the_cut_is_the_latest_time_unless_declared(import_files: Callable[..., Any]) -> None:
    done = import_files(FLAT, flat("1,2024-01-10,Won,2024-02-01T00:00:00Z,Mail,,,", "2,2024-01-31,,,Mail,,,"))
    assert done.report.provenance.cut == parse_instant("2024-02-01T00:00:00Z")


def test_a_declared_date_ends_the_data_with_its_day(import_files: Callable[..., Any]) -> None:
    rows = ("1,2024-01-31 23:00,,,Mail,,,", "2,2024-02-01 09:00,,,Mail,,,", "3,2024-01-02,Won,2024-02-02,Mail,,,")
    done = import_files("cut: 2024-01-31\n" + FLAT, flat(*rows))
    assert done.report.provenance.cut == parse_instant("2024-02-01T00:00:00+01:00")
    assert set(done.of("leads")) == {"1"}
    assert {line["row"] for line in done.rejects} == {"2", "3"}
    assert all("after the data cut" in line["reason"] for line in done.rejects)


def test_recorded_times_make_point_in_time_verifiable(import_files: Callable[..., Any]) -> None:
    files = flat("1,2024-01-10,,,Mail,,,")
    assert "point in time not verifiable" in import_files(FLAT, files).report.text()
    done = import_files(FLAT.replace("    outcome:", "    recorded_at: created\n    outcome:"), files)
    assert done.report.provenance.point_in_time
    assert "point in time" not in done.report.text()


UNDATED = """
missing: ["", "Select"]
records:
  leads:
    file: calls.csv
    separator: ";"
    id: row
    time: none
    order: row
    outcome: {column: y, won: ["yes"], lost: ["no"]}
    attributes: {"*": {known: at_creation, except: [duration]}}
"""
CALLS = "age;job;None;y;duration;\n30;None;a;yes;5;\n40;Select;NA;no;6;\n;clerk;b;maybe;7;\n30;None;a;no;9;\n"


def test_an_undated_export_keeps_its_order(import_files: Callable[..., Any]) -> None:
    done = import_files(UNDATED, {"calls.csv": CALLS})
    leads = done.of("leads")
    assert [leads[str(number)].order for number in (1, 2, 3, 4)] == [1, 2, 3, 4]
    rows = [stored.row() for stored in done.records]
    assert all(row["occurred_at"] is None and row["recorded_at"] is None for row in rows)
    assert done.report.provenance.cut is None
    assert done.report.outcomes == {"won": 1, "lost": 2, "open": 1}


def test_every_other_column_is_an_attribute_of_the_kind_it_shows(import_files: Callable[..., Any]) -> None:
    done = import_files(UNDATED, {"calls.csv": CALLS})
    assert {name: dict(done.of("leads")[str(row)].attributes) for row, name in enumerate("abc", 1)} == {
        "a": {"age": 30.0, "job": "None", "None": "a"},
        "b": {"age": 40.0, "None": "NA"},
        "c": {"job": "clerk", "None": "b"},
    }
    assert done.report.inferred == {"age": "number", "job": "category", "None": "category"}
    assert done.report.left_out == {"calls.csv": ("duration",)}


def test_rows_with_identical_profiles_belong_together(import_files: Callable[..., Any]) -> None:
    leads = import_files(UNDATED, {"calls.csv": CALLS}).of("leads")
    groups = [leads[str(number)].group for number in (1, 2, 3, 4)]
    assert groups[0] == groups[3] is not None
    assert len(set(groups)) == 3


def test_group_by_says_which_rows_belong_together(import_files: Callable[..., Any]) -> None:
    text = UNDATED.replace("order: row", "order: row\n    group_by: [job]")
    leads = import_files(text, {"calls.csv": CALLS + "40;clerk;x;no;1;\n"}).of("leads")
    groups = [leads[str(number)].group for number in (1, 2, 3, 4, 5)]
    assert groups[0] == groups[3]
    assert groups[2] == groups[4] != groups[0]
    assert groups[1] is None
    assert "job" not in leads["1"].attributes


@pytest.mark.parametrize("order", ["1.5", "", "x", str(2**60), "9" * 5000, "1e999999"])
def test_an_order_must_be_a_whole_number(import_files: Callable[..., Any], order: str) -> None:
    text = UNDATED.replace("order: row", "order: age")
    done = import_files(text, {"calls.csv": f"age;y;duration\n7;yes;1\n{order};no;1\n7;no;1\n"})
    assert {stored.order for stored in done.of("leads").values()} == {7}
    assert [(line["row"], line["field"]) for line in done.rejects] == [("2", "order")]


JOINED = """
records:
  accounts:
    file: accounts.csv
    id: account
    fields:
      employees: staff
      annual_revenue: {column: revenue, currency: JPY}
      technologies: {column: tools, split: ";"}
      competitor: {column: rival, map: {"Y": "true", "N": "false"}}
  leads:
    file: deals.csv
    id: deal
    occurred_at: opened
    fields: {account_id: account, email: mail, referral_date: referred}
    joins: [{file: accounts.csv, on: account, columns: [staff]}]
    attributes: {staff: {kind: number, known: at_creation}}
  touchpoints:
    file: touches.csv
    lead: deal
    occurred_at: at
    recorded_at: seen
    fields: {channel: {column: via, default: other}, partner_id: partner}
  buying_signals: {file: touches.csv, lead: deal, occurred_at: at, fields: {kind: {value: demo_request}}}
  integration_usage: {file: usage.csv, account: account, fields: {integration: {value: slack}, day: day, calls: n}}
  lead_events:
    file: events.csv
    lead: deal
    occurred_at: at
    fields:
      event: {column: what, map: {W: won, L: lost, O: opened}}
      amount: {column: value, currency: EUR}
"""
JOINED_FILES = {
    "accounts.csv": "account,staff,revenue,tools,rival\nA,12.0,5000,slack; zoom,N\nB,-1,1,,\nC,7,1.5,,maybe\n",
    "deals.csv": "deal,account,opened,mail,referred\n1,A,2024-01-10,Bo@Shop.example,2024-01-09 10:00\n"
    "2,Z,2024-01-10,,\n",
    "touches.csv": "deal,at,seen,via,partner\n1,2024-01-11,2024-01-12,email,P\n1,2024-01-11,2024-01-12,fax,\n"
    "9,2024-01-11,2024-01-12,email,\n1,2024-01-11,,email,\n",
    "usage.csv": "account,day,n\nA,2024-01-11,3\nZ,2024-01-11,3\nQ,2024-01-11,3\nA,2024-01-12,-3\n",
    "events.csv": "deal,at,what,value\n1,2024-01-12,W,12.50\n1,2024-01-09,L,\n1,2024-01-09,O,\n2,2024-01-12,W,1.005\n"
    "2,2024-01-12,X,\n8,2024-01-12,W,1\n",
}


def test_records_of_several_files(import_files: Callable[..., Any]) -> None:
    done = import_files(JOINED, JOINED_FILES)
    account = done.of("accounts")["A"].record
    assert account.model_dump(exclude_none=True) == {
        "account_id": "A",
        "employees": 12,
        "annual_revenue": {"minor": 5000, "currency": "JPY"},
        "technologies": ("slack", "zoom"),
        "competitor": False,
    }
    first = lead(done.of("leads")["1"].record)
    assert (first.account_id, first.email) == ("A", "bo@shop.example")
    assert first.referral_date == parse_instant("2024-01-09T00:00:00Z")
    assert done.of("leads")["1"].attributes == {"staff": 12.0}
    assert done.of("leads")["2"].attributes == {}
    touches = [stored.record for stored in done.of("touchpoints").values()]
    assert [t.channel for t in touches if isinstance(t, Touchpoint)] == ["email", "other"]
    assert {t.recorded_at for t in touches} == {parse_instant("2024-01-12T00:00:00Z")}
    assert all(isinstance(stored.record, BuyingSignal) for stored in done.of("buying_signals").values())
    assert {stored.parent for stored in done.of("integration_usage").values()} == {"A", "Z"}
    events = [event(stored.record) for stored in done.of("lead_events").values()]
    amounts = [(e.event, e.amount.minor if e.amount else None) for e in events]
    assert amounts == [("won", 1250), ("opened", None), ("won", None)]


def test_rejected_rows_of_several_files(import_files: Callable[..., Any]) -> None:
    done = import_files(JOINED, JOINED_FILES)
    assert {(line["record"], line["row"], line["field"]) for line in done.rejects} == {
        ("accounts", "2", "employees"),
        ("accounts", "3", "annual_revenue"),
        ("accounts", "3", "competitor"),
        ("touchpoints", "3", "lead_id"),
        ("touchpoints", "4", "recorded_at"),
        ("buying_signals", "3", "lead_id"),
        ("integration_usage", "3", "account_id"),
        ("integration_usage", "4", "calls"),
        ("lead_events", "2", "occurred_at"),
        ("lead_events", "4", "amount"),
        ("lead_events", "5", "event"),
        ("lead_events", "6", "lead_id"),
    }
    dropped = {(line["record"], line["field"]) for line in done.rejects if line["lost"] == "field"}
    assert dropped == {
        ("accounts", "employees"),
        ("accounts", "annual_revenue"),
        ("accounts", "competitor"),
        ("integration_usage", "calls"),
        ("lead_events", "amount"),
    }
    assert done.report.rejected == {"touchpoints": 2, "buying_signals": 1, "integration_usage": 1, "lead_events": 3}


STEPS = """
records:
  leads: {file: deals.csv, id: deal, occurred_at: opened}
  lead_events: {file: events.csv, lead: deal, occurred_at: at, fields: {event: what}}
"""


def test_the_last_outcome_by_its_time_decides_whether_a_lead_is_open(import_files: Callable[..., Any]) -> None:
    deals = "deal,opened\n" + "".join(f"{deal},2024-01-01\n" for deal in "1234")
    events = ("1,09,lost", "1,10,reopened", "2,10,reopened", "2,09,lost", "3,09,won", "3,10,reopened", "3,11,lost")
    rows = "".join(f"{deal},2024-01-{day},{what}\n" for deal, day, what in (row.split(",") for row in events))
    done = import_files(STEPS, {"deals.csv": deals, "events.csv": f"deal,at,what\n{rows}"})
    assert done.report.outcomes == {"won": 0, "lost": 1, "open": 3}


def test_a_fact_of_a_rejected_lead_is_rejected(import_files: Callable[..., Any]) -> None:
    files = {**JOINED_FILES, "deals.csv": "deal,account,opened,mail,referred\n1,A,never,,\n2,A,2024-01-10,,\n"}
    done = import_files(JOINED, files)
    assert "1" not in {stored.parent for stored in done.records}
    assert ("1", "lead_id", "must be the id of an imported lead") in done.reasons()


def test_the_report_is_the_same_for_people_and_machines(import_files: Callable[..., Any]) -> None:
    report = import_files(JOINED, JOINED_FILES).report
    content = json.loads(report.to_json())
    assert content["accepted"]["accounts"] == 3
    assert "touchpoints: 2 imported, 2 rejected" in report.text()
    assert content["provenance"]["attributes"] == [{"name": "staff", "kind": "number", "known": "at_creation"}]
    assert sum(reason["count"] for reason in content["reasons"]) >= sum(content["rejected"].values())


@given(st.integers(-(10**12), 10**12), st.sampled_from([("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)]))
def test_money_in_major_units_is_exact(minor: int, currency: tuple[str, int]) -> None:
    code, digits = currency
    sign, figures = "-" if minor < 0 else "", f"{abs(minor):0{digits + 1}d}"
    text = f"{sign}{figures[: len(figures) - digits]}" + (f".{figures[-digits:]}" if digits else "")
    assert money(text, code) == {"minor": minor, "currency": code}


@given(st.text(max_size=12) | st.from_regex(r"[-+]?[0-9.eE]{1,8}", fullmatch=True))
def test_numbers_are_finite_decimals_or_none_at_all(text: str) -> None:
    if (number := PLAIN.plain(text)) is not None:
        assert math.isfinite(float(number))
        assert "_" not in number


CELL = st.sampled_from(["", "1", "2", "Won", "Lost", "Mail", "2024-01-10", "2024-01-12 10:00", "n/a", "1e5"]) | st.text(
    st.characters(codec="utf-8"), max_size=6
)


@given(st.lists(st.lists(CELL, min_size=7, max_size=9), max_size=12))
def test_every_row_is_either_imported_or_rejected(rows: list[list[str]]) -> None:
    content = io.StringIO(newline="")
    csv.writer(content, quoting=csv.QUOTE_ALL).writerows([HEADER.strip().split(","), *rows])
    with tempfile.TemporaryDirectory() as name:
        folder, mapped = Path(name), Path(name) / "crm.yaml"
        (folder / "deals.csv").write_bytes(content.getvalue().encode())
        mapped.write_text(FLAT)
        accepted, closed = 0, 0
        with contextlib.suppress(ImportFailure):  # every row is rejected
            report = importer.run(folder, mapping.load(mapped), list, folder / "rejects.csv")
            accepted, closed = report.accepted["leads"], report.outcomes["won"] + report.outcomes["lost"]
            assert report.accepted.get("lead_events", 0) == closed
        with (folder / "rejects.csv").open(encoding="utf-8", newline="") as stream:
            rejected = {line["row"] for line in csv.DictReader(stream) if line["lost"] == "row"}
    assert accepted + len(rejected) == len(rows)
