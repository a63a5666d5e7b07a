"""SIGTERM under load, again and again: how the service ends, and what became of the requests.

`python -m benchmarks.shutdown --times 100 --processes 2`. Every process must end with 0 and every request that was sent
must be answered 200; every second one is on a connection of its own, so that somebody connects at every moment.
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
_KINDS: tuple[dict[str, str], ...] = ({}, {"Connection": "close"})
_BEFORE = 1.0
_AFTER = 2.0


@dataclass(frozen=True)
class Ending:
    """One end under load: exit code, seconds it took, and what the clients saw."""

    exit_code: int
    seconds: float
    load: Load


def end(home: Home, *options: str, connections: int = CONNECTIONS) -> Ending:
    """Starts the service, loads it, asks it to end meanwhile, and waits for both."""
    loads: list[Load] = []
    with eql(home.folder, {}, *options) as server:
        contents = [request(server.port, "/v1/score", body(), {"X-Api-Key": home.keys[0], **more}) for more in _KINDS]
        client = threading.Thread(
            target=lambda: loads.append(
                closed_loop(server.port, contents, connections, _BEFORE + _AFTER, until_lost=True)
            )
        )
        client.start()
        time.sleep(_BEFORE)
        server.process.terminate()
        asked = time.perf_counter()
        exit_code = server.process.wait(timeout=30)
        took = time.perf_counter() - asked
        client.join()
    return Ending(exit_code, took, loads[0])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shutdown", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--processes", default="1")
    asked = parser.parse_args()
    with served_home() as home:
        endings = [end(home, "--processes", asked.processes) for _ in range(asked.times)]
    statuses = Counter(answer.status for ending in endings for answer in ending.load.answers)
    lost = sum(ending.load.lost for ending in endings)
    print(
        f"{asked.times} ends under load: exit codes {dict(Counter(ending.exit_code for ending in endings))}, "
        f"at most {max(ending.seconds for ending in endings):.1f} s; statuses {dict(statuses)}, "
        f"{lost} requests sent and not answered"
    )


if __name__ == "__main__":
    main()
