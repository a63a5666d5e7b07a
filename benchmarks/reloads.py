"""Two models promoted in turn while requests run: every request must get an answer from the model that it names.

`python -m benchmarks.reloads [PROMOTIONS]` serves a new store over HTTP and prints the figures.
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
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from features.catalogue import CATALOGUE
from features.value_types import SECOND
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.policy import load
from models.probability import LightGBM, sigmoid
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY, ModelWatcher
from serving.service import Service
from serving.store import database

PROMOTIONS, CLIENTS, PAUSE_SECONDS = 100, 4, 0.15
NAMES = ("employees", "partner_referrals_90d", "integration_active_days_30d")
EMPLOYEES = 400
LEAD = {"lead_id": "L-1", "created_at": "2026-01-01T00:00:00Z"}
ACCOUNT = {"account_id": "A-1", "employees": EMPLOYEES}
BODY = json.dumps({"lead": LEAD, "account": ACCOUNT, "as_of": "2026-01-02T00:00:00Z"})


@dataclass(frozen=True)
class ScoreAnswer:
    """An answer of the service: status, seconds until it came, and content."""

    status: int
    seconds: float
    content: dict[str, Any]


def synthetic_bundle(seed: int) -> Bundle:
    """A bundle of trees fitted to synthetic rows."""
    import lightgbm

    rng = np.random.default_rng(seed)
    rows = rng.gamma(1.0, 100.0, (2000, len(NAMES)))
    won = (rows[:, 0] + rng.normal(0, 100, 2000) > 100 + 50 * seed).astype(float)
    settings = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1}
    trees = LightGBM(lightgbm.train(settings, lightgbm.Dataset(rows, won), 200).model_to_string())
    encoding = Encoding(tuple(EncodedFeature(name, "number") for name in NAMES))
    arguments: dict[str, Any] = {
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
    odds = Bundle(**arguments).contributions(encoding.encode({name: [value] for name, value in row.items()}, 1)).sum()
    return Bundle(**arguments, golden=((row, float(odds)),))


def publish(engine: Any, bundle: Bundle, version: str) -> None:
    """Publishes a bundle as the champion."""
    details: dict[str, Any] = {"name": bundle.name, "version": version, "actor": "benchmark", "reason": "reloads"}
    with engine.begin() as connection:
        bundles.publish(connection, bundle.files, sha256=bundle.sha256, at=time.time_ns() // 1000, **details)


@contextmanager
def serve(engine: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Serves a store while a block runs; yields its address and the API key header. It reloads every 50 ms at most."""

    def clock() -> int:
        return time.time_ns() // 1000

    policy = load(Path("models/default_policy.yaml"), CATALOGUE)
    clock_factor = SECOND // 50_000 * CHECK_EVERY // SECOND
    champion = ModelWatcher(engine, CATALOGUE, policy, lambda: clock_factor * clock())
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


def reloads(promotions: int) -> dict[str, Any]:
    """Promotes two models in turn under load, and returns the figures."""
    models = [synthetic_bundle(seed) for seed in (1, 2)]
    expected = {bundle.sha256: float(sigmoid(bundle.golden[0][1])) for bundle in models}
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        engine = database.connect(f"sqlite:///{folder}/store.sqlite")
        database.create(engine)
        publish(engine, models[1], "0")
        with serve(engine) as (site, headers):

            def call() -> list[ScoreAnswer]:
                answers = []
                with httpx.Client(base_url=site, headers=headers) as client:
                    while not done.is_set():
                        start = time.perf_counter()
                        answer = client.post("/v1/score", content=BODY)
                        answers.append(ScoreAnswer(answer.status_code, time.perf_counter() - start, answer.json()))
                return answers

            with ThreadPoolExecutor(CLIENTS) as threads:
                clients = [threads.submit(call) for _ in range(CLIENTS)]
                for number in range(1, promotions + 1):
                    publish(engine, models[number % 2 - 1], str(number))
                    time.sleep(PAUSE_SECONDS)
                done.set()
        engine.dispose()
    return _figures([client.result() for client in clients], expected)


def _changes(answers: list[ScoreAnswer]) -> int:
    """How often the model differs between one answer of a client and the next."""
    models = [answer.content["model"]["sha256"] for answer in answers if answer.status == 200]
    return sum(before != after for before, after in pairwise(models))


def _figures(clients: list[list[ScoreAnswer]], expected: dict[str, float]) -> dict[str, Any]:
    answers = [answer for client in clients for answer in client]
    contents = [answer.content for answer in answers if answer.status == 200]
    right = [c for c in contents if abs(c["close_probability"]["value"] - expected[c["model"]["sha256"]]) < 1e-12]
    seconds = np.array([answer.seconds for answer in answers])
    return {
        "changes_seen": max(map(_changes, clients)),
        "requests": len(answers),
        "not_200": len(answers) - len(contents),
        "not_of_the_model_named": len(contents) - len(right),
        "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 1),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 1),
        "worst_ms": round(1000 * float(seconds.max()), 1),
    }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PROMOTIONS
    figures = {"promotions": count, **reloads(count)}
    sys.stdout.write(f"{json.dumps(figures, indent=1)}\n")
    raise SystemExit(bool(figures["not_200"] or figures["not_of_the_model_named"]))
