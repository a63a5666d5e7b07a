"""Each Idempotency-Key sent five times at once: one lead a key, and one answer, to the byte."""

import http.client
import os
import secrets
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.evidence.crashes import Request, request, victim
from benchmarks.evidence.places import new_store, opened
from serving.store import keys, tables
from serving.store.database import reading

TIMES = 5
_OWN = threading.local()
_HEADERS = ("Location", "Content-Type")


def retries(kind: str, count: int) -> dict[str, Any]:
    """So many keys on a new store of a database, and what came of them."""
    began, seen, repeated = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, opened(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)
        with victim(url, Path(name)) as served, ThreadPoolExecutor(TIMES) as threads:
            pid = served.start()
            for number in range(count):
                lead = replace(request(4 * number + 2), named=True)
                answers = [*threads.map(answered, *zip(*[(served.port, key, lead)] * TIMES, strict=True))]
                same = len({content for content, _ in answers}) == 1
                seen["one answer" if same else "several answers"] += 1
                repeated += sum(times for _, times in answers)
            os.kill(pid, signal.SIGTERM)
            served.ended()
        with reading(store) as connection:
            leads = connection.execute(select(func.count()).select_from(tables.RECORDS["leads"])).scalar_one()
    return {
        "keys": count,
        "answers_that_differ": seen["several answers"],
        "leads_too_many_or_few": abs(leads - count),
        "sent_again_after_409_or_503": repeated,
        "seconds": round(time.monotonic() - began, 1),
    }


def answered(port: int, key: str, wanted: Request) -> tuple[tuple[Any, ...], int]:
    """The answer to a request, with its Idempotency-Key where it is named, and how often it had to be sent again."""
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    if wanted.named:
        headers["Idempotency-Key"] = f"k-{wanted.number}"
    again = 0
    while True:
        try:
            if not hasattr(_OWN, "connection"):
                _OWN.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            _OWN.connection.request(wanted.method, wanted.path, wanted.body, headers)
            answer = _OWN.connection.getresponse()
            content = answer.read()
        except OSError:
            _OWN.connection.close()
            time.sleep(0.05)
            continue
        if answer.status not in (409, 503):
            return (answer.status, content, *(answer.headers[name] for name in _HEADERS)), again
        again += 1
        time.sleep(0.01)
