"""Overload: three times the load that the service can take.

`python -m benchmarks.overload` prints the goodput, the latency and the refusals. The limits: a goodput of at least 90 %
of the peak; a 99th percentile of admitted requests of at most twice the usual one (closed loop, with as many
connections as requests run at once); a Retry-After header on every refusal; an answer of /healthz within 100 ms.
"""

import sys
import threading
from collections import Counter

from benchmarks.bodies import body
from benchmarks.load import Load, closed_loop, open_loop, request
from benchmarks.served_home import Home, eql, served_home
from serving.http.middleware.load_shedding import MAX_RUNNING, MAX_WAITING

SECONDS = 10.0
TIMES = 3
_HEALTH_A_SECOND = 20


def overload(home: Home, *options: str) -> None:
    """Measures the service on a home and prints the figures."""
    with eql(home.folder, {}, *options) as server:
        contents = [request(server.port, "/v1/score", body(), {"X-Api-Key": key}) for key in home.keys]
        closed_loop(server.port, contents, MAX_RUNNING, 2)
        usual = closed_loop(server.port, contents, MAX_RUNNING, SECONDS)
        peak = max(usual, closed_loop(server.port, contents, MAX_RUNNING + MAX_WAITING, SECONDS), key=Load.a_second)
        health: list[Load] = []
        health_request = request(server.port, "/healthz", b"", method="GET")
        health_client = threading.Thread(
            target=lambda: health.append(open_loop(server.port, [health_request], _HEALTH_A_SECOND, SECONDS))
        )
        health_client.start()
        over = open_loop(server.port, contents, TIMES * peak.a_second(), SECONDS)
        health_client.join()
    print(f"usual: {_load_text(usual)}")
    print(f"peak: {_load_text(peak)}")
    print(f"{TIMES} times the peak: {_load_text(over)}")
    refused = over.of(503)
    print(
        f"goodput {over.a_second() / peak.a_second():.0%} of the peak, "
        f"p99 {over.milliseconds(0.99) / usual.milliseconds(0.99):.2f} times the usual, "
        f"{sum(answer.retry_after for answer in refused)} of {len(refused)} refusals with Retry-After "
        f"(p50 {over.milliseconds(0.5, 503):.0f} ms, p99 {over.milliseconds(0.99, 503):.0f} ms), "
        f"/healthz p99 {health[0].milliseconds(0.99):.0f} ms, at most {health[0].milliseconds(1):.0f} ms"
    )


def _load_text(load: Load) -> str:
    statuses = dict(Counter(answer.status for answer in load.answers))
    quantiles = f"p50 {load.milliseconds(0.5):.1f} ms, p99 {load.milliseconds(0.99):.1f} ms"
    return f"{load.a_second():.0f} decisions a second, {quantiles}, statuses {statuses}, {load.lost} lost"


if __name__ == "__main__":
    with served_home() as prepared:
        overload(prepared, *sys.argv[1:])
