"""The ready mappings, on the public data they are named after."""

import csv
import functools
import gzip
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from features.records import Stored
from training.importing import importer, mapping
from training.importing.report import ImportReport

ROOT = Path(__file__).parents[2]
DATASETS = Path(os.environ.get("EQL_DATASETS", ROOT / ".." / "shared" / "datasets"))
AFTER_THE_FACT = {
    "olist_funnel": (),
    "ibm_sales_win_loss": ("amount", "elapsed_days", "stage_changes", "days_to_closing", "ratio_qualified"),
    "xeducation_leads": ("Tags", "Lead Quality", "Lead Profile", "Last Activity", "Asymmetrique Profile Score"),
    "bank_marketing": ("duration",),
    "sparklesquad_crm": ("account", "close_value"),
}


Imported = tuple[ImportReport, list[Stored]]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Imported]:
    """Imports a public data set by its example, once."""

    @functools.cache
    def run(name: str) -> Imported:
        records: list[Stored] = []
        example = mapping.load(ROOT / "examples" / f"{name}.yaml")
        rejects = tmp_path_factory.mktemp(name) / "rejects.csv"
        return importer.run(DATASETS / name, example, records.extend, rejects), records

    def there(name: str) -> Imported:
        if not (DATASETS / name).is_dir():
            pytest.skip(f"the public data {name} is not there (EQL_DATASETS)")
        return run(name)

    return there


def rows_of(file: str, separator: str = ",") -> list[dict[str, str]]:
    path = DATASETS / file
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter=separator))


@pytest.mark.parametrize("name", AFTER_THE_FACT)
def test_an_example_is_a_mapping(name: str) -> None:
    assert mapping.load(ROOT / "examples" / f"{name}.yaml").records.leads


@pytest.mark.parametrize("name", AFTER_THE_FACT)
def test_an_example_keeps_out_what_is_known_later(name: str, imported: Callable[[str], Imported]) -> None:
    report, records = imported(name)
    assert set(AFTER_THE_FACT[name]) <= set(report.later)
    stored = {attribute for record in records for attribute in record.attributes}
    assert stored
    assert stored.isdisjoint(report.later)
    assert not report.provenance.point_in_time


@pytest.mark.parametrize(
    ("file", "separator", "outcome", "won", "lost"),
    [
        ("ibm_sales_win_loss/sales_win_loss.csv.gz", ",", "Opportunity Result", "Won", "Loss"),
        ("xeducation_leads/leads.csv", ",", "Converted", "1", "0"),
        ("bank_marketing/bank-additional-full.csv.gz", ";", "y", "yes", "no"),
        ("sparklesquad_crm/sales_pipeline.csv", ",", "deal_stage", "Won", "Lost"),
    ],
)
def test_every_row_and_outcome_of_a_flat_export_arrives(
    file: str, separator: str, outcome: str, won: str, lost: str, imported: Callable[[str], Imported]
) -> None:
    report, _ = imported(file.partition("/")[0])
    there = Counter(row[outcome] for row in rows_of(file, separator))
    still_open = there.total() - there[won] - there[lost]
    assert report.accepted["leads"] == there.total()
    assert report.outcomes == {"won": there[won], "lost": there[lost], "open": still_open}
    assert not report.rejected


def test_olist_imports_but_for_the_close_before_its_creation(imported: Callable[[str], Imported]) -> None:
    report, records = imported("olist_funnel")
    leads = rows_of("olist_funnel/olist_marketing_qualified_leads_dataset.csv")
    closed = rows_of("olist_funnel/olist_closed_deals_dataset.csv")
    first = {row["mql_id"]: row["first_contact_date"] for row in leads}
    early = sum(row["won_date"][:10] < first[row["mql_id"]] for row in closed)
    assert report.accepted == {"leads": len(leads), "lead_events": len(closed) - early}
    assert report.rejected == {"lead_events": early}
    channels = Counter(record.row()["channel"] for record in records if record.kind.name == "leads")
    assert channels["partner_referral"] == sum(row["origin"] == "referral" for row in leads)
