"""Exports in the dialects of five countries: the same deals, with numbers and dates as each country writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.records import Account, Lead, LeadEvent
from features.value_types import parse_instant
from training.importing.errors import ImportFailure, InvalidFile

MAPPING = """
timezone: UTC
{options}
records:
  accounts:
    file: accounts.csv
    separator: "{separator}"
    id: account
    fields: {{employees: staff, annual_revenue: {{column: revenue, currency: {currency}}}, country: country}}
  leads:
    file: deals.csv
    separator: "{separator}"
    id: deal
    occurred_at: {{column: created, format: {form}}}
    outcome:
      column: status
      won: ["Won"]
      lost: ["Lost"]
      closed_at: {{column: closed, format: {form}}}
      amount: {{column: amount, currency: {currency}}}
    fields: {{account_id: account, email: mail}}
    attributes: {{cost: {{column: cost, known: at_creation}}}}
"""
DIALECTS: dict[str, tuple[dict[str, str], str, str]] = {
    "Polish": (
        {"options": 'decimal: ","\nthousands: " "', "separator": ";", "currency": "PLN", "form": '"%d.%m.%Y"'},
        "account;staff;revenue;country\nA-1 ;1 250;12 500 000,50 zł;PL\nA-2;;;UK\n",
        "deal;account;mail;created;status;closed;amount;cost\n"
        "1;A-1; ala@firma.example ;05.01.2026;won;06.02.2026;12\u00a0500,50 zł;1 200,5\n"
        "2; A-2;;07.01.2026;LOST ;08.02.2026;;3,25\n"
        "3;A-1;;09.01.2026;Otwarty;;900,00;\n",
    ),
    "German": (
        {"options": 'decimal: ","\nthousands: "."', "separator": ";", "currency": "EUR", "form": '"%d.%m.%Y"'},
        "account;staff;revenue;country\nA-1 ;1.250;12.500.000,50 €;DE\nA-2;;;UK\n",
        "deal;account;mail;created;status;closed;amount;cost\n"
        "1;A-1; ala@firma.example ;05.01.2026;won;06.02.2026;12.500,50 €;1.200,5\n"
        "2; A-2;;07.01.2026;LOST ;08.02.2026;;3,25\n"
        "3;A-1;;09.01.2026;Offen;;900,00;\n",
    ),
    "US": (
        {"options": 'thousands: ","', "separator": ",", "currency": "USD", "form": '["%m/%d/%Y", "%m/%d/%y"]'},
        'account,staff,revenue,country\nA-1 ,"1,250","$12,500,000.50",US\nA-2,,,UK\n',
        "deal,account,mail,created,status,closed,amount,cost\n"
        '1,A-1, ala@firma.example ,01/05/2026,won,02/06/26,"$12,500.50","1,200.5"\n'
        "2, A-2,,01/07/2026,LOST ,02/08/2026,,3.25\n"
        "3,A-1,,01/09/2026,Open,,$900.00,\n",
    ),
    "Brazilian": (
        {"options": 'decimal: ","\nthousands: "."', "separator": "|", "currency": "BRL", "form": '"%d/%m/%Y"'},
        "account|staff|revenue|country\nA-1 |1.250|R$ 12.500.000,50|BR\nA-2|||UK\n",
        "deal|account|mail|created|status|closed|amount|cost\n"
        "1|A-1| ala@firma.example |05/01/2026|won|06/02/2026|R$ 12.500,50|1.200,5\n"
        "2| A-2||07/01/2026|LOST |08/02/2026||3,25\n"
        "3|A-1||09/01/2026|Aberto||900,00|\n",
    ),
    "ISO": (
        {"options": "", "separator": ",", "currency": "EUR", "form": "[]"},
        "account,staff,revenue,country\nA-1 ,1250,12500000.50,DE\nA-2,,,UK\n",
        "deal,account,mail,created,status,closed,amount,cost\n"
        "1,A-1, ala@firma.example ,20260105,won,2026/02/06,12500.50,1200.5\n"
        "2, A-2,,2026-01-07,LOST ,2026-02-08T00:00:00Z,,3.25\n"
        "3,A-1,,2026-01-09,Open,,900.00,\n",
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_deals_come_out_of_every_dialect(dialect: str, import_files: Callable[..., Any]) -> None:
    options, accounts, deals = DIALECTS[dialect]
    done = import_files(MAPPING.format(**options), {"accounts.csv": accounts, "deals.csv": deals})
    assert done.rejects == []
    account = done.of("accounts")["A-1"].record
    assert isinstance(account, Account)
    assert account.annual_revenue is not None
    assert (account.employees, account.annual_revenue.minor) == (1250, 1_250_000_050)
    british = done.of("accounts")["A-2"].record
    assert isinstance(british, Account)
    assert (british.country, british.employees) == ("GB", None)

    first, second = (done.of("leads")[name] for name in ("1", "2"))
    assert isinstance(first.record, Lead)
    assert isinstance(second.record, Lead)
    assert (first.record.account_id, second.record.account_id) == ("A-1", "A-2")
    assert first.record.email == "ala@firma.example"
    assert first.record.created_at == parse_instant("2026-01-05T00:00:00Z")
    assert [done.of("leads")[name].attributes for name in "123"] == [{"cost": 1200.5}, {"cost": 3.25}, {}]

    assert done.report.outcomes == {"won": 1, "lost": 1, "open": 1}
    events = {stored.id: stored.record for stored in done.of("lead_events").values()}
    won, opened = events["outcome:1"], events["amount:3"]
    assert isinstance(won, LeadEvent)
    assert isinstance(opened, LeadEvent)
    assert won.occurred_at == parse_instant("2026-02-06T00:00:00Z")
    assert won.amount is not None
    assert opened.amount is not None
    assert (won.event, won.amount.minor, won.amount.currency) == ("won", 1_250_050, options["currency"])
    assert (opened.event, opened.amount.minor) == ("opened", 90_000)


FLAT = """
records:
  leads:
    file: {file}
    id: id
    time: none
    {more}
    attributes: {{"*": {{known: at_creation}}}}
