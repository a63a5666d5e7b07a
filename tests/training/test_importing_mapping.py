"""The mapping language: what it accepts, and the one sentence it says of what it does not."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.importing import mapping
from training.importing.errors import InvalidMapping

SEVERAL_FILES = """
timezone: America/Sao_Paulo
missing: [""]
cut: 2018-12-31
records:
  leads:
    file: leads.csv
    id: mql_id
    occurred_at: first_contact_date
    recorded_at: same
    fields: {channel: {column: origin, map: {referral: partner_referral}, default: other}}
    attributes:
      landing_page: {column: landing_page_id, kind: category, known: at_creation}
  lead_events:
    file: closed.csv
    lead: mql_id
    occurred_at: won_date
    event: won
    fields: {amount: {column: value, currency: BRL}}
"""
FLAT = """
records:
  leads:
    file: deals.csv
    separator: ";"
    id: row
    occurred_at: created_on
    group_by: [client]
    joins: [{file: accounts.csv, on: account, columns: [revenue, employees]}]
    outcome: {column: Status, won: ["Won"], lost: ["Lost"], closed_at: closed_on}
    fields: {channel: {value: other}}
    attributes:
      "*": {known: at_creation, except: [Tags]}
      cost: {column: Deal Cost, kind: number, known: at_creation, none: ["999"]}
      total_days: {column: Total Days, kind: number, known: later}
"""
UNDATED = """
records:
  leads: {file: b2b.csv, id: row, time: none, order: none, group_by: [client],
          outcome: {column: y, won: ["yes"], lost: ["no"]}, attributes: {"*": {known: at_creation, except: [duration]}}}
