"""Cells as exports write them: ids, numbers, amounts and times, and what the report says where a cell is doubtful."""

import datetime as dt
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import Account, Lead
from features.value_types import parse_instant
from training.importing.errors import InvalidFile, InvalidMapping
from training.importing.numbers import NumberFormat

FLAT = """
{options}
records:
  leads:
    file: {file}
    id: {identity}
    {time}
    {more}
    attributes: {{"*": {{known: at_creation}}}}
"""
ACCOUNTS = """
{options}
records:
  accounts:
    file: a.csv
    separator: ";"
    id: id
    fields: {{annual_revenue: {{column: revenue, currency: {currency}}}, employees: staff}}
"""


def flat(more: str = "", options: str = "", file: str = "a.csv", time: str = "time: none", identity: str = "id") -> str:
    return FLAT.format(more=more, options=options, file=file, time=time, identity=identity)


def created(done: Any, name: str) -> int | None:
    record = done.of("leads")[name].record
    assert isinstance(record, Lead)
    return record.created_at


def revenue(done: Any, name: str) -> int | None:
    record = done.of("accounts")[name].record
    assert isinstance(record, Account)
    return record.annual_revenue.minor if record.annual_revenue else None


@pytest.mark.parametrize(
    ("options", "cell", "number"),
    [
        ('decimal: ","\nthousands: "."', "1.234.567,50", 1234567.5),
        ('decimal: ","\nthousands: " "', "12 500,50", 12500.5),
        ('decimal: ","\nthousands: " "', "12\u00a0500,50 zł", 12500.5),
        ('decimal: ","\nthousands: " "', "12\u202f500 €", 12500.0),
        ('thousands: "\'"', "CHF 1'200.50", 1200.5),
        ('thousands: "\'"', "1’200.50 Fr.", 1200.5),
        ('thousands: ","', "$1,200", 1200.0),
        ('thousands: ","', "-$1,200.5", -1200.5),
        ('thousands: ","', "(£1,200)", -1200.0),
        ('thousands: ","', "USD 900", 900.0),
        ("", "R$ 7.25", 7.25),
        ("", "12.50 kr.", 12.5),
    ],
)
def test_numbers_as_they_are_written(import_files: Callable[..., Any], options: str, cell: str, number: float) -> None:
    done = import_files(flat(more='separator: ";"', options=options), {"a.csv": f"id;x\n1;{cell}\n"})
    assert done.of("leads")["1"].attributes == {"x": number}
    assert done.report.inferred == {"x": "number"}


FORMATS = st.builds(NumberFormat, st.just("."), st.sampled_from([None, ",", " ", "'"])) | st.builds(
    NumberFormat, st.just(","), st.sampled_from([None, ".", " ", "’"])
)


@given(
    number=st.decimals(min_value=-(10**12), max_value=10**12, places=2),
    written=FORMATS,
    sign=st.sampled_from(["{}", "${}", "{} zł", "EUR {}", "{}\u00a0€", " {} "]),
)
def test_a_number_written_in_a_format_is_read_as_itself(number: Decimal, written: NumberFormat, sign: str) -> None:
    text = f"{number:,.2f}".translate({ord(","): written.thousands or "", ord("."): written.decimal})
    plain = written.plain(sign.format(text))
    assert plain is not None
    assert Decimal(plain) == number


@pytest.mark.parametrize("cell", ["1,23,4", "12 pcs", "5 all", "1.2.3", "--5", "$", "1 €€", "12,5000"])
def test_what_is_no_number_stays_text(import_files: Callable[..., Any], cell: str) -> None:
    done = import_files(flat(more='separator: ";"', options='thousands: ","'), {"a.csv": f"id;x\n1;{cell}\n"})
    assert done.of("leads")["1"].attributes == {"x": cell}


def test_a_file_may_have_its_own_format(import_files: Callable[..., Any]) -> None:
    text = ACCOUNTS.format(options='decimal: "."', currency="EUR").replace("id: id", 'id: id\n    decimal: ","')
    done = import_files(text, {"a.csv": "id;revenue;staff\nA;1234,50;7\n"})
    assert revenue(done, "A") == 123_450