"""


def flat(file: str = "a.csv", more: str = "") -> str:
    return FLAT.format(file=file, more=more)


@pytest.mark.parametrize(
    ("numbers", "fix"),
    [
        ("1.234,50 2.000,00 17,25", 'decimal: ",", thousands: "."'),
        ("$1,200 $900 $75", 'thousands: ","'),
        ("1 2 3 4 5 n/a", "declare kind: number"),
    ],
)
def test_a_category_of_numbers_gets_a_hint(import_files: Callable[..., Any], numbers: str, fix: str) -> None:
    rows = "".join(f"{n};{text}\n" for n, text in enumerate(numbers.split()))
    report = import_files(flat(more='separator: ";"'), {"a.csv": f"id;price\n{rows}"}).report
    [note] = report.notes
    assert note.startswith("price is a category, but most of its texts are numbers: ")
    assert fix in note
    assert note in report.text()


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("epoch", "1767571200"),
        ("epoch_ms", "1767571200000"),
        ("excel", "46027"),
        ("excel", "46027.0"),
        ("epoch", "1767571200.0"),
    ],
)
def test_times_may_be_numbers(import_files: Callable[..., Any], form: str, cell: str) -> None:
    text = flat().replace("time: none", f"occurred_at: {{column: at, format: {form}}}")
    done = import_files(text, {"a.csv": f"id,at\n1,{cell}\n"})
    record = done.of("leads")["1"].record
    assert isinstance(record, Lead)
    assert record.created_at == parse_instant("2026-01-05T00:00:00Z")


def test_a_title_above_the_header_and_rows_that_are_not_wanted_are_left_out(import_files: Callable[..., Any]) -> None:
    more = 'skip_lines: 2\n    where: {kind: ["Deal"]}'
    content = "Pipeline of May\n\nid,kind,size\n1,deal ,5\n2,Task,6\n3,DEAL,7\n"
    done = import_files(flat(more=more), {"a.csv": content})
    assert set(done.of("leads")) == {"1", "3"}
    assert "1 rows of a.csv do not fit `where` by kind" in done.report.text()


def test_a_long_note_is_no_fault(import_files: Callable[..., Any]) -> None:
    done = import_files(flat().replace('"*": {known: at_creation}', ""), {"a.csv": f"id,note\n1,{'x' * 200_000}\n"})
    assert set(done.of("leads")) == {"1"}


def test_members_of_a_list_are_there_once(import_files: Callable[..., Any]) -> None:
    text = """
records:
  accounts:
    file: a.csv
    id: id
    fields: {technologies: {column: tools, split: ";"}}
