"""The catalogue validates itself, and its hash names all it says."""

from dataclasses import replace
from typing import Any

import pytest

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import (
    FACTS,
    FAMILIES,
    SOURCE_PARTNER,
    Aggregate,
    Condition,
    Entry,
    InvalidEntry,
    Matches,
    Reading,
    mentions,
    one_of,
)
from features.provenance import Attribute
from features.records import KINDS

PARTNER = next(entry for entry in CATALOGUE if entry.name == "partner_referrals")
CATEGORY = next(entry for entry in CATALOGUE if entry.name == "industry")


def test_every_family_but_that_of_imports_has_three_features_or_more() -> None:
    counts = {family: sum(entry.family == family for entry in CATALOGUE) for family in FAMILIES}
    assert counts.pop("attributes") == 0
    assert min(counts.values()) >= 3


def test_stage_and_outcome_cannot_be_read() -> None:
    assert "lead_events" not in FACTS
    with pytest.raises(InvalidEntry, match=r"an aggregate reads one of .* not 'lead_events'"):
        Aggregate("count", "lead_events")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Aggregate("sum", "integration_usage"), "sum of integration_usage: None is not a column it can use"),
        (lambda: Aggregate("count", "referrals", "partner_id"), "'partner_id' is not a column it can use"),
        (lambda: Aggregate("max", "touchpoints", "calls"), "'calls' is not a column it can use"),
        (lambda: Aggregate("count", "referrals", where=(one_of("tier", "gold"),)), "referrals has no column 'tier'"),
        (lambda: Aggregate("count", "referrals", where=(one_of("partner.size", 1),)), "no column 'partner.size'"),
        (lambda: Aggregate("count", "referrals", days=0), "days must be positive"),
        (lambda: Aggregate("count", "referrals", skip=-1), "skip not negative"),
        (lambda: Reading("account", "size"), "account has no column 'size'"),
        (lambda: Reading("account", "attributes.size"), "account has no column 'attributes.size'"),
        (lambda: Reading("partner_history", "employees"), "partner_history has no column 'employees'"),
        (lambda: Reading("lead", "channel", where=(one_of("chanel", "direct"),)), "lead has no column 'chanel'"),
        (lambda: Condition("channel", "in"), "condition on channel: in got 0 values"),
        (lambda: Condition("channel", "given", ("direct",)), "given got 1 values"),
        (lambda: Condition("subjects", "mentions"), "mentions got 0 values"),
        (lambda: replace(PARTNER, family="partners"), "partner_referrals: family must be one of"),
        (lambda: Reading("history", "leads"), "reads one of"),
        (lambda: Matches(Reading("account", "technologies"), ()), "technologies: values must be given"),
        (lambda: Matches(Reading("account", "technologies"), ("a", "a")), "once each"),
        (lambda: Aggregate("faded", "shared_customers", "confidence"), "half_life is for faded, and positive"),
        (lambda: Aggregate("count", "referrals", half_life=3), "half_life is for faded"),
        (lambda: Reading("lead", "channel", where=(SOURCE_PARTNER,)), "no column 'partner_id'"),
        (lambda: replace(PARTNER, direction=2), "direction must be -1, 0 or 1"),
        (lambda: replace(PARTNER, absent=""), "must be given"),
        (lambda: replace(CATEGORY, direction=1), "industry: a category has no direction"),
        (lambda: replace(CATEGORY, missing="none"), "industry: a category has no direction"),
    ],
)
def test_what_contradicts_itself_is_refused(make: Any, says: str) -> None:
    with pytest.raises(InvalidEntry, match=says):
        make()


def test_conditions_that_fit_are_taken() -> None:
    where = (one_of("partner.certified", True), Condition("partner_id", "given"))
    assert Aggregate("count", "referrals", where=where).where == where
    assert Aggregate("count", "confirmations", where=(mentions("subjects", "fit"),)).days is None
    assert Reading("lead", "attributes.anything at all").entity == "lead"


def test_a_name_stands_once() -> None:
    with pytest.raises(InvalidEntry, match="feature 'industry' is in the catalogue twice; rename one of them"):
        Catalogue((*CATALOGUE.entries, CATEGORY))


def test_entries_are_found_by_name_and_in_order() -> None:
    assert CATALOGUE.names == tuple(entry.name for entry in CATALOGUE)
    assert len(CATALOGUE) == len(CATALOGUE.names) == len(set(CATALOGUE.names))
    assert CATALOGUE["industry"] is CATEGORY
    assert "industry" in CATALOGUE
    assert "Industry" not in CATALOGUE


CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "renamed"},
    "window": {"value": Aggregate("count", "referrals", days=30)},
    "condition": {"value": Aggregate("count", "referrals", where=(one_of("partner.certified", True),))},
    "record": {"value": Aggregate("count", "confirmations")},
    "direction": {"direction": 0},
    "unit": {"unit": "times"},
    "sentence": {"sentence": "Referred {value} times"},
    "absent": {"absent": "Not referred"},
    "description": {"description": "Referrals."},
    "missing": {"missing": "unknown"},
    "partner": {"partner": False},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_hash_changes_with_anything_an_entry_says(change: dict[str, Any]) -> None:
    changed = tuple(replace(entry, **change) if entry is PARTNER else entry for entry in CATALOGUE)
    assert Catalogue(changed).sha256 != CATALOGUE.sha256


def test_the_hash_is_of_entries_and_their_order() -> None:
    assert Catalogue(tuple(CATALOGUE)).sha256 == CATALOGUE.sha256
    assert Catalogue(CATALOGUE.entries[1:]).sha256 != CATALOGUE.sha256
    assert Catalogue((*CATALOGUE.entries[1:], CATALOGUE.entries[0])).sha256 != CATALOGUE.sha256


def test_attributes_known_at_creation_become_features_and_later_ones_do_not() -> None:
    attributes = (Attribute("page", "category", "at_creation"), Attribute("total {days}", "number", "later"))
    extended = CATALOGUE.with_attributes(attributes)
    assert extended.names == (*CATALOGUE.names, "page")
    assert extended["page"].kind == "category"
    assert extended["page"].family == "attributes"
    assert extended.sha256 != CATALOGUE.sha256
    assert CATALOGUE.with_attributes(()).sha256 == CATALOGUE.sha256


def test_an_attribute_may_have_the_name_of_a_feature_and_any_name_in_its_sentence() -> None:
    extended = CATALOGUE.with_attributes((Attribute("Industry", "category", "at_creation"),))
    assert extended.names[-1] == "attributes.Industry"
    braces = CATALOGUE.with_attributes((Attribute("a{b}%s", "number", "at_creation"),))["a{b}%s"]
    assert braces.read(3.0) == "ab%s: 3"
    assert braces.read(None).endswith("none or unknown")


@pytest.mark.parametrize("entry", CATALOGUE, ids=CATALOGUE.names)
def test_sales_gets_a_sentence_for_every_value(entry: Entry) -> None:
    values = ["e_commerce"] if entry.kind == "category" else [1, 2.5, 12_345, 0.004, -3]
    for value in values:
        said = entry.read(value)
        assert said
        assert "{" not in said
        assert "_" not in said
    assert entry.read(None) == entry.absent == entry.read(0)
    assert entry.description.endswith(".")


def test_numbers_are_written_as_people_do() -> None:
    employees = CATALOGUE["employees"]
    assert employees.read(12_345) == "12,345 employees"
    assert CATALOGUE["partner_win_rate"].read(0.2345).endswith("0.23")
    assert CATALOGUE["region"].read("north_america") == "Region: north america"


def test_every_fact_with_a_lead_or_an_account_may_be_used() -> None:
    told = {name for name, kind in KINDS.items() if kind.parent and name != "lead_events"}
    assert set(FACTS) == told


BEFORE_FOLDING = (
    "4cd21511551688e5b7ec24d76bb510b03cda0af2340d4a0779b8c0cae692a9c1",
    "dea5b990a718ef30421cbbec7fb2acff122c065d0f0c8a5965b3ab8c1c1752d4",
)
"""The hashes of the catalogue before texts were folded, which kept decisions and bundles name."""


def test_the_catalogue_of_earlier_decisions_and_bundles_is_still_there() -> None:
    """A change of an entry needs its earlier form in `unfolded_entry`, else earlier models no longer serve."""
    earlier = CATALOGUE.folded_by(0)
    assert (earlier.sha256, earlier.values_sha256(earlier.names)) == BEFORE_FOLDING
    assert CATALOGUE.sha256 != earlier.sha256
    assert CATALOGUE.folded_by(CATALOGUE.fold).sha256 == CATALOGUE.sha256


def test_an_expression_reads_the_folded_column_of_every_free_text() -> None:
    tier = one_of("partner.tier", " Gold")
    value = Aggregate("distinct", "integration_usage", "integration", where=(tier, one_of("integration", "SAP")))
    counted = replace(PARTNER, name="a", value=value)
    attributes = (Attribute("origin", "category", "at_creation"), Attribute("size", "number", "at_creation"))
    catalogue = Catalogue((counted, CATEGORY)).with_attributes(attributes)
    read = {entry.name: entry.value for entry in catalogue.evaluated}
    where = (one_of("partner.folded.tier", "gold"), one_of("folded.integration", "sap"))
    assert read["a"] == Aggregate("distinct", "integration_usage", "folded.integration", where=where)
    assert read["industry"] == Reading("account", "folded.industry")
    assert read["origin"] == Reading("lead", "folded.attributes.origin")
    assert read["size"] == Reading("lead", "attributes.size")
    assert catalogue.folded_by(0).evaluated == catalogue.entries
    assert catalogue.texts == {"industry": ("account", "industry"), "origin": ("lead", "attributes.origin")}
