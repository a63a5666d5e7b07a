"""Rate limits: a token bucket for each caller, in the memory of one process."""

from collections import OrderedDict
from dataclasses import dataclass, field

from features.value_types import SECOND

_MAX_CALLERS = 10_000


@dataclass(frozen=True)
class Allowance:
    """The result of one request of a caller.

    Attributes:
        granted: whether this request is within the limit.
        remaining: the number of further requests that are allowed at once.
        wait: seconds until the next request is allowed; 0 while some remain.
    """

    granted: bool
    remaining: int
    wait: float


@dataclass
class RateLimit:
    """A limit of requests a second for each caller: a bucket of that many tokens, which fills within a second.

    The callers of the longest ago are forgotten first; a forgotten caller has a full bucket.

    Attributes:
        a_second: requests a second, from 1.
        callers: the number of callers that are remembered.
    """

    a_second: int
    callers: int = _MAX_CALLERS
    _buckets: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        if self.a_second < 1 or self.callers < 1:
            raise ValueError("a rate limit must allow at least one request a second and remember at least one caller")

    def take(self, caller: str, now: int) -> Allowance:
        """Takes a token from a caller's bucket at `now` (microseconds), if the bucket has one."""
        tokens, at = self._buckets.pop(caller, (float(self.a_second), now))
        # A clock that was set back must not take tokens away.
        tokens = min(float(self.a_second), tokens + max(0, now - at) / SECOND * self.a_second)
        granted = tokens >= 1
        left = tokens - 1 if granted else tokens
        self._buckets[caller] = (left, now)
        if len(self._buckets) > self.callers:
            self._buckets.popitem(last=False)
        return Allowance(granted, int(left), max(0.0, 1 - left) / self.a_second)
