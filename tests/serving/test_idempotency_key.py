"""The Idempotency-Key header: which texts name a key, and which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.idempotency import MAX_KEY, parse_key
from serving.http.problems import Problem

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_KEY)


@given(PRINTABLE)
def test_a_quoted_string_names_what_it_quotes(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{quoted}"') == key


@given(
    st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='",\\'), min_size=1, max_size=MAX_KEY
    )
)
def test_a_bare_key_is_the_same_as_a_quoted_one(key: str) -> None:
    assert parse_key(key) == parse_key(f'"{key}"') == key


@pytest.mark.parametrize("text", ["a b", "a,b", 'a"', '"a', '"a"b', '"a\\b"', "a\\b", "é", "\x7f", '"a";v=1'])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="1 to 255 ASCII characters") as raised:
        parse_key(text)
    assert raised.value.status == 400


@pytest.mark.parametrize("length", [0, MAX_KEY + 1])
@pytest.mark.parametrize("quotes", ["", '"'])
def test_a_key_has_bounds(length: int, quotes: str) -> None:
    with pytest.raises(Problem):
        parse_key(f"{quotes}{'k' * length}{quotes}")
