"""What the API and the pages work with, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from operations.exploration import Exploration
from serving.access import TokenSource
from serving.limits import RateLimit
from serving.metrics import Metrics
from serving.reload import Champion


@dataclass(frozen=True)
class Service:
    """The running service's parts.

    Attributes:
        engine: the store's.
        champion: gives the scorer to decide with.
        clock: microseconds now.
        tokens: gives unpredictable bytes.
        docs: the folder of the documentation pages; None to serve none.
        exploration: how priorities are randomised; off by default.
        rate_limit: what a caller of the API may do; None for as much as it likes.
        metrics: what the service counts of itself.
    """

    engine: Engine
    champion: Champion
    clock: Callable[[], int]
    tokens: TokenSource
    docs: Path | None = None
    exploration: Exploration = field(default_factory=Exploration)
    rate_limit: RateLimit | None = None
    metrics: Metrics = field(default_factory=Metrics)
