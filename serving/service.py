"""What the API and the pages work with, put together once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import Engine

from operations.exploration import Exploration
from serving.access.oidc import RelyingParty
from serving.champion.scorer_cache import Archive
from serving.champion.watcher import Champion
from serving.http.metrics import Metrics
from serving.http.token_bucket import RateLimit
from serving.identity import TokenSource
from serving.privacy.retention import Retention
from serving.shadow.shadow import Shadow
from serving.store.batching import Together
from serving.store.group_commit import GroupCommit


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
        webhook_hosts: receivers of webhooks in one's own network; by default only the public internet's are sent to.
        shadow: scores decisions with the challenger, beside the answers; None to have none.
        sign_in: the identity provider for the pages; None where there are sign-in links only.
        rate_limit: what a caller of the API may do; None for as much as it likes.
        metrics: what the service counts of itself.
        retention: how long what is kept.
        traces: where traces of requests go; None for nowhere.
    """

    engine: Engine
    champion: Champion
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
    def group_commit(self) -> GroupCommit:
        """Writes that may share a transaction with those of other requests."""
        return GroupCommit(self.engine)

    @cached_property
    def deciding(self) -> Together[Any, Any]:
        """Requests that wait for a decision on a lead sent along."""
        return Together()

    @cached_property
    def archive(self) -> Archive:
        """The policies and models of earlier decisions."""
        return Archive(self.champion.catalogue)
