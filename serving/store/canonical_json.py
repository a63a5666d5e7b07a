"""JSON text; canonical JSON is the same, byte for byte, for equal content."""

from typing import Any, TypeAlias

import orjson

Content: TypeAlias = dict[str, Any]
"""A decision's JSON form, with or without the keys that serving adds."""


def as_json(content: Any) -> bytes:
    """JSON in UTF-8 without spaces, with shortest round-trip numbers.

    A number that is not finite would be null, so who computes numbers sees to it that they are.

    Raises:
        TypeError: something in it is of no type of JSON, or an integer of more than 64 bits.
    """
    return orjson.dumps(content)


def canonical(content: Any) -> str:
    """The same as text, with the keys of every object in order, so that it is the same for equal content."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
