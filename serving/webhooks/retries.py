"""When to try again: the schedule of Svix, whose last delay goes on for five days, stretched at random.

Eight attempts would not do: of 100,000 events to a receiver that fails three times in ten some six would get none
through. Stretched so that what failed together does not come back together.
"""

from features.value_types import SECOND
from serving.identity import TokenSource

_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE
DELAYS = (0, 5 * SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, *(11 * [10 * _HOUR]))
"""Microseconds before each attempt, from the event or from the attempt before."""
JITTER = 0.2
"""A delay is stretched by up to this share of it."""
MOST_ASKED = 24 * _HOUR
"""The longest that a receiver may put us off with Retry-After."""
_BYTES = 4


def next_due(attempts: int, now: int, asked: int | None, tokens: TokenSource) -> int | None:
    """When to try again after so many failed attempts; None where it was the last.

    Args:
        attempts: how many were made.
        now: when the last one failed, microseconds.
        asked: how long the receiver asked to be left alone, microseconds.
        tokens: gives the jitter.
    """
    if attempts >= len(DELAYS):
        return None
    stretch = JITTER * int.from_bytes(tokens(_BYTES)) / float(256**_BYTES)
    return now + max(round(DELAYS[attempts] * (1 + stretch)), min(asked or 0, MOST_ASKED))
