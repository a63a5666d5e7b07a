"""The texts of a mapping: cells are compared folded, and texts that occur in no row are told."""

from collections.abc import Callable
from typing import Any

import pytest

from features.records import Confirmation, Lead
from training.importing.errors import ImportFailure, InvalidFile, InvalidMapping

FLAT = """
{options}
records:
  leads:
    file: a.csv
    id: id
    time: none
    {more}
    attributes: {attributes}
"""


def flat(more: str = "", attributes: str = '{"*": {known: at_creation}}', options: str = "") -> str:
    return FLAT.format(more=more, attributes=attributes, options=options)


@pytest.mark.parametrize("place", ["options", "more"])
def test_missing_texts_are_compared_folded(import_files: Callable[..., Any], place: str) -> None:
    text = flat(**{place: 'missing: ["N/A ", "Select", "Unbekannt"]'})
    done = import_files(text, {"a.csv": "id,x\n1,n/a\n2, SELECT\n3,\uff33elect\n4,Rome\n"})
    assert [dict(done.of("leads")[name].attributes) for name in "1234"] == [{}, {}, {}, {"x": "Rome"}]
    [note] = done.report.notes
    assert "'Unbekannt' (0)" in note


def test_none_texts_are_compared_folded(import_files: Callable[..., Any]) -> None:
    text = flat(attributes='{x: {known: at_creation, none: ["No tool", "Nichts"]}}')
    done = import_files(text, {"a.csv": "id,x\n1,NO TOOL\n2,no tool \n3,Zoom\n"})
    assert [done.of("leads")[name].attributes["x"] for name in "123"] == ["none", "none", "Zoom"]
    assert done.report.notes == ("none of x has texts that occur in no row: 'Nichts' (0)",)


def test_the_choices_of_a_field_are_compared_folded(import_files: Callable[..., Any]) -> None:
    text = (
        flat("fields: {channel: via}")
        + """
  confirmations:
    file: c.csv
    lead: id
    occurred_at: at
    fields: {side: side, subjects: {column: what, split: "+"}}
"""
    )
    files = {
        "a.csv": "id,via\n1,Webinar\n2,EMAIL\n3,Fax\n",
        "c.csv": "id,at,side,what\n1,2026-01-05,Vendor,Fit + INTENT + fit\n",
    }
    done = import_files(text, files)
    channels = [lead.channel for name in "123" if isinstance(lead := done.of("leads")[name].record, Lead)]
    assert channels == ["webinar", "email", None]
    [stored] = done.of("confirmations").values()
    assert isinstance(stored.record, Confirmation)
    assert (stored.record.side, stored.record.subjects) == ("vendor", ("fit", "intent"))


def test_a_map_whose_texts_never_occur_is_told_with_what_became_the_default(import_files: Callable[..., Any]) -> None:
    more = "fields: {channel: {column: via, map: {Partnr: partner_referral, Mail: email}, default: other}}"
    done = import_files(flat(more), {"a.csv": "id,via\n1,Partner\n2,Partner\n3,mail\n4,\n"})
    assert done.report.notes == (
        "the map of leads.channel has texts that occur in no row: 'Partnr' (0)",
        "2 cells of via are not in the map of leads.channel, so they are 'other': 'Partner' (2)",
    )


def test_where_tells_its_texts_that_occur_in_no_row(import_files: Callable[..., Any]) -> None:
    done = import_files(flat('where: {x: ["Deal", "Renwal"]}'), {"a.csv": "id,x\n1,deal\n2,Renewal\n"})
    assert done.report.notes == (
        "1 rows of a.csv do not fit `where` by x",
        "where.x has texts that occur in no row: 'Renwal' (0)",
    )
    with pytest.raises(InvalidFile, match=r"no row that fits `where`: x holds 'deal' \(1\), 'Renewal' \(1\)"):
        import_files(flat('where: {x: ["Task"]}'), {})


