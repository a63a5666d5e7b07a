"""The reader of request bodies: a UTF-8 JSON object, without anything that two parsers could read differently.

An error names the constraint and the position, and never repeats a sent value or key.
"""

import math
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

import jiter

from features.value_types import MAX_INTEGER

MAX_DEPTH = 16
"""Levels of nested objects and lists at most; the deepest body of this API has 6."""

_CONTAINERS = (dict, list)
_BOM = b"\xef\xbb\xbf"
_POSITION = re.compile(r"at line \d+ column \d+$")


class MalformedBody(ValueError):
    """The body is not JSON that this API reads. The message is safe to send and to log."""


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` holds.

    Raises:
        MalformedBody: the body is no UTF-8 JSON object, or has a key twice, nesting deeper than `MAX_DEPTH`, a number
            that is not finite, an integer beyond 2^53, a NUL character or a lone surrogate.
    """
    if body.startswith(_BOM):
        raise MalformedBody("the body must not start with a byte order mark")
    content = _parse(body)
    if not isinstance(content, dict):
        raise MalformedBody("the body must be a JSON object")
    _check_within(content)
    return content


def _parse(body: bytes) -> Any:
    try:
        return jiter.from_json(body, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        message = str(error)
    position = _POSITION.search(message)
    where = f" {position[0]}" if position else ""
    if message.startswith("Detected duplicate key"):
        raise MalformedBody(f"the body must not name a key twice in one object{where}")
    raise MalformedBody(f"the body must be valid UTF-8 JSON{where}")


def _check_within(content: dict[str, Any]) -> None:
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        inner = [value for container in level for value in _inside(container)]
        level = [value for value in inner if type(value) in _CONTAINERS]
        for value in inner:
            _check(value)
        if not level:
            return
    raise MalformedBody(f"the body must not nest deeper than {MAX_DEPTH} objects or lists")


def _inside(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return chain(container.keys(), container.values()) if isinstance(container, dict) else container


def _check(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise MalformedBody("text must not hold the NUL character")
    elif isinstance(value, float) and not math.isfinite(value):
        raise MalformedBody("numbers must be finite")
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise MalformedBody("integers must lie between -2^53 and 2^53")