"""
    done = import_files(text, {"a.csv": "id,tools\nA,slack; ;slack;;zoom \n"})
    record = done.of("accounts")["A"].record
    assert isinstance(record, Account)
    assert record.technologies == ("slack", "zoom")


def test_a_join_says_what_it_does_not_find(import_files: Callable[..., Any]) -> None:
    more = "joins: [{file: b.csv, on: shop, columns: [city]}]"
    files = {"a.csv": "id,shop\n1,X \n2,Y\n3,Y\n4,\n", "b.csv": "shop,city\n X,Rome\n"}
    done = import_files(flat(more=more), files)
    assert done.of("leads")["1"].attributes["city"] == "Rome"
    assert "3 of 4 rows of a.csv are not in b.csv by shop: Y (2), (empty) (1)" in done.report.text()


def test_a_workbook_is_read_with_its_types(import_files: Callable[..., Any], export: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (["Deals"], ["id", "size", "share", "vip"], [12345678901, 5, 0.5, True], [2, None, 1e300, False]):
        sheet.append(line)
    book.create_sheet("Notes")
    book.save(export / "a.xlsx")
    done = import_files(flat("a.xlsx", "skip_lines: 1"), {})
    assert done.of("leads")["12345678901"].attributes == {"size": 5.0, "share": 0.5, "vip": "true"}
    assert done.of("leads")["2"].attributes == {"share": 1e300, "vip": "false"}
    assert "a.xlsx: read the sheet 'Sheet', not 'Notes'" in done.report.text()
    with pytest.raises(InvalidFile, match="has no sheet 'Nots'; did you mean 'Notes'"):
        import_files(flat("a.xlsx", "sheet: Nots"), {})


def test_parquet_ids_with_gaps_stay_whole_numbers(import_files: Callable[..., Any], export: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([12345678901.0, None, 2.0**60, 7.5], pa.float64()),
            "size": pa.array([1.0, float("nan"), 3.0, 4.0]),
            "nested": pa.array([[1], [2], [3], [4]]),
            "raw": pa.array([b"a", b"b", b"c", b"d"]),
            "__index_level_0__": [0, 1, 2, 3],
        }
    )
    pq.write_table(table, export / "a.parquet")
    done = import_files(flat("a.parquet"), {})
    assert {name: stored.attributes for name, stored in done.of("leads").items()} == {"12345678901": {"size": 1.0}}
    assert {(line["row"], line["reason"][:24]) for line in done.rejects} == {
        ("2", "is missing"),
        ("3", "must be a whole number u"),
        ("4", "must be a whole number u"),
    }
    assert "a.parquet: left out nested, raw, which hold no single values" in done.report.text()


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b"id;size\n1;2\n", 'separator: ";"'),
        (b"id\tsize\n1\t2\n", 'separator: "\\t"'),
        ("id,size\n1,2\n".encode("utf-16"), "encoding: utf-16"),
        (b"Report\nid,size\n", "skip_lines"),
    ],
)
def test_a_file_that_is_read_wrongly_names_the_option(
    import_files: Callable[..., Any], content: bytes, fix: str
) -> None:
    with pytest.raises(InvalidFile) as refused:
        import_files(flat(), {"a.csv": content})
    assert fix in str(refused.value)


OUTCOME = 'outcome: {column: size, won: ["Won"], lost: ["Lost"]}'


def test_a_first_import_without_a_won_or_lost_row_fails(
    import_files: Callable[..., Any], sink: Any, tmp_path: Path
) -> None:
    files = {"a.csv": "id,size\n1,gewonnen\n2,verloren\n"}
    with pytest.raises(ImportFailure, match=r"'Won', 'Lost'.*size holds 'gewonnen' \(1\), 'verloren' \(1\)"):
        import_files(flat(more=OUTCOME), files, first=True)
    assert sink.calls == 0
    later = import_files(flat(more=OUTCOME), files)
    assert {(text.text, text.count) for text in later.report.outcome_texts if text.means != "open"} == {
        ("Won", 0),
        ("Lost", 0),
    }


def test_an_import_of_which_every_row_is_rejected_fails_and_tells_the_reasons(
    import_files: Callable[..., Any], sink: Any, tmp_path: Path
) -> None:
    with pytest.raises(ImportFailure, match=r"every row of leads was rejected.*lead_id is missing \(2\).*rejects\.csv"):
        import_files(flat(), {"a.csv": "id,size\n,1\n,2\n"})
    assert sink.calls == 0
    assert "is missing" in (tmp_path / "rejects.csv").read_text()
