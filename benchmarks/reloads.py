"""Two models promoted in turn while requests run: every answer must come, and be of the model it names.

`python -m benchmarks.reloads [SWAPS]` serves a new store over HTTP and prints what came.
"""

import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from features.catalogue import CATALOGUE
from features.value_types import SECOND
from models.bundle import Bundle
from models.encoding import EncodedFeature, Encoding
from models.policy import load
from models.probability import Calibration, LightGBM, sigmoid
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY, ModelWatcher
from serving.service import Service
from serving.store import database

SWAPS, CLIENTS, EVERY = 100, 4, 0.15
NAMES = ("employees", "partner_referrals_90d", "integration_active_days_30d")
EMPLOYEES = 400
LEAD = {"lead_id": "L-1", "created_at": "2026-01-01T00:00:00Z"}
Answer = tuple[int, float, dict[str, Any]]
"""The status, how long it took in seconds, and the content."""
ACCOUNT = {"account_id": "A-1", "employees": EMPLOYEES}
BODY = json.dumps({"lead": LEAD, "account": ACCOUNT, "as_of": "2026-01-02T00:00:00Z"})


def model(seed: int) -> Bundle:
    """Trees over made-up rows."""
    import lightgbm

    rng = np.random.default_rng(seed)
    rows = rng.gamma(1.0, 100.0, (2000, len(NAMES)))
    won = (rows[:, 0] + rng.normal(0, 100, 2000) > 100 + 50 * seed).astype(float)
    settings = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1}
    trees = LightGBM(lightgbm.train(settings, lightgbm.Dataset(rows, won), 200).model_to_string())
    encoding = Encoding(tuple(EncodedFeature(name, "number") for name in NAMES))
    made: dict[str, Any] = {
        "name": "reloads",
        "encoding": encoding,
        "model": trees,
        "calibration": Calibration(1.0, 0.0),
        "horizon_days": 90,
        "base_rate": 0.1,
        "grades": (0.3, 0.2, 0.1),
        "attributes": (),
        "features_sha256": CATALOGUE.values_sha256(NAMES),
    }
    row = dict(zip(NAMES, (EMPLOYEES, 0, 0), strict=True))
    odds = Bundle(**made).contributions(encoding.encode({name: [value] for name, value in row.items()}, 1)).sum()
    return Bundle(**made, golden=((row, float(odds)),))


def publish(engine: Any, bundle: Bundle, version: str) -> None:
    """Promotes a model."""
    about: dict[str, Any] = {"name": bundle.name, "version": version, "actor": "benchmark", "reason": "reloads"}
    with engine.begin() as connection:
        bundles.publish(connection, bundle.files, sha256=bundle.sha256, at=time.time_ns() // 1000, **about)


@contextmanager
def served(engine: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """The service at an address, and the headers that open it. Its champion looks at the store every 50 ms."""

    def clock() -> int:
        return time.time_ns() // 1000

    policy = load(Path("models/default_policy.yaml"), CATALOGUE)
    hurried = SECOND // 50_000 * CHECK_EVERY // SECOND
    champion = ModelWatcher(engine, CATALOGUE, policy, lambda: hurried * clock())
    with engine.begin() as connection:
        key = keys.create(connection, "crm", None, at=clock(), tokens=secrets.token_bytes)
    app = create_app(Service(engine=engine, champion=champion, clock=clock, tokens=secrets.token_bytes))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", {"X-Api-Key": key}
    server.should_exit = True
    thread.join()


def measure(promotions: int) -> dict[str, Any]:
    """Promotes two models in turn under load, and says what came of it."""
    models = [model(seed) for seed in (1, 2)]
    expected = {bundle.sha256: float(sigmoid(bundle.golden[0][1])) for bundle in models}
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        engine = database.connect(f"sqlite:///{folder}/store.sqlite")
        database.create(engine)
        publish(engine, models[1], "0")
        with served(engine) as (site, headers):

            def call() -> list[Answer]:
                found = []
                with httpx.Client(base_url=site, headers=headers) as client:
                    while not done.is_set():
                        begun = time.perf_counter()
                        answer = client.post("/v1/score", content=BODY)
                        found.append((answer.status_code, time.perf_counter() - begun, answer.json()))
                return found

            with ThreadPoolExecutor(CLIENTS) as threads:
                clients = [threads.submit(call) for _ in range(CLIENTS)]
                for number in range(1, promotions + 1):
                    publish(engine, models[number % 2 - 1], str(number))
                    time.sleep(EVERY)
                done.set()
        engine.dispose()
    return _told([client.result() for client in clients], expected)


def _changes(answers: list[Answer]) -> int:
    """How often a client found another model than in its answer before."""
    named = [answer["model"]["sha256"] for status, _, answer in answers if status == 200]
    return sum(before != after for before, after in pairwise(named))


def _told(clients: list[list[Answer]], expected: dict[str, float]) -> dict[str, Any]:
    answers = [answer for client in clients for answer in client]
    good = [answer for status, _, answer in answers if status == 200]
    right = [a for a in good if abs(a["close_probability"]["value"] - expected[a["model"]["sha256"]]) < 1e-12]
    seconds = np.array([seconds for _, seconds, _ in answers])
    return {
        "changes_seen": max(map(_changes, clients)),
        "requests": len(answers),
        "not_200": len(answers) - len(good),
        "not_of_the_model_named": len(good) - len(right),
        "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 1),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 1),
        "worst_ms": round(1000 * float(seconds.max()), 1),
    }


if __name__ == "__main__":
    swaps = int(sys.argv[1]) if len(sys.argv) > 1 else SWAPS
    figures = {"promotions": swaps, **measure(swaps)}
    sys.stdout.write(f"{json.dumps(figures, indent=1)}\n")
    raise SystemExit(bool(figures["not_200"] or figures["not_of_the_model_named"]))