def test_one_text_cannot_mean_two_things(import_files: Callable[..., Any]) -> None:
    more = "fields: {channel: {column: via, map: {Mail: email, mail: social}}}"
    with pytest.raises(InvalidMapping, match="'Mail' and 'mail' in its map, which are one text"):
        import_files(flat(more), {})
    same = "fields: {channel: {column: via, map: {Mail: email, mail: email}}}"
    assert import_files(flat(same), {"a.csv": "id,via\n1,MAIL\n"}).report.rejected == {}


DATED = """
records:
  accounts: {file: b.csv, id: account}
  leads: {file: a.csv, id: id, occurred_at: at}
"""
EVENTS = DATED + "  lead_events: {file: e.csv, lead: id, occurred_at: at, %s}\n"
FILES = {"b.csv": "account\nA\n", "a.csv": "id,at\n1,2026-01-05\n"}


def test_an_import_of_which_every_lead_is_rejected_fails_whatever_else_it_has(
    import_files: Callable[..., Any], sink: Any
) -> None:
    said = r"every row of leads was rejected.*created_at must be a date or time.*\(1\)"
    with pytest.raises(ImportFailure, match=said):
        import_files(DATED, {**FILES, "a.csv": "id,at\n1,01/05/2026\n"})
    assert sink.calls == 0


@pytest.mark.parametrize(
    ("event", "rows", "said"),
    [
        ("event: won", "9,2026-02-01,x", r"every row of lead_events was rejected.*lead_id must be the id"),
        ("event: lost", "1,2025-02-01,x", r"every row of lead_events was rejected.*before the creation \(1\)"),
        (
            "fields: {event: {column: what, map: {W: won, L: lost}, default: stage}}",
            "1,2026-02-01,Win",
            r"no row of lead_events is won or lost.*what holds 'Win' \(1\)",
        ),
    ],
)
def test_a_first_import_whose_events_close_no_lead_fails(
    import_files: Callable[..., Any], sink: Any, event: str, rows: str, said: str
) -> None:
    files = {**FILES, "e.csv": f"id,at,what\n{rows}\n"}
    with pytest.raises(ImportFailure, match=said):
        import_files(EVENTS % event, files, first=True)
    assert sink.calls == 0
    assert import_files(EVENTS % event, files).report.outcomes["open"] == 1


@pytest.mark.parametrize(("event", "rows"), [("event: won", ""), ("event: stage", "1,2026-02-01,x\n")])
def test_a_first_import_without_events_of_closes_is_no_fault(
    import_files: Callable[..., Any], event: str, rows: str
) -> None:
    done = import_files(EVENTS % event, {**FILES, "e.csv": f"id,at,what\n{rows}"}, first=True)
    assert done.report.outcomes == {"won": 0, "lost": 0, "open": 1}


def test_a_first_import_whose_closes_are_all_rejected_fails(import_files: Callable[..., Any], sink: Any) -> None:
    text = DATED.replace("occurred_at: at}", 'occurred_at: at, outcome: {column: s, won: ["Won"], closed_at: end}}')
    files = {**FILES, "a.csv": "id,at,s,end\n1,2026-01-05,Won,\n2,2026-01-05,Open,\n"}
    with pytest.raises(
        ImportFailure, match=r"every won and lost row of leads was rejected.*closed_at is missing \(1\)"
    ):
        import_files(text, files, first=True)
    assert sink.calls == 0


def test_a_long_column_is_named_shortly(import_files: Callable[..., Any]) -> None:
    more = 'outcome: {column: x, won: ["Won"]}'
    rows = "".join(f"{n},v{n}\n" for n in range(500))
    with pytest.raises(ImportFailure, match=r"and 495 more$"):
        import_files(flat(more), {"a.csv": f"id,x\n{rows}"}, first=True)


def test_a_file_of_which_every_row_is_rejected_is_told(import_files: Callable[..., Any]) -> None:
    text = DATED + "  touchpoints: {file: t.csv, lead: id, occurred_at: at, fields: {channel: {value: email}}}\n"
    done = import_files(text, {**FILES, "t.csv": "id,at\n1,soon\n"})
    assert done.report.notes == (
        "every row of t.csv was rejected, so the import has no touchpoints of it; check their mapping",
    )
