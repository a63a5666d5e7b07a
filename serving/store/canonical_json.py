"""JSON text. Canonical JSON of equal content has equal bytes."""

from typing import Any, TypeAlias

import orjson

Content: TypeAlias = dict[str, Any]
"""A decision as JSON types, with or without the keys that serving adds."""


def as_json(content: Any) -> bytes:
    """JSON in UTF-8 without spaces, with shortest round-trip numbers.

    A number that is not finite would become null, so the code that computes numbers must keep them finite.

    Raises:
        TypeError: the content has a value that JSON cannot hold, or an integer of more than 64 bits.
    """
    return orjson.dumps(content)


def canonical(content: Any) -> str:
    """Canonical JSON text: `as_json` with the keys of every object in order, so that equal content gives equal text."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
