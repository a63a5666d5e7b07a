"""`eql serve` as a process: several workers, what they tell together, and how they end while callers call."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.settings import Settings
from app.wiring import Wiring, now
from serving.access import keys
from tests.app.conftest import Eql

CALLERS = 4
CUT_OFF = 0
TOO_LATE = 0.5
"""Seconds; an idle connection closes a second after the end was asked for."""
BODY = {"lead": {"lead_id": "L-1"}}


@dataclass
class Served:
    """A service that runs: its process, its site, and a key."""

    process: subprocess.Popen[str]
    site: str
    key: str
    told: list[str] = field(default_factory=list)

    def score(self, client: httpx.Client) -> httpx.Response:
        return client.post(f"{self.site}/v1/score", json=BODY, headers={"X-Api-Key": self.key})


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Served]:
    parts = Wiring(Settings(home=home))
    with parts.engine.begin() as connection:
        key = keys.create(connection, "crm", None, at=now(), tokens=parts.service.tokens)
    parts.engine.dispose()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "EQL_HOME": str(home), "EQL_LOG": "json", "EQL_RATE_LIMIT": "0", "COLUMNS": "300"}
    command = [str(Path(sys.executable).parent / "eql"), "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, process_group=0)
    served = Served(process, f"http://127.0.0.1:{port}", key)
    reader = threading.Thread(target=lambda: served.told.extend(process.stderr or []))
    reader.start()
    try:
        _await(served)
        yield served
    finally:
        process.terminate()
        process.wait(timeout=30)
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def _await(served: Served) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{served.site}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            assert served.process.poll() is None, served.told
        time.sleep(0.1)
    raise AssertionError(served.told)


def said_to(served: Served, spoken: bytes) -> str:
    """The whole answer to these bytes, after which the connection is closed."""
    url = httpx.URL(served.site)
    with (
        socket.create_connection((url.host, url.port or 80), timeout=10) as connection,
        connection.makefile(newline="") as answer,
    ):
        connection.sendall(spoken)
        return answer.read()


def called_until_it_ends(served: Served, ending: signal.Signals, *, kept: bool) -> Counter[int]:
    """What callers were answered, or that they were cut off, until nobody listened.

    The whole group of processes is asked to end when a few answers have come. A caller that itself took long between
    its connection, or its last answer, and its request may come too late, and is not counted.
    """
    url = httpx.URL(served.site)
    headers = {"X-Api-Key": served.key, "Content-Type": "application/json"} | ({} if kept else {"Connection": "close"})
    statuses: Counter[int] = Counter()
    answered = threading.Semaphore(0)

    def call() -> None:
        link = http.client.HTTPConnection(url.host, url.port, timeout=60)
        with closing(link):
            while True:
                try:
                    if link.sock is None:
                        link.connect()
                except OSError:
                    return
                ready = sent = time.monotonic()
                try:
                    link.request("POST", "/v1/score", json.dumps(BODY), headers)
                    sent = time.monotonic()
                    answer = link.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    statuses[CUT_OFF] += sent - ready < TOO_LATE
                    return
                statuses[answer.status] += 1
                answered.release()

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for _ in range(5 * CALLERS):
        answered.acquire()
    os.killpg(served.process.pid, ending)
    for caller in callers:
        caller.join()
    return +statuses


def test_it_ends_well_under_load_and_logs_every_request(tmp_path: Path, run_eql: Eql) -> None:
    with serving(tmp_path) as served:
        with httpx.Client() as client:
            answers = [served.score(client) for _ in range(3)]
            for _ in range(4):
                assert httpx.get(f"{served.site}/healthz").status_code == 200
        assert {answer.status_code for answer in answers} == {200}
        refused = said_to(served, b"GET /canary-3b1f HTTP/9\r\n\r\n")
        assert refused.startswith("HTTP/1.1 400 ")
        assert json.loads(refused.partition("\r\n\r\n")[2])["status"] == 400
        assert "canary" not in refused
        numbers = httpx.get(f"{served.site}/metrics").text
        assert 'eql_requests_total{method="POST",route="/v1/score",status="200"} 3.0' in numbers
        assert "eql_decisions_total" in numbers
        assert run_eql(tmp_path, "sign-in", "--role", "sales").stdout.startswith(f"{served.site}/sign-in?token=")
        statuses = called_until_it_ends(served, signal.SIGINT, kept=True)
        assert served.process.wait(timeout=60) == 0
    assert statuses.keys() == {200}
    assert "for http://127.0.0.1:8000" in run_eql(tmp_path, "sign-in").stderr
    links = [line for line in served.told if "sign-in?token=" in line]
    lines = [json.loads(line) for line in served.told if line not in links]
    assert len(links) == 1
    assert {line["level"] for line in lines} <= {"INFO", "WARNING"}
    scored = [line for line in lines if line.get("route") == "/v1/score"]
    assert len(scored) >= 3 + statuses[200]
    assert all(re.fullmatch("[0-9a-f]{32}", line["request_id"]) for line in scored)


def test_two_processes_that_serve_others_tell_no_link_fill_no_disk_and_cut_nobody_off(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--processes", "2", "--no-worker") as served:
        assert "eql_requests_total" in httpx.get(f"{served.site}/metrics").text
        # A file that is mapped into a process and cannot grow would end it.
        assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"eql"}
        assert called_until_it_ends(served, signal.SIGTERM, kept=False).keys() == {200}
        assert served.process.wait(timeout=60) == 0
    [told] = [line for line in served.told if not line.startswith("{")]
    assert "eql sign-in" in told
    assert "token=" not in told
    assert '"ERROR"' not in "".join(served.told)
