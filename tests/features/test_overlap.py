"""Reading a partner's list, matching it, and what a wrong match leaves behind."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.overlap.matching import (
    DETAILED_CURVE,
    DOMAIN_CONFIDENCE,
    MAX_COMPANIES,
    MIN_CONFIDENCE,
    NAME_CURVE,
    Index,
    Profile,
    confidence_of,
    plain_name,
)
from features.overlap.partner_list import (
    Columns,
    InvalidKey,
    InvalidList,
    PartnerList,
    hash_list,
    keyed_hash,
    read_list,
)
from features.overlap.shared_customers import (
    MIN_SHOWN,
    MatchedList,
    UnknownOverlap,
    account_profiles,
    accounts_marked_wrong,
    mark_wrong,
    match_list,
    to_records,
    unmark_wrong,
)
from features.records import KINDS, Row, Stored, parse
from features.value_types import parse_instant
from features.versions import newest_versions

NOW = parse_instant("2026-11-01T00:00:00Z")
KEY = b"sixteen bytes at least"
HEADER = ("domain", "name", "country", "relationship", "since")


def csv_of(*rows: Sequence[str], header: Sequence[str] = HEADER) -> list[bytes]:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue().encode().splitlines(keepends=True)


def listed(*rows: Sequence[str], **options: Any) -> PartnerList:
    return read_list(csv_of(*rows), until=NOW, **options)


def account(account_id: str, domain: str | None = None, name: str | None = None, country: str | None = None) -> Row:
    content = {"account_id": account_id, "domain": domain, "name": name, "country": country, "recorded_at": 0}
    kind = KINDS["accounts"]
    return Stored(kind, account_id, parse(kind, content)).row()


def found(rows: Sequence[Sequence[str]], accounts: Sequence[Row], key: bytes | None = None) -> MatchedList:
    known = read_list(csv_of(*rows), until=NOW, hashed=key is not None)
    return match_list(known.companies, Index(account_profiles(accounts, key)))


def matched(result: MatchedList) -> dict[str, float]:
    return {one.account_id: one.match.confidence for one in result.overlaps}


ACME = account("A-1", "acme.com", "Acme Widgets", "DE")
ZEBRA = account("A-2", "zebra.fr", "Zebra Énergie S.A.", "FR")
BARE = account("A-3", None, "Nimbus Harbour", "US")
ACCOUNTS = (ACME, ZEBRA, BARE, account("A-4", "gmail.com", "Gmail User", "US"))


# Reading


def test_rubbish_rows_are_rejected_with_number_and_reason_and_the_rest_goes_on() -> None:
    good = [("acme.com", "", "", "", "")] * 10
    rubbish = [
        ("n/a", "x", "", "", ""),
        ("acme.com", "", "Germany", "", ""),
        ("acme.com", "", "", "friend", ""),
        ("acme.com", "", "", "", "2999-01-01"),
        ("acme.com", "", "", "", "2026-11-02"),
        ("", "", "DE", "", ""),
        ("acme.com", "too", "few"),
        ("acme.com", "x" * 501, "", "", ""),
        ("acme.com", "nul\0", "", "", ""),
    ]
    known = listed(*good, *rubbish)
    assert [one.row for one in known.companies] == list(range(1, 11))
    assert [one.row for one in known.rejections] == list(range(11, 20))
    assert [one.field for one in known.rejections] == [
        "domain", "country", "relationship", "since", "since", "domain", "row", "name", "name"
    ]  # fmt: skip
    assert all(one.reason for one in known.rejections)


def test_a_stray_quotation_mark_or_another_encoding_spoils_its_own_row_only() -> None:
    lines = csv_of(("a.com", "", "", "", ""), ("b.com", "", "", "", ""), ("c.com", "", "", "", ""))
    lines[2:2] = [b'"broken.com,,,,\r\n', "münchen.de,,,,\r\n".encode("latin-1"), b"\r\n", b",,,,\r\n"]
    known = read_list(lines, until=NOW)
    assert [one.profile.domain for one in known.companies] == ["a.com", "b.com", "c.com"]
    assert [(one.row, one.field) for one in known.rejections] == [(2, "row"), (3, "row")]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_rows_or_rejections_or_refused(lines: list[bytes]) -> None:
    try:
        known = read_list([b"domain,name\n", *lines], until=NOW)
    except InvalidList:
        return
    assert len(known.rejections) <= len(known.companies) <= len(lines) - len(known.rejections)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([], "no column"),
        ([b"domain,name\n"], "no rows"),
        ([b"company;country\n", b"a;b\n"], "no column"),
        ([b"domain,Domain\n", b"a.com,b.com\n"], "twice"),
        ([b"\xff\xfed\x00o\x00\n"], "UTF-8"),
        ([b"domain\n", b"rubbish\n", b"more\n", b"a.com\n"], "2 of its 3 rows"),
    ],
)
def test_a_list_of_wrong_layout_is_refused_whole(lines: list[bytes], word: str) -> None:
    with pytest.raises(InvalidList, match=word):
        read_list(lines, until=NOW)


def test_columns_have_the_names_one_says_in_any_case() -> None:
    lines = csv_of(("acme.com", "x"), header=("Website", "Notes"))
    assert read_list(lines, columns=Columns(domain="website"), until=NOW).companies[0].profile.domain == "acme.com"
    with pytest.raises(InvalidList, match="no column Land"):
        read_list(csv_of(("acme.com",), header=("domain",)), columns=Columns(country="Land"), until=NOW)


def test_a_row_says_its_relationship_else_the_upload_does() -> None:
    known = listed(("a.com", "", "", "Prospect", ""), ("b.com", "", "uk", "", "2025-03-01"), relationship="opportunity")
    assert [one.relationship for one in known.companies] == ["prospect", "opportunity"]
    assert known.companies[1].profile.country == "GB"


# Matching


def test_the_domain_counts_before_the_name() -> None:
    result = found([("https://www.ACME.com/x", "Zebra Énergie", "FR", "", "")], ACCOUNTS)
    assert matched(result) == {"A-1": DOMAIN_CONFIDENCE}


@pytest.mark.parametrize(
    ("name", "country", "account_id"),
    [
        ("ZEBRA ENERGIE SA", "FR", "A-2"),
        ("The Nimbus Harbour, Inc.", "US", "A-3"),
        ("Nimbus Harbour", "CA", None),
        ("Quite Another", "US", None),
    ],
)
def test_names_match_without_case_accents_and_legal_form_in_their_country(
    name: str, country: str, account_id: str | None
) -> None:
    result = found([("", name, country, "", "")], ACCOUNTS)
    assert list(matched(result)) == [account_id] * (account_id is not None)
    assert result.unmatched == (account_id is None)


def test_an_unknown_country_and_another_domain_lower_the_confidence_of_a_name() -> None:
    sure = matched(found([("", "Acme Widgets", "DE", "", "")], ACCOUNTS))["A-1"]
    for doubtful in (("", "Acme Widgets", "", "", ""), ("other.com", "Acme Widgets", "DE", "", "")):
        assert MIN_CONFIDENCE <= matched(found([doubtful], ACCOUNTS))["A-1"] < sure < DOMAIN_CONFIDENCE


def test_free_mail_hubs_and_agencies_never_match_and_are_named_and_counted() -> None:
    accounts = [*ACCOUNTS, *(account(f"B-{n}", "bureau.com") for n in range(MAX_COMPANIES + 1))]
    rows = [("gmail.com", "", "", "", "")] * 2 + [("bureau.com", "", "", "", ""), ("facebook.com/acme", "", "", "", "")]
    rows += [("agency.de", f"Client {word}", "DE", "", "") for word in ("Ay", "Bee", "Sea", "Dee", "Eve", "Eff")]
    result = found(rows, [*accounts, account("C-1", "agency.de")])
    assert not result.overlaps
    assert result.never_matched == {
        ("agency.de", "many companies"): 6,
        ("gmail.com", "free mail"): 2,
        ("bureau.com", "many companies"): 1,
        ("facebook.com", "social"): 1,
    }


def test_a_row_with_a_shared_domain_still_matches_by_its_name() -> None:
    assert list(matched(found([("gmail.com", "Nimbus Harbour", "US", "", "")], ACCOUNTS))) == ["A-3"]


def test_equals_share_the_confidence_and_a_country_decides_among_them() -> None:
    twins = (account("A-1", "acme.com", "Acme", "DE"), account("A-2", "shop.acme.com", "Acme", "FR"))
    assert matched(found([("acme.com", "", "", "", "")], twins)) == {"A-1": 0.475, "A-2": 0.475}
    assert matched(found([("acme.com", "", "FR", "", "")], twins)) == {"A-2": DOMAIN_CONFIDENCE}


def test_the_best_row_of_an_account_counts_and_the_first_of_equals() -> None:
    rows = [("", "Acme Widgets", "DE", "", ""), ("acme.com", "", "", "", ""), ("www.acme.com", "", "", "", "")]
    [one] = found(rows, ACCOUNTS).overlaps
    assert (one.company.row, one.match.by) == (2, "domain")


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([NAME_CURVE, DETAILED_CURVE]))
def test_confidence_never_falls_with_similarity(one: float, other: float, curve: Any) -> None:
    low, high = sorted((one, other))
    assert 0 <= confidence_of(low, curve) <= confidence_of(high, curve) < DOMAIN_CONFIDENCE


WORDS = st.sampled_from(["nimbus", "harbour", "zebra", "energie", "acme", "widgets", "works", "north"])
NAMES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
PROFILES = st.builds(
    Profile,
    id=st.uuids().map(str),
    domain=st.none() | st.sampled_from(["a.com", "b.com", "c.com"]),
    name=st.none() | NAMES,
    country=st.none() | st.sampled_from(["DE", "FR"]),
)


@given(st.lists(PROFILES, max_size=12), PROFILES)
def test_matches_are_possible_and_their_order_and_confidence_follow_from_the_input(
    ours: list[Profile], sought: Profile
) -> None:
    matches = Index(ours).matches(sought)
    assert matches == Index(ours).matches(sought)
    assert len({match.confidence for match in matches}) <= 1
    assert {match.profile for match in matches} == {match.profile for match in Index(ours[::-1]).matches(sought)}
    for match in matches:
        assert 0 < match.confidence <= DOMAIN_CONFIDENCE
        if match.by == "domain":
            assert match.profile.domain == sought.domain
        else:
            assert match.profile.country in (None, sought.country) or sought.country is None


@given(NAMES, st.sampled_from(["Ltd", "GmbH", "S.A.", "Inc.", "& Co. KG"]))
def test_plain_names_are_plain(name: str, form: str) -> None:
    assert plain_name(f"The {name.title()}, {form}") == plain_name(name) == plain_name(plain_name(name))


# Keyed hashes


def test_hashed_lists_match_the_same_accounts_and_tell_nothing_else() -> None:
    known = listed(
        ("www.acme.com", "Acme", "DE", "customer", "2025-01-01"),
        ("secret.com", "Secret", "DE", "prospect", ""),
        ("gmail.com", "Someone", "", "", ""),
        ("", "Nameless", "DE", "", ""),
    )
    rows = list(hash_list(known, KEY))
    assert rows == sorted(rows)
    assert len(rows) == 2
    assert not [
        cell for row in rows for cell in row if any(word in cell.lower() for word in ("acme", "secret", "mail"))
    ]
    lines = csv_of(*rows, header=("domain", "relationship", "since"))
    again = match_list(read_list(lines, until=NOW, hashed=True).companies, Index(account_profiles(ACCOUNTS, KEY)))
    assert matched(again) == {"A-1": DOMAIN_CONFIDENCE}
    other = match_list(
        read_list(lines, until=NOW, hashed=True).companies,
        Index(account_profiles(ACCOUNTS, KEY[::-1])),
    )
    assert not other.overlaps


def test_plain_lists_are_no_hashed_ones_nor_the_other_way_round() -> None:
    with pytest.raises(InvalidList):
        listed(("acme.com", "", "", "", ""), hashed=True)
    with pytest.raises(InvalidList):
        listed((keyed_hash(KEY, "acme.com"), "", "", "", ""))
    with pytest.raises(InvalidKey, match="16"):
        keyed_hash(b"short", "acme.com")


# Records


def upload(rows: Sequence[Sequence[str]], at: int, history: Sequence[Row] = ()) -> list[Row]:
    apart = accounts_marked_wrong(history, "P-1")
    stored = to_records(found(rows, ACCOUNTS).without(apart), "P-1", "list.csv", at)
    return [one.row() for one in stored]


LIST = [
    ("acme.com", "", "", "customer", "2025-03-01"),
    ("zebra.fr", "", "", "", ""),
    ("acme.com", "", "", "prospect", ""),
]


def test_an_overlap_keeps_source_age_confidence_and_reason() -> None:
    first = upload(LIST, NOW)[0]
    assert (first["account_id"], first["partner_id"], first["relationship"]) == ("A-1", "P-1", "customer")
    assert (first["recorded_at"], first["occurred_at"]) == (NOW, parse_instant("2025-03-01T00:00:00Z"))
    assert (first["source"], first["reason"]) == ("row 1 of list.csv", "same registrable domain")
    assert first["confidence"] == DOMAIN_CONFIDENCE


def test_a_list_uploaded_again_makes_new_versions_of_the_same_overlaps() -> None:
    first, second = upload(LIST, NOW), upload(LIST[::-1], NOW + 1)
    assert len({row["shared_customer_id"] for row in first}) == 3
    assert {row["shared_customer_id"] for row in first} == {row["shared_customer_id"] for row in second}
    assert {row["recorded_at"] for row in second} == {NOW + 1}


def test_a_wrong_match_is_lowered_remembered_and_can_be_taken_back() -> None:
    history = upload(LIST, NOW)
    wrong_id = history[0]["shared_customer_id"]
    history += [one.row() for one in mark_wrong(history, wrong_id, "ana", NOW + 1)]
    marked = [row for row in history if row["confidence"] == 0]
    assert {row["relationship"] for row in marked} == {"customer", "prospect"}
    assert accounts_marked_wrong(history, "P-1") == {"A-1"}
    assert not accounts_marked_wrong(history, "P-2")
    assert {(row["account_id"], row["confidence"]) for row in marked} == {("A-1", 0.0)}
    assert all("ana on 2026-11-01" in row["reason"] for row in marked)
    again = upload([*LIST, ("acme.com", "", "", "opportunity", "")], NOW + 2, history)
    assert {row["account_id"] for row in again} == {"A-2"}
    with pytest.raises(UnknownOverlap, match="--undo"):
        mark_wrong(history, wrong_id, "ana", NOW + 2)
    history += [one.row() for one in unmark_wrong(history, wrong_id, NOW + 3)]
    assert not accounts_marked_wrong(history, "P-1")
    revived = newest_versions(history, KINDS["shared_customers"])[wrong_id]
    assert (revived["confidence"], revived["reason"]) == (DOMAIN_CONFIDENCE, "same registrable domain")
    with pytest.raises(UnknownOverlap, match="not marked"):
        unmark_wrong(history, wrong_id, NOW + 4)
    with pytest.raises(UnknownOverlap, match="there is no overlap"):
        mark_wrong(history, "nowhere", "ana", NOW + 4)


def test_counts_hide_small_numbers_and_none() -> None:
    accounts = [account(f"A-{n}", f"company{n}.com") for n in range(MIN_SHOWN)]
    rows = [(f"company{n}.com", "", "", "customer", "") for n in range(MIN_SHOWN)]
    rows += [(f"company{n}.com", "", "", "prospect", "") for n in range(MIN_SHOWN - 1)]
    assert found(rows, accounts).counts() == {
        "customer": MIN_SHOWN,
        "opportunity": None,
        "prospect": None,
    }
