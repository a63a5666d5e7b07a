from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.catalogue.entry import FACTS
from features.delivery import absent_kinds, kinds_read, table_without_absent, without_absent
from features.engines.python import evaluate
from features.provenance import Provenance

NAMES = [entry.name for entry in CATALOGUE.entries]
sinces = st.none() | st.dictionaries(st.sampled_from([*FACTS]), st.integers(0, 10))


@given(sinces, st.lists(st.integers(0, 11), min_size=1, max_size=5))
def test_one_lead_and_a_table_of_leads_miss_the_same(since: Any, moments: list[int]) -> None:
    rows = [{"lead_id": "L", "as_of": moment, **evaluate(CATALOGUE, {}, moment).features} for moment in moments]
    types = {"lead_id": pa.string(), "as_of": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in ("lead_id", "as_of", *NAMES)])
    numbers = [{name: 1.0 if isinstance(value, str) else value for name, value in row.items()} for row in rows]
    numbers = [{**row, "lead_id": "L"} for row in numbers]
    table = table_without_absent(pa.Table.from_pylist(numbers, schema), CATALOGUE, since)
    for moment, row in zip(moments, table.to_pylist(), strict=True):
        lead = without_absent(evaluate(CATALOGUE, {}, moment), CATALOGUE, absent_kinds(since, moment))
        assert [row[name] is None for name in NAMES] == [lead.features[name] is None for name in NAMES]
        assert all(lead.features[name] is None for names in lead.not_recorded.values() for name in names)


def test_every_feature_of_facts_is_known_by_its_kinds_and_no_other_is_masked() -> None:
    lead = without_absent(evaluate(CATALOGUE, {}, 0), CATALOGUE, tuple(FACTS))
    masked = {name for names in lead.not_recorded.values() for name in names}
    assert masked == {entry.name for entry in CATALOGUE.entries if kinds_read(entry.value)}
    assert {"buying_signals", "integration_active_days_30d", "partner_fit_confirmations"} <= masked
    assert not {"partner_channel", "lead_age_days"} & masked


@given(sinces)
def test_the_provenance_of_a_folder_keeps_it(since: Any) -> None:
    assert Provenance.from_json(Provenance(since=since).to_json()).since == since