def test_an_amount_of_another_currency_is_dropped(import_files: Callable[..., Any]) -> None:
    rows = "A;$1200;1\nB;USD 5;1\nC;€7;1\nD;7 zł;1\nE;EUR 8;1\nF;9;1\nG;\u20bf9;1\n"
    done = import_files(ACCOUNTS.format(options="", currency="EUR"), {"a.csv": f"id;revenue;staff\n{rows}"})
    assert [revenue(done, name) for name in "ABCDEFG"] == [None, None, 700, None, 800, 900, 900]
    assert {line["reason"] for line in done.rejects} == {"must be an amount in EUR, not of another currency"}
    dollars = import_files(ACCOUNTS.format(options="", currency="CAD"), {"a.csv": "id;revenue;staff\nA;$7;1\n"})
    assert revenue(dollars, "A") == 700


def test_numbers_of_several_currencies_are_told(import_files: Callable[..., Any]) -> None:
    report = import_files(flat(), {"a.csv": "id,x\n1,$12\n2,€5\n3,€7\n"}).report
    assert report.notes == ("x has amounts in $, €, read as numbers without conversion",)


def test_amounts_that_another_format_reads_get_a_hint(import_files: Callable[..., Any]) -> None:
    rows = "A;1.234,50;2.000\nB;2.000,00;1.250\n"
    done = import_files(ACCOUNTS.format(options="", currency="EUR"), {"a.csv": f"id;revenue;staff\n{rows}"})
    options = 'set decimal: ",", thousands: "."'
    assert done.report.notes == (
        f"accounts.annual_revenue: '1.234,50' and 1 more texts would be numbers in another format: {options}",
        f"accounts.employees reads '.' in '1.250' as the decimal sign; if it groups digits, {options}",
    )
    german = ACCOUNTS.format(options='decimal: ","\nthousands: "."', currency="EUR")
    assert import_files(german, {}).report.notes == ()
    assert [revenue(import_files(german, {}), name) for name in "AB"] == [123_450, 200_000]


@pytest.mark.parametrize(("cells", "told"), [("1.234 12.500 7", True), ("1.234 0.5 7", False), ("0.125 0.250", False)])
def test_a_point_that_may_group_digits_is_told(import_files: Callable[..., Any], cells: str, told: bool) -> None:
    rows = "".join(f"{n},{cell}\n" for n, cell in enumerate(cells.split()))
    assert bool(import_files(flat(), {"a.csv": f"id,x\n{rows}"}).report.notes) is told


FIFTH = "2026-01-05T00:00:00Z"


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("20260105", FIFTH),
        ("2026/01/05", FIFTH),
        ("2026/1/5", FIFTH),
        ("2026.01.05", FIFTH),
        ("2026/01/05 10:15", "2026-01-05T10:15:00Z"),
        ("20260105 10:15:30", "2026-01-05T10:15:30Z"),
        ("20260105T101530Z", "2026-01-05T10:15:30Z"),
        ("2026-01-05t10:15:30+02:00", "2026-01-05T08:15:30Z"),
    ],
)
def test_dates_whose_year_comes_first_need_no_form(import_files: Callable[..., Any], cell: str, instant: str) -> None:
    done = import_files(flat(time="occurred_at: at"), {"a.csv": f"id,at\n1,{cell}\n"})
    assert created(done, "1") == parse_instant(instant)


@pytest.mark.parametrize(
    "cell", ["05/01/2026", "01.05.2026", "2026/0105", "2026-01/05", "202615", "5 Jan 2026", "46027"]
)
def test_other_dates_are_never_guessed(import_files: Callable[..., Any], cell: str) -> None:
    done = import_files(flat(time="occurred_at: at"), {"a.csv": f"id,at\n1,{cell}\n2,2026-01-05\n"})
    [line] = done.rejects
    assert (line["row"], line["value"]) == ("1", cell)
    assert line["reason"].endswith("name another form as format in the mapping")


