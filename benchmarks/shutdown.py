"""Shutdown by SIGTERM under load, many times.

`python -m benchmarks.shutdown --times 100 --processes 2`. Every process must exit with 0, and every request that was
sent must get the answer 200. Every second request opens its own connection, so that connections open at every moment.
"""

import argparse
import threading
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.bodies import body
from benchmarks.load import Load, closed_loop, request
from benchmarks.served_home import Home, eql, served_home

CONNECTIONS = 8
_HEADERS: tuple[dict[str, str], ...] = ({}, {"Connection": "close"})
_SECONDS_BEFORE = 1.0
_SECONDS_AFTER = 2.0


@dataclass(frozen=True)
class Shutdown:
    """One shutdown under load: the exit code, its duration in seconds, and the load."""

    exit_code: int
    seconds: float
    load: Load


def shut_down(home: Home, *options: str, connections: int = CONNECTIONS) -> Shutdown:
    """Starts the service, puts load on it, sends SIGTERM, and waits for the service and the load."""
    loads: list[Load] = []
    with eql(home.folder, {}, *options) as server:
        contents = [request(server.port, "/v1/score", body(), {"X-Api-Key": home.keys[0], **more}) for more in _HEADERS]
        client = threading.Thread(
            target=lambda: loads.append(
                closed_loop(server.port, contents, connections, _SECONDS_BEFORE + _SECONDS_AFTER, until_lost=True)
            )
        )
        client.start()
        time.sleep(_SECONDS_BEFORE)
        server.process.terminate()
        signalled = time.perf_counter()
        exit_code = server.process.wait(timeout=30)
        seconds = time.perf_counter() - signalled
        client.join()
    return Shutdown(exit_code, seconds, loads[0])


def main() -> None:
    """Runs the shutdowns and prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shutdown", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--processes", default="1")
    options = parser.parse_args()
    with served_home() as home:
        shutdowns = [shut_down(home, "--processes", options.processes) for _ in range(options.times)]
    statuses = Counter(answer.status for each in shutdowns for answer in each.load.answers)
    lost = sum(each.load.lost for each in shutdowns)
    print(
        f"{options.times} shutdowns under load: exit codes {dict(Counter(each.exit_code for each in shutdowns))}, "
        f"at most {max(each.seconds for each in shutdowns):.1f} s; statuses {dict(statuses)}, "
        f"{lost} requests sent without an answer"
    )


if __name__ == "__main__":
    main()
