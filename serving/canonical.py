"""Canonical JSON: text that is the same, byte for byte, for equal content."""

import json
from typing import Any

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def canonical(content: Any) -> str:
    """JSON text that is the same for equal content: sorted keys, no spaces, shortest round-trip numbers.

    Raises:
        ValueError: a number is not finite.
    """
    return _ENCODER.encode(content)