"""


def load(folder: Path, text: str) -> mapping.Mapping:
    path = folder / "crm.yaml"
    path.write_text(text, "utf-8")
    return mapping.load(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InvalidMapping) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith("crm.yaml")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("text", [SEVERAL_FILES, FLAT, UNDATED])
def test_the_three_kinds_of_example_load(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).records.leads is not None


def test_a_short_form_is_the_column(tmp_path: Path) -> None:
    short = load(tmp_path, SEVERAL_FILES.replace("default: other}}", "default: other}, region: state}"))
    long = load(tmp_path, SEVERAL_FILES.replace("default: other}}", "default: other}, region: {column: state}}"))
    assert short == long


@pytest.mark.parametrize("word", ["yes", "No", "on", "true", "1", "1.5", "0x1F", "2018-12-31", "~", "null", "12:30:45"])
@pytest.mark.parametrize("place", ['"Won"', '"Lost"', '"999"', "Tags", "revenue", "other", "client", "closed_on"])
def test_what_yaml_reads_as_something_else_must_be_quoted(tmp_path: Path, place: str, word: str) -> None:
    message = refusal(tmp_path, FLAT.replace(place, word, 1))
    assert f'write "{word}" in quotes' in message


@pytest.mark.parametrize("word", ["yes", "1", "2018-12-31"])
def test_keys_and_targets_of_a_map_must_be_text(tmp_path: Path, word: str) -> None:
    for changed in (f"map: {{{word}: email}}", f"map: {{a: {word}}}"):
        text = SEVERAL_FILES.replace("map: {referral: partner_referral}", changed)
        assert f'write "{word}" in quotes' in refusal(tmp_path, text)
    assert load(tmp_path, SEVERAL_FILES.replace("map: {referral:", f'map: {{"{word}":'))


def test_an_unquoted_missing_text_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, SEVERAL_FILES.replace('missing: [""]', "missing: [no]"))
    assert "missing.0" in message
    assert 'write "no" in quotes' in message


@pytest.mark.parametrize(
    ("right", "wrong", "meant"),
    [
        ("records:", "recrods:", "'records'"),
        ("lead_events:", "lead_event:", "'lead_events'"),
        ("occurred_at: first", "ocurred_at: first", "'occurred_at'"),
        ("map:", "mapp:", "'map'"),
        ("kind: category", "knd: category", "'kind'"),
        ("channel:", "chanel:", "'channel'"),
        ("currency: BRL", "curency: BRL", "'currency'"),
        ("America/Sao_Paulo", "America/Sao_Paolo", "'America/Sao_Paulo'"),
    ],
)
def test_a_typing_error_is_named_with_what_was_meant(tmp_path: Path, right: str, wrong: str, meant: str) -> None:
    message = refusal(tmp_path, SEVERAL_FILES.replace(right, wrong, 1))
    assert f"did you mean {meant}" in message


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("kind: category, known: at_creation", "kind: category", "landing_page.known is required; write known"),
        ("known: at_creation", "known: sometimes", "must be 'at_creation' or 'later', not 'sometimes'"),
        ("kind: category", "kind: text", "must be 'number' or 'category', not 'text'"),
        ("partner_referral}", "partner_referal}", "or 'other', not 'partner_referal'"),
        ("default: other", "default: others", "or 'other', not 'others'"),
        (", currency: BRL", "", "is money; name its currency"),
        ("currency: BRL", "currency: reais", "currency must match"),
        ("event: won", "event: wins", "'lost' or 'reopened', not 'wins'"),
        ("    event: won\n", "", "must have either event"),
        ("    occurred_at: first_contact_date\n", "", "must have either occurred_at or"),
        ("    id: mql_id\n", "    id: mql_id\n    time: none\n", "must have either occurred_at or"),
        ("    id: mql_id\n", "", "records.leads.id is required"),
        ("    id: mql_id\n", "    id: mql_id\n    id: other\n", "line 9: the key 'id' is there twice"),
        ("cut: 2018-12-31", "cut: 2018-13-31", "cut must be a date or time"),
        ("cut: 2018-12-31", "cut: 1918-12-31", "cut must lie in the years"),
        ("file: leads.csv", "file: leads.csv\n    encoding: utf-9", "must be an encoding such as"),
        ("file: leads.csv", "file: leads.csv\n    separator: '||'", "separator must match"),
        ("file: leads.csv", "file: [leads.csv]", "leads.file must be text"),
        ('missing: [""]', 'missing: ""', "missing must be a list"),
        ("occurred_at: won_date", "occurred_at: {column: won_date, format: '%d.%m'}", "strptime format with a year"),
        ("occurred_at: won_date", "occurred_at: {column: won_date, format: '%Q%Y'}", "strptime format with a year"),
        ("column: value, ", "column: value, value: x, ", "either a column or a constant"),
        ("column: origin", "column: origin, currency: USD", "is no money; leave out currency"),
        ("file: closed.csv", "file: *alias", "has an alias"),
        ("file: closed.csv", 'file: "\\ud800"', "line 15: has NUL or half a surrogate pair"),
        ("referral:", '"\\0":', "has NUL or half a surrogate pair"),
        ("file: closed.csv", "file: [closed.csv", "not YAML: line"),
    ],
)
def test_a_faulty_mapping_is_refused_with_the_mend(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert right in SEVERAL_FILES
    assert said in refusal(tmp_path, SEVERAL_FILES.replace(right, wrong, 1))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('lost: ["Lost"]', 'lost: ["Lost", "Won"]', "'Won' as both won and lost"),
        ('won: ["Won"]', "won: []", "won must have at least 1 item"),
        ('won: ["Won"]', "won: Won", "must be a list"),
        ("{known: at_creation, except", "{except", "*.known is required"),
        ("{value: other}", "{value: other, default: email}", "needs no map and no default"),
        ("  leads:", "  accounts:", "records.accounts has no key"),
    ],
)
def test_a_faulty_flat_mapping_is_refused(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert said in refusal(tmp_path, FLAT.replace(right, wrong, 1))


def test_times_of_an_undated_export_are_refused(tmp_path: Path) -> None:
    text = UNDATED.replace('lost: ["no"]', 'lost: ["no"], closed_at: end')
    assert "has time: none but takes times from 'end'" in refusal(tmp_path, text)


def test_facts_of_leads_need_leads(tmp_path: Path) -> None:
    text = "records: {lead_events: {file: a.csv, lead: b, occurred_at: c, event: won}}"
    assert "add records.leads" in refusal(tmp_path, text)


@pytest.mark.parametrize("text", ["", "records:", "[]", "a", "a: " + "[" * 600, "\0", "records: {}"])
def test_nothing_much_is_refused(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_a_mapping_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidMapping, match=r"nowhere\.yaml cannot be read"):
        mapping.load(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"timezone: S\xe3o")
    with pytest.raises(InvalidMapping, match=r"latin\.yaml is not UTF-8"):
        mapping.load(tmp_path / "latin.yaml")


def test_the_schema_knows_every_key_of_the_examples() -> None:
    schema = mapping.json_schema()
    assert set(schema["properties"]) == {"timezone", "missing", "decimal", "thousands", "cut", "delivers", "records"}
    leads = schema["$defs"]["Leads"]
    assert set(leads["properties"]) >= {"file", "id", "occurred_at", "group_by", "joins", "outcome", "attributes"}
    assert leads["additionalProperties"] is False
    assert "known" in schema["$defs"]["Extra"]["required"]
    assert "except" in schema["$defs"]["Others"]["properties"]


@given(st.integers(0, len(SEVERAL_FILES)), st.integers(0, 20), st.text(st.characters(codec="utf-8"), max_size=3))
def test_a_damaged_mapping_loads_or_is_refused_in_one_sentence(at: int, cut: int, put: str) -> None:
    message = ""
    with tempfile.TemporaryDirectory() as name:
        try:
            load(Path(name), SEVERAL_FILES[:at] + put + SEVERAL_FILES[at + cut :])
        except InvalidMapping as refused:
            message = str(refused)
    assert "\n" not in message
