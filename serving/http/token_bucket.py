"""Rate limits: a token bucket for each caller, in the memory of one process."""

from collections import OrderedDict
from dataclasses import dataclass, field

from features.value_types import SECOND

_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Allowance:
    """What a caller may still do.

    Attributes:
        granted: whether this request may go on.
        remaining: how many more may follow at once.
        wait: seconds until the next one may come, 0 while some remain.
    """

    granted: bool
    remaining: int
    wait: float


@dataclass
class RateLimit:
    """So many requests a second for each caller: a bucket of that many tokens, which fills up within a second.

    The callers seen longest ago are forgotten first; one that comes back finds its bucket full.

    Attributes:
        a_second: requests a second, from 1.
        callers: how many callers are remembered.
    """

    a_second: int
    callers: int = _MOST_CALLERS
    _buckets: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        if self.a_second < 1 or self.callers < 1:
            raise ValueError("a rate limit must let at least one caller do at least one request a second")

    def take(self, caller: str, now: int) -> Allowance:
        """Takes a token from a caller's bucket at `now` (microseconds), if there is one."""
        tokens, at = self._buckets.pop(caller, (float(self.a_second), now))
        # A clock that was set back must not take tokens away.
        tokens = min(float(self.a_second), tokens + max(0, now - at) / SECOND * self.a_second)
        granted = tokens >= 1
        left = tokens - 1 if granted else tokens
        self._buckets[caller] = (left, now)
        if len(self._buckets) > self.callers:
            self._buckets.popitem(last=False)
        return Allowance(granted, int(left), max(0.0, 1 - left) / self.a_second)
