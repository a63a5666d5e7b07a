"""The running service: its parts, put together once by the composition root, for the routes and the worker."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import Engine

from operations.exploration import Exploration
from serving.access.oidc import RelyingParty
from serving.champion.scorer_cache import ScorerCache
from serving.champion.watcher import ModelWatcher
from serving.http.metrics import Metrics
from serving.http.token_bucket import RateLimit
from serving.identity import TokenSource
from serving.privacy.retention import Retention
from serving.scoring.scoring import Scoring
from serving.shadow.shadow import Shadow
from serving.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of the running service.

    Attributes:
        engine: the store's.
        champion: gives the scorer to decide with.
        clock: the current time in microseconds.
        tokens: gives unpredictable bytes.
        docs: the folder of the documentation pages; None to serve none.
        exploration: how priorities are randomised; off by default.
        webhook_hosts: hosts of the operator's own network that webhooks may go to; others must be on the internet.
        shadow: scores decisions with the challenger, beside the answers; None for no shadow.
        sign_in: the identity provider for the pages; None where only sign-in links work.
        rate_limit: the requests that a caller of the API may send; None for no limit.
        metrics: the counters of the service.
        retention: how long the store keeps data.
        traces: where traces of requests go; None for no traces.
    """

    engine: Engine
    champion: ModelWatcher
    clock: Callable[[], int]
    tokens: TokenSource
    docs: Path | None = None
    exploration: Exploration = field(default_factory=Exploration)
    webhook_hosts: frozenset[str] = frozenset()
    shadow: Shadow | None = None
    sign_in: RelyingParty | None = None
    rate_limit: RateLimit | None = None
    metrics: Metrics = field(default_factory=Metrics)
    retention: Retention = field(default_factory=Retention)
    traces: TracerProvider | None = None

    @cached_property
    def store(self) -> Store:
        """The store with its clock and randomness."""
        return Store(self.engine, self.clock, self.tokens)

    @cached_property
    def scoring(self) -> Scoring:
        """The parts that decide on leads."""
        return Scoring(
            store=self.store,
            champion=self.champion,
            scorers=ScorerCache(self.champion.catalogue),
            shadow=self.shadow,
            count=self.metrics.decided,
        )
