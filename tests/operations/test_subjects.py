"""Whom a text names: the person meant, however the address is typed, and nobody whose address only looks alike."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.subjects import InvalidSubject, Subject

MAILBOX = st.from_regex(re.compile(r"[a-z0-9][a-z0-9_.+'-]{0,20}[a-z0-9]"), fullmatch=True)
LABEL = st.from_regex(re.compile(r"[a-z][a-z0-9]{0,10}"), fullmatch=True)
ADDRESS = st.builds("{}@{}.example".format, MAILBOX, LABEL).filter(lambda address: ".." not in address)
AROUND = st.sampled_from(["", " ", "<", ">", '"', "/", "?e=", "&", ":", "\n", "\\n", ",", ". ", "(", ")", " é "])


@given(ADDRESS, AROUND, AROUND, st.booleans(), st.booleans())
def test_a_person_is_named_wherever_the_address_stands_as_a_whole(
    address: str, before: str, after: str, upper: bool, escaped: bool
) -> None:
    written = quote(address, safe="") if escaped else address
    text = f"{before}{written.upper() if upper else written}{after}"
    assert Subject(email=address).named_in(text)
    assert Subject(domain=address.rpartition("@")[2]).named_in(text)


ESCAPES = (
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"&#{ord(each)};" for each in text),
    lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    lambda text: text.replace("%", "%25").replace("@", "%40"),
    lambda text: text.replace("&", "&amp;").replace("@", "&commat;"),
)


@given(ADDRESS, st.lists(st.sampled_from(ESCAPES), min_size=1, max_size=3))
def test_a_person_is_named_however_often_and_however_the_address_is_escaped(address: str, layers: list[Any]) -> None:
    text = address
    for escape in layers:
        text = escape(text)
    assert Subject(email=address).named_in(f"https://x.example/?a={text}")


def test_a_text_of_escapes_is_read_in_a_few_passes() -> None:
    assert Subject(email="ada@acme.example").named_in(f"ada%{'25' * 100_000}40acme.example")
    assert Subject(email="ada@acme.example").named_in(f"ada&{'amp;' * 100_000}#64;acme.example")


@given(ADDRESS, st.text("abc019_.+-'", min_size=1, max_size=5))
def test_an_address_that_ends_or_begins_alike_is_somebody_elses(address: str, more: str) -> None:
    subject = Subject(email=address)
    assert not subject.named_in(f"{more}{address}")
    assert not subject.named_in(f"{address}.org")
    assert not subject.named_in(f"{address}-{more}")
    assert not subject.has(f"{more}{address}")
    assert not Subject(domain=address.rpartition("@")[2]).holds(f"x{address.rpartition('@')[2]}")


def test_unicode_and_punycode_are_one() -> None:
    for subject in (Subject(email="JOSÉ@München.example"), Subject(domain="xn--mnchen-3ya.example")):
        for text in (
            "josé@münchen.example",
            "Jose\u0301@XN--MNCHEN-3YA.example",
            "https://x.test/?to=jos%C3%A9%40MÜNCHEN.example",
        ):
            assert subject.named_in(text), (subject, text)
        assert subject.has("josé@MÜNCHEN.example")


def test_what_lies_below_a_domain_belongs_to_it() -> None:
    jane = Subject(domain="jane.example")
    assert jane.has("hello@shop.jane.example")
    assert jane.holds("www.jane.example")
    assert jane.named_in("https://www.jane.example/cakes")
    assert not jane.named_in("maryjane.example, jane.example.org")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "email"),
        ({"email": "a@b.example", "domain": "b.example"}, "email"),
        ({"email": "nobody"}, "email"),
        ({"domain": "https://b.example"}, "domain"),
        ({"domain": "co.uk"}, "domain"),
        ({"domain": "gmail.com"}, "domain"),
    ],
)
def test_nobody_in_particular_is_refused_without_repeating_it(given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidSubject) as refused:
        Subject(**given)
    assert refused.value.field == field
    assert not any(value in str(refused.value) for value in given.values())
