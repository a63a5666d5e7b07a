"""The metrics of the service, for Prometheus. They hold no personal data, and callers cannot add label values.

Several processes count together where `PROMETHEUS_MULTIPROC_DIR` names a folder before the library is imported. The
library then writes the numbers of each process to a file there, and every process exposes the sums.
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
        in_flight: requests that are not answered yet.
        limited: requests refused by the rate limit.
        shed: requests refused by load shedding, by reason: `full` or `late`.
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
        self.limited = Counter("eql_requests_limited", "Requests refused by the rate limit.", registry=registry)
        self.shed = Counter("eql_requests_shed", "Requests refused by load shedding.", ["reason"], registry=registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answered request; `route` is the template of its path, never the path."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def decided(self, qualifications: Iterable[str]) -> None:
        """Counts decisions."""
        for qualification in qualifications:
            self._decisions.labels(qualification).inc()

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format, summed over the processes that count together."""
        folder = os.environ.get(SHARED_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        _drop_dead_processes(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _drop_dead_processes(folder: Path) -> None:
    """Removes the in-flight requests of dead processes from the sums."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