def test_forms_are_tried_in_order_and_doubtful_cells_are_told(import_files: Callable[..., Any]) -> None:
    time = 'occurred_at: {column: at, format: ["%d/%m/%Y", "%m/%d/%Y", iso, excel]}'
    rows = "1,05/01/2026\n2,01/25/2026\n3,2026-01-05\n4,46027\n5,05/01/2026\n6,07/07/2026\n"
    done = import_files(flat(time=time), {"a.csv": f"id,at\n{rows}"})
    days = {"1": FIFTH, "2": "2026-01-25T00:00:00Z", "3": FIFTH, "4": FIFTH, "5": FIFTH, "6": "2026-07-07T00:00:00Z"}
    assert {name: created(done, name) for name in days} == {name: parse_instant(at) for name, at in days.items()}
    assert done.report.notes == (
        "2 cells of leads.occurred_at fit several forms, and the first that fits decides "
        "(05/01/2026 is 2026-01-05 by %d/%m/%Y): '05/01/2026' (2)",
    )


def test_the_day_of_seconds_since_1970_is_that_of_the_export(import_files: Callable[..., Any]) -> None:
    more = "fields: {referral_date: {column: at, format: epoch}}"
    done = import_files(flat(more, "timezone: Europe/Berlin"), {"a.csv": "id,at\n1,1767567600\n"})
    record = done.of("leads")["1"].record
    assert isinstance(record, Lead)
    assert record.referral_date == parse_instant(FIFTH)


def test_seconds_that_are_read_as_milliseconds_are_told(import_files: Callable[..., Any]) -> None:
    more = "fields: {referral_date: {column: at, format: epoch_ms}}"
    rows = {"a.csv": "id,at\n1,1767567600\n2,1767567600000\n"}
    assert import_files(flat(more), rows).report.notes == (
        "leads.referral_date reads '1767567600' as milliseconds, in the year 1970; "
        "if they are seconds, set format: epoch",
    )


@pytest.mark.parametrize("cell", ["1.2345678901e+10", "1.23457E+11", "1E+10"])
def test_an_id_that_a_program_shortened_is_refused(import_files: Callable[..., Any], cell: str) -> None:
    more = "fields: {account_id: company}"
    done = import_files(flat(more), {"a.csv": f"id,company\n{cell},A\n2,{cell}\n3,1E5\n"})
    assert {(line["row"], line["lost"], line["field"]) for line in done.rejects} == {
        ("1", "row", "lead_id"),
        ("2", "field", "account_id"),
    }
    kept = done.of("leads")["3"].record
    assert isinstance(kept, Lead)
    assert kept.account_id == "1E5"


def test_ids_that_end_in_a_point_and_a_zero_are_told(import_files: Callable[..., Any]) -> None:
    report = import_files(flat(), {"a.csv": "id,x\n7.0,a\n8.0,b\nv1.0,c\n"}).report
    assert report.notes == (
        "leads.lead_id has ids that end in .0, '7.0' and 1 more texts; if they are whole numbers, export it as text",
    )


def test_blank_cells_join_nothing(import_files: Callable[..., Any]) -> None:
    more = "joins: [{file: b.csv, on: shop, columns: [city]}]"
    done = import_files(flat(more), {"a.csv": "id,shop\n1,X\n2, \n", "b.csv": "shop,city\n,Rome\n ,Oslo\nX,Bonn\n"})
    assert [done.of("leads")[name].attributes.get("city") for name in "12"] == ["Bonn", None]


REFERENCES = """
records:
  accounts: {file: b.csv, id: account}
  partners: {file: p.csv, id: partner}
  leads: {file: a.csv, id: id, time: none, fields: {account_id: account, source_partner_id: partner}}
  touchpoints: {file: t.csv, lead: id, occurred_at: at, fields: {channel: {value: email}, partner_id: partner}}
  integration_usage: {file: u.csv, account: account, fields: {integration: {value: slack}, day: day}}
"""


