"""Requests that must be refused: bodies, values, addresses, headers and cursors, each with a canary to look out for."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

CANARY = "canary-5e1f"
_TEXT = CANARY.encode()
_DEEP = 100_000

BODIES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "list": b'["%s"]' % _TEXT,
    "text": b'"%s"' % _TEXT,
    "bare": _TEXT,
    "not a number": b'{"%s": NaN}' % _TEXT,
    "infinity": b'{"%s": -Infinity}' % _TEXT,
    "overflow": b'{"%s": 1e999}' % _TEXT,
    "beyond int64": b'{"%s": 9223372036854775808}' % _TEXT,
    "beyond doubles": b'{"%s": 9007199254740993}' % _TEXT,
    "thousands of digits": b'{"%s": %s}' % (_TEXT, b"9" * 5000),
    "hexadecimal": b'{"%s": 0x10}' % _TEXT,
    "leading zero": b'{"%s": 01}' % _TEXT,
    "plus": b'{"%s": +1}' % _TEXT,
    "lone surrogate": b'{"%s": "\\ud800"}' % _TEXT,
    "swapped surrogates": b'{"%s": "\\udc00\\ud800"}' % _TEXT,
    "surrogate in UTF-8": b'{"%s": "\xed\xa0\x80"}' % _TEXT,
    "invalid UTF-8": b'{"%s": "\xff\xfe"}' % _TEXT,
    "overlong UTF-8": b'{"%s": "\xc0\xaf"}' % _TEXT,
    "NUL": b'{"%s": "\\u0000"}' % _TEXT,
    "raw NUL": b'{"%s": "\x00"}' % _TEXT,
    "NUL after": b'{"%s": 1}\x00' % _TEXT,
    "raw line break": b'{"%s": "a\tb"}' % _TEXT,
    "key twice": b'{"%s": 1, "%s": 2}' % (_TEXT, _TEXT),
    "key twice, escaped": b'{"%s": 1, "\\u0063%s": 2}' % (_TEXT, _TEXT[1:]),
    "deep lists": b"[" * _DEEP + b"]" * _DEEP,
    "deep objects": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "deep, without end": b'{"a":' * _DEEP,
    "byte order mark": b'\xef\xbb\xbf{"%s": 1}' % _TEXT,
    "UTF-16": f'{{"{CANARY}": 1}}'.encode("utf-16"),
    "UTF-32": f'{{"{CANARY}": 1}}'.encode("utf-32"),
    "compressed": gzip.compress(b'{"%s": 1}' % _TEXT),
    "rubbish after": b'{"%s": 1} %s' % (_TEXT, _TEXT),
    "two objects": b'{"%s": 1}{"%s": 1}' % (_TEXT, _TEXT),
    "comma too many": b'{"%s": 1,}' % _TEXT,
    "single quotes": b"{'%s': 1}" % _TEXT,
    "comment": b'{"%s": 1 /* %s */}' % (_TEXT, _TEXT),
    "without end": b'{"%s": "' % _TEXT,
    "form": b"%s=1&a=2" % _TEXT,
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;%s</a>' % _TEXT,
    "prototype": b'{"__proto__": {"%s": 1}}' % _TEXT,
    "homoglyph": '{"leаd": "%s"}'.encode() % _TEXT,
    "unknown": b'{"%s": "%s"}' % (_TEXT, _TEXT),
    "huge list": b'{"items": [%s]}' % b",".join([b"1"] * 100_000),
    "too large": b'{"%s": "%s"}' % (_TEXT, b"a" * 3 * 2**20),
}
"""No body of any writing route, and no line of many."""

_ANY: tuple[Any, ...] = (
    {CANARY: CANARY},
    [[CANARY]],
    f"{CANARY}\0",
    CANARY * 10_000,
    2**63,
    -(2**64),
    10**400,
    float("nan"),
    float("inf"),
)
"""No value of any field."""
_NO_TEXT: tuple[Any, ...] = (7, True, [CANARY], "")
_NO_NUMBER: tuple[Any, ...] = (True, "7", CANARY, 2**53 + 2)
_NO_FLAG: tuple[Any, ...] = (1, 0, "true", CANARY)
_NO_MOMENT: tuple[Any, ...] = (
    "2026-02-30T00:00:00Z",
    "2026-01-01T25:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "٢٠٢٦-01-01T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "20260101T000000Z",
    f"2026-01-01T00:00:00Z{CANARY}",
    1767225600,
    1767225600.5,
)
_NO_DAY: tuple[Any, ...] = ("2026-02-30", "2026-1-1", "1969-12-31", "2201-01-01", "2026-01-01T00:00:00", CANARY, 20454)
_NO_EMAIL: tuple[Any, ...] = (
    CANARY,
    f"{CANARY}@",
    f"@{CANARY}.example",
    f"{CANARY}@@acme.example",
    f"{CANARY} @acme.example",
    f"{CANARY}@acme..example",
    f"{CANARY}@-acme.example",
    f"{CANARY}@acme.example\r\nBcc: all@acme.example",
    f"<{CANARY}@acme.example>",
    f"{CANARY}@[127.0.0.1",
    f"{CANARY * 30}@acme.example",
    f"{CANARY * 6}@acme.example",
)


def values(name: str, value: Any) -> Iterator[Any]:
    """What must be refused in place of a value of an example."""
    yield from _ANY
    if isinstance(value, bool):
        yield from _NO_FLAG
    elif isinstance(value, int | float):
        yield from _NO_NUMBER
    elif name == "email":
        yield from _NO_EMAIL
    elif name.endswith(("_at", "as_of")) or (name == "since" and "T" in value):
        yield from _NO_MOMENT
    elif name in ("day", "since", "until", "referral_date"):
        yield from _NO_DAY
    else:
        yield from _NO_TEXT


def spoilt(content: Any) -> Iterator[Any]:
    """An example with one thing wrong, for each of its values; and with a field too many, for each of its objects."""
    if isinstance(content, dict):
        yield {**content, CANARY: CANARY}
        for name, value in content.items():
            parts = spoilt(value) if isinstance(value, dict | list) else values(name, value)
            yield from ({**content, name: part} for part in parts)
    elif content and isinstance(content[0], dict):
        yield from ([part, *content[1:]] for part in spoilt(content[0]))


IDS = (
    f"{CANARY}%00",
    f"{CANARY}%ff%fe",
    f"{CANARY}%ed%a0%80",
    f"{CANARY}%2f..%2f..%2fetc%2fpasswd",
    f"{CANARY}/../../{CANARY}",
    f"{CANARY}%0d%0aSet-Cookie:%20a=b",
    f"{CANARY}%1f%7f",
    f"{CANARY}%",
    f"{CANARY}%zz",
    f"{CANARY}%u0041",
    f"{CANARY}%E2%80%AE",
    f"{CANARY}%252F",
    f"{CANARY};a=b",
    f"{CANARY}'%20OR%201=1--",
    CANARY * 400,
    "%20",
    "%2E%2E",
)
"""In a path."""

HEADERS: tuple[tuple[str, bytes], ...] = (
    *(
        ("Idempotency-Key", value)
        for value in (b"", b'"', b"a b %s" % _TEXT, b"%s," % _TEXT, b"\xff%s" % _TEXT, _TEXT * 30, b'"%s' % _TEXT)
    ),
    *(("Eql-Dry-Run", value) for value in (b"", b"TRUE", b"1", b"yes %s" % _TEXT, b"\xff", b"true, true")),
    *(("Content-Type", value) for value in (b"text/xml", b"multipart/form-data; boundary=a", b"image/png")),
    *(("Content-Type", value) for value in (b"application/json; charset=utf-16", b"application/%s" % _TEXT)),
    *(("Content-Encoding", value) for value in (b"gzip", b"br", _TEXT)),
    *(("X-Api-Key", value) for value in (b"", _TEXT, b"\xff\xfe", b"eql_live_" + b"a" * 5000)),
    *(("Authorization", value) for value in (b"Bearer %s" % _TEXT, b"Bearer \xff")),
)
"""With each of these a request that is sound is refused."""
REQUEST_IDS = (b"\xff%s" % _TEXT, b"%s\t" % _TEXT, b"a" + _TEXT * 30, b"<%s>" % _TEXT, b"a%sb:" % _TEXT)
"""Ids of requests that are not repeated."""


def _cursor(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


CURSORS = (
    CANARY,
    "%00",
    "%ff",
    "A" * 3000,
    "====",
    *map(_cursor, ([], {}, None, {"after": CANARY}, {"after": []}, {"after": [[]]}, {"after": [None]})),
    *map(_cursor, ({"after": [1, 2, 3]}, {"after": [2**63]}, {"after": [10**400]}, {"after": [True]})),
    *map(_cursor, ([1, 2], [1, 2, 3], [2**63, 1, CANARY], [1, 1, "\0"], ["1", "2", CANARY], 2**63, -1)),
    base64.urlsafe_b64encode(b'{"after": [NaN]}').decode(),
    base64.urlsafe_b64encode(b'{"after": ["\\ud800"]}').decode(),
    base64.urlsafe_b64encode(b'{"after": ["\\u0000"]}').decode(),
    base64.urlsafe_b64encode(b"[" * 2000).decode(),
)
