"""Each Idempotency-Key sent five times at once: there must be one lead a key, and five identical answers."""

import os
import secrets
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.evidence.crashes import killable_service
from benchmarks.evidence.sending import connect, send_until_answered, write_request
from benchmarks.evidence.stores import new_store, open_store
from serving.access import keys
from serving.records.tables import RECORDS
from serving.store.database import reading

TIMES = 5


def retries(kind: str, count: int) -> dict[str, Any]:
    """Sends `count` keys to the service on a new store, and returns the figures."""
    started, different, repeated = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as name, new_store(kind) as url, open_store(url) as store:
        with store.begin() as connection:
            key = keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)
        with killable_service(url, Path(name)) as service, ThreadPoolExecutor(TIMES) as threads:
            pid = service.start()
            connections = [connect(service.port) for _ in range(TIMES)]
            for number in range(count):
                lead = replace(write_request(4 * number + 2), with_key=True)
                answers = [*threads.map(send_until_answered, connections, repeat(key), repeat(lead))]
                different += len({(answer.status, answer.body, answer.headers) for answer in answers}) > 1
                repeated += sum(answer.sent_again for answer in answers)
            os.kill(pid, signal.SIGTERM)
            service.wait_for_end()
        with reading(store) as connection:
            leads = connection.execute(select(func.count()).select_from(RECORDS["leads"])).scalar_one()
    return {
        "keys": count,
        "answers_that_differ": different,
        "leads_too_many_or_few": abs(leads - count),
        "sent_again": repeated,
        "seconds": round(time.monotonic() - started, 1),
    }