def test_names_that_the_export_does_not_have_are_told(import_files: Callable[..., Any]) -> None:
    files = {
        "b.csv": "account\nA\n",
        "p.csv": "partner\nP\n",
        "a.csv": "id,account,partner\n1,A ,P\n2,Z,Q\n3,Z,\n",
        "t.csv": "id,at,partner\n1,2026-01-05, P\n7,2026-01-05,\n7,2026-01-05,\n8,2026-01-05,\n",
        "u.csv": "account,day\nA,2026-01-05\nQ,2026-01-05\n",
    }
    assert import_files(REFERENCES, files).report.notes == (
        "1 rows of u.csv name an account that is not imported: 'Q' (1)",
        "3 rows of t.csv name a lead that is not imported: '7' (2), '8' (1)",
        "leads.account_id is not among the accounts of the export in 2 records: 'Z' (2)",
        "leads.source_partner_id is not among the partners of the export in 1 records: 'Q' (1)",
    )


def test_a_row_of_blank_cells_is_no_lead(import_files: Callable[..., Any]) -> None:
    done = import_files(flat(identity="row"), {"a.csv": "x,y\n1,2\n , \n3,\n"})
    assert set(done.of("leads")) == {"1", "3"}
    assert done.reasons() == {("2", "row", "has only blank cells")}


def test_rows_that_do_not_fit_are_not_looked_for_in_a_join(import_files: Callable[..., Any]) -> None:
    more = 'where: {kind: ["Deal"], city: ["Rome"]}\n    joins: [{file: b.csv, on: shop, columns: [city]}]'
    files = {"a.csv": "id,shop,kind\n1,X,Deal\n2,Y,Deal\n3,Q,Task\n", "b.csv": "shop,city\nX,Rome\nY,Bonn\n"}
    done = import_files(flat(more), files)
    assert set(done.of("leads")) == {"1"}
    assert done.report.notes == (
        "1 rows of a.csv do not fit `where` by kind",
        "1 rows of a.csv do not fit `where` by city",
    )


MIDNIGHT = dt.datetime.fromisoformat("2026-01-05")
MORNING = dt.datetime.fromisoformat("2026-01-05 10:30")
GERMAN = 'decimal: ","\nthousands: "."'


def test_a_workbook_may_mix_typed_cells_and_text(import_files: Callable[..., Any], export: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (
        ["id", "at", "x"],
        [1, MIDNIGHT, 234.125],
        [2, "05.01.2026", "1.234,5"],
        [3, MORNING, 1200],
        [2.0**60, "05.01.2026", 1],
        [7.5, "05.01.2026", 1],
    ):
        sheet.append(line)
    book.save(export / "a.XLSX")
    time = 'occurred_at: {column: at, format: "%d.%m.%Y"}'
    done = import_files(flat(options=GERMAN, file="a.XLSX", time=time), {})
    assert {name: stored.attributes for name, stored in done.of("leads").items()} == {
        "1": {"x": 234.125},
        "2": {"x": 1234.5},
        "3": {"x": 1200.0},
    }
    assert [created(done, name) for name in "123"] == [
        parse_instant(at) for at in (FIFTH, FIFTH, "2026-01-05T10:30:00Z")
    ]
    assert {line["field"] for line in done.rejects} == {"lead_id"}


def test_typed_columns_of_parquet_have_no_dialect(import_files: Callable[..., Any], export: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([Decimal("12.00"), Decimal("7.00")]),
            "at": pa.array([MIDNIGHT] * 2, pa.timestamp("ns")),
            "float": [234.125, 2.0],
            "decimal": pa.array([Decimal("234.125"), Decimal("2.000")]),
            "text": ["1.234,5", "2,5"],
        }
    )
    pq.write_table(table, export / "a.parquet")
    time = 'occurred_at: {column: at, format: "%d.%m.%Y"}'
    done = import_files(flat(options=GERMAN, file="a.parquet", time=time), {})
    assert {name: stored.attributes for name, stored in done.of("leads").items()} == {
        "12": {"float": 234.125, "decimal": 234.125, "text": 1234.5},
        "7": {"float": 2.0, "decimal": 2.0, "text": 2.5},
    }
    assert created(done, "7") == parse_instant(FIFTH)


