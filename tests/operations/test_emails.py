"""When two e-mail addresses are one."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.emails import email_key

MAILBOX = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="@"), min_size=1, max_size=20)


@given(MAILBOX, st.sampled_from(["acme.example", "ACME.example", "münchen.example", "XN--MNCHEN-3YA.example"]))
def test_the_key_of_a_key_is_itself(mailbox: str, domain: str) -> None:
    key = email_key(f"{mailbox}@{domain}")
    assert email_key(key) == key


@given(MAILBOX, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_form_does_not_tell_mailboxes_apart(mailbox: str, form: str) -> None:
    other = unicodedata.normalize(form, mailbox)
    assert email_key(f"{other}@acme.example") == email_key(f"{mailbox}@acme.example")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CTO@Acme.Example", "cto@acme.example"),
        ("cto@münchen.example", "cto@xn--mnchen-3ya.example"),
        ("straße@acme.example", "STRASSE@acme.example"),
        ("ｃｔｏ@acme.example", "cto@acme.example"),
    ],
)
def test_one_address_typed_in_two_ways(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


@pytest.mark.parametrize("other", ["c.to@acme.example", "cto+news@acme.example", "cto@mail.acme.example"])
def test_other_addresses_stay_others(other: str) -> None:
    assert email_key(other) != email_key("cto@acme.example")
