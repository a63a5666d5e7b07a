"""The times of retries: the schedule of Svix, with its last delay repeated for five days.

Eight attempts are not enough: of 100,000 events to a receiver that fails three times in ten, some six would never
arrive. Each delay is lengthened at random, so that deliveries that failed together are not retried together.
"""

from features.value_types import SECOND
from serving.identity import TokenSource

_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE
DELAYS = (0, 5 * SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, *(11 * [10 * _HOUR]))
"""Microseconds before each attempt, from the event or from the attempt before."""
JITTER = 0.2
"""The share of a delay by which it is lengthened at most."""
MAX_RETRY_AFTER = 24 * _HOUR
"""Microseconds that a receiver can demand with Retry-After at most."""
_BYTES = 4


def next_due(attempts: int, now: int, retry_after: int | None, tokens: TokenSource) -> int | None:
    """The time of the next attempt after failed ones, microseconds; None where the last attempt was the final one.

    Args:
        attempts: the number of failed attempts.
        now: the time of the last failure, microseconds.
        retry_after: the delay that the receiver demanded, microseconds; None where it demanded none.
        tokens: gives the randomness of the jitter.
    """
    if attempts >= len(DELAYS):
        return None
    stretch = JITTER * int.from_bytes(tokens(_BYTES)) / float(256**_BYTES)
    return now + max(round(DELAYS[attempts] * (1 + stretch)), min(retry_after or 0, MAX_RETRY_AFTER))