def test_columns_of_parquet_that_are_not_used_are_not_read(import_files: Callable[..., Any], export: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    table = pa.table({"id": ["1"], "a.b": [5], "broken": broken, "a": [[1]], "__index_level_0__": ["X"]})
    pq.write_table(table, export / "a.parquet")
    text = flat(file="a.parquet").replace('"*": {known: at_creation}', "a.b: {known: at_creation}")
    done = import_files(text, {})
    assert done.of("leads")["1"].attributes == {"a.b": 5.0}
    assert done.report.left_out == {"a.parquet": ("broken", "a")}
    every = import_files(flat(file="a.parquet", identity="__index_level_0__"), {})
    assert every.of("leads")["X"].attributes == {"id": 1.0, "a.b": 5.0}
    assert every.report.notes == ("a.parquet: left out broken, a, which hold no single values",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1250"])
@pytest.mark.parametrize("file", ["a.csv", "a.CSV.GZ"])
def test_encodings(import_files: Callable[..., Any], encoding: str, file: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    content = f'{mark}"id",city\n1,Łódź\n'.encode(encoding)
    packed = gzip.compress(content, mtime=0) if file.endswith("GZ") else content
    named = encoding.removesuffix("-sig")
    done = import_files(flat(more=f"encoding: {named}", file=file), {file: packed})
    assert done.of("leads")["1"].attributes == {"city": "Łódź"}


@pytest.mark.parametrize(
    ("more", "content", "fix"),
    [
        ("", "id,x\n1,2\n".encode("utf-16-le"), "encoding: utf-16-le"),
        ("", "id,x\n1,2\n".encode("utf-16-be"), "encoding: utf-16-be"),
        ("encoding: ascii", "id,x\n1,ż\n".encode(), "encoding: utf-8"),
        ("", "id,x\n1,ż\n".encode("cp1250"), "encoding: cp1252"),
        ("", b"PK\x03\x04\xff\xff", "a workbook needs a name that ends in .xlsx"),
        ("", b"x,y;id\n1;2\n", 'separator: ";"'),
        ('separator: ";"', b"id,x\n1,2\n", 'separator: ","'),
        ("", b"Report of May,\n,\nid,x\n1,2\n", "skip_lines"),
    ],
)
def test_a_file_that_is_read_wrongly_says_what_to_set(
    import_files: Callable[..., Any], more: str, content: bytes, fix: str
) -> None:
    with pytest.raises(InvalidFile) as refused:
        import_files(flat(more), {"a.csv": content})
    assert fix in str(refused.value)


def test_a_packed_file_in_another_encoding_is_named_with_it(import_files: Callable[..., Any]) -> None:
    with pytest.raises(InvalidFile, match="encoding: utf-16"):
        import_files(flat(file="a.csv.gz"), {"a.csv.gz": gzip.compress("id,x\n".encode("utf-16"), mtime=0)})


def test_a_separator_that_no_column_needs_is_told(import_files: Callable[..., Any]) -> None:
    report = import_files(flat(identity="row"), {"a.csv": "id;x\n1;2\n"}).report
    assert report.notes == ('the first line of a.csv is one cell; if it holds several names, set separator: ";"',)


@pytest.mark.parametrize(
    ("file", "more", "said"),
    [
        ("a.csv", "sheet: Deals", "a.csv is no .xlsx file; leave out sheet"),
        ("a.parquet", "skip_lines: 1", "a.parquet is Parquet, which has no lines"),
    ],
)
def test_an_option_of_another_format_is_refused(
    import_files: Callable[..., Any], file: str, more: str, said: str
) -> None:
    with pytest.raises(InvalidMapping, match=said):
        import_files(flat(more, file=file), {})


def test_a_workbook_of_another_format_is_named(import_files: Callable[..., Any]) -> None:
    with pytest.raises(InvalidFile, match=r"a\.xls is a workbook in a format that is not read; save it as \.xlsx"):
        import_files(flat(file="a.xls"), {"a.xls": b"\xd0\xcf\x11\xe0"})


def test_members_that_differ_in_case_are_one(import_files: Callable[..., Any]) -> None:
    text = ACCOUNTS.format(options="", currency="EUR").replace(
        "employees: staff", 'technologies: {column: staff, split: ","}'
    )
    done = import_files(text, {"a.csv": "id;revenue;staff\nA;;Slack, slack ,,SAP\n"})
    record = done.of("accounts")["A"].record
    assert isinstance(record, Account)
    assert record.technologies == ("Slack", "SAP")
