"""What the service counts of itself, for Prometheus: no personal data, and no label that grows with what is sent.

Several processes count together where `PROMETHEUS_MULTIPROC_DIR` names a folder before the library is loaded; the
library then keeps each process's numbers in a file there, and any of them tells the sums.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one process.

    Attributes:
        in_flight: requests that came and are not answered yet.
        limited: requests refused for a caller's rate.
        shed: requests refused for the service's load, by reason: `full` or `late`.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("eql_requests", "Requests answered.", ["method", "route", "status"], registry=registry)
        self._seconds = Histogram(
            "eql_request_seconds", "Seconds from request to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._decisions = Counter("eql_decisions", "Decisions made.", ["qualification"], registry=registry)
        self.in_flight = Gauge(
            "eql_requests_in_flight", "Requests not answered yet.", multiprocess_mode="livesum", registry=registry
        )
        self.limited = Counter("eql_requests_limited", "Requests refused for their caller's rate.", registry=registry)
        self.shed = Counter("eql_requests_shed", "Requests refused for the load.", ["reason"], registry=registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answered request; `route` is the template of its path, never the path."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def decided(self, qualifications: Iterable[str]) -> None:
        """Counts decisions."""
        for qualification in qualifications:
            self._decisions.labels(qualification).inc()

    def exposition(self) -> bytes:
        """The numbers as Prometheus reads them; those of all processes where they count together."""
        folder = os.environ.get(SHARED_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Takes what processes that ended had in flight out of the sums."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
