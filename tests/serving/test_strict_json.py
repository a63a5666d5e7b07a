import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.value_types import MAX_INTEGER
from serving.http.strict_json import MAX_DEPTH, MalformedBody, read_object

NASTY = {
    "nothing": b"",
    "white space": b" \n",
    "not JSON": b"CANARY",
    "cut short": b'{"CANARY": "CANAR',
    "something after the end": b'{"a": 1} CANARY',
    "two objects": b'{"CANARY": 1}{"CANARY": 2}',
    "a list": b'["CANARY"]',
    "text": b'"CANARY"',
    "a number": b"7",
    "null": b"null",
    "single quotes": b"{'CANARY': 1}",
    "a trailing comma": b'{"CANARY": 1,}',
    "a comment": b'{"CANARY": 1 /* CANARY */}',
    "an unquoted key": b"{CANARY: 1}",
    "a leading zero": b'{"CANARY": 01}',
    "a plus sign": b'{"CANARY": +1}',
    "hexadecimal": b'{"CANARY": 0x1F}',
    "a byte order mark": b'\xef\xbb\xbf{"CANARY": 1}',
    "UTF-16": '{"CANARY": 1}'.encode("utf-16"),
    "UTF-32": '{"CANARY": 1}'.encode("utf-32-le"),
    "Latin-1": '{"CANARY": "Ä"}'.encode("latin-1"),
    "overlong UTF-8": b'{"CANARY": "\xc0\xaf"}',
    "bytes beyond Unicode": b'{"CANARY": "\xf5\x80\x80\x80"}',
    "a surrogate in bytes": b'{"CANARY": "\xed\xa0\x80"}',
    "a lone leading surrogate": b'{"CANARY": "\\ud800"}',
    "a lone trailing surrogate": b'{"CANARY": "\\udc00 CANARY"}',
    "two leading surrogates": b'{"CANARY": "\\ud800\\ud800"}',
    "surrogates the wrong way round": b'{"CANARY": "\\udc00\\ud800"}',
    "a lone surrogate in a key": b'{"CANARY\\ud83d": 1}',
    "an escaped NUL": b'{"CANARY": "CANARY\\u0000"}',
    "an escaped NUL in a key": b'{"CANARY\\u0000": 1}',
    "a NUL byte": b'{"CANARY": "CANARY\x00"}',
    "a NUL byte at the end": b'{"CANARY": 1}\x00',
    "a control character": b'{"CANARY": "a\x01b"}',
    "a raw line break in text": b'{"CANARY": "a\nb"}',
    "an unknown escape": b'{"CANARY": "\\x41"}',
    "NaN": b'{"CANARY": NaN}',
    "Infinity": b'{"CANARY": Infinity}',
    "-Infinity": b'{"CANARY": [-Infinity]}',
    "a real that overflows": b'{"CANARY": 1e999}',
    "a negative real that overflows": b'{"CANARY": {"CANARY": [-1.5E400]}}',
    "an integer beyond 2^53": b'{"CANARY": 9007199254740993}',
    "an integer beyond -2^53": b'{"CANARY": -9007199254740993}',
    "an integer beyond 2^63": b'{"CANARY": 9223372036854775808}',
    "an integer of 5,000 digits": b'{"CANARY": ' + b"9" * 5000 + b"}",
    "a key twice": b'{"CANARY": 1, "CANARY": 2}',
    "a key twice, once escaped": b'{"CANARY": 1, "\\u0043ANARY": 2}',
    "a key twice further in": b'{"a": [{"CANARY": {"CANARY": 1, "CANARY": 1}}]}',
    "nesting": b'{"CANARY": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "nesting of objects": b'{"CANARY": ' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "nesting that would exhaust a stack": b"[" * 100_000,
    "nesting of objects that would exhaust a stack": b'{"CANARY":' * 100_000,
}


@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY.keys())
def test_a_nasty_body_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(MalformedBody) as raised:
        read_object(body)
    assert "CANARY" not in str(raised.value)
    assert str(raised.value).startswith(("the body must", "numbers must", "integers must", "text must"))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_refusal_says_where() -> None:
    with pytest.raises(MalformedBody, match="name a key twice in one object at line 2 column"):
        read_object(b'{"a": 1,\n "a": 2}')


def test_what_is_allowed_up_to_the_limit_is_read() -> None:
    deep = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1) + b"}"
    assert read_object(deep)["a"]
    assert read_object(b'{"a": 9007199254740992, "b": -9007199254740992}') == {"a": MAX_INTEGER, "b": -MAX_INTEGER}
    assert read_object(b'{"a": "\\ud83d\\ude00", "b": 1.7976931348623157e308}')["a"] == "\U0001f600"
    assert read_object(b' \r\n{"a": {"b": 1}, "b": {"b": 1}}\t') == {"a": {"b": 1}, "b": {"b": 1}}


plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(plain_text, inner), max_leaves=8)


@given(st.dictionaries(plain_text, values), st.booleans())
def test_every_other_object_is_read_as_it_is(content: dict, ascii_only: bool) -> None:
    assert read_object(json.dumps(content, ensure_ascii=ascii_only).encode()) == content


@given(st.binary())
def test_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedBody):
        assert read_object(body) == json.loads(body)
