"""Explained decisions over HTTP, against `mlflow models serve` on the same trees without explanations.

Each server is one process on one core; the client has the other core. A server runs only while it is measured. Our
service stores every decision before it answers. On a store in memory, a commit does not wait for the disk; this is the
nearest to scoring alone. The peer gets the encoded row of our features. It is measured without a signature, and with
the signature that MLflow recommends, which it checks column by column.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.bodies import body
from benchmarks.load import Load, closed_loop, request
from benchmarks.results import ResultRow
from benchmarks.served_home import Home, Server, eql, running, served_home
from models.bundle import Bundle
from models.probability import LightGBM

CONNECTIONS = (1, 8)
SECONDS = 10.0
_WARM_UP = 2.0
_SERVER_CORE = 0
_SHARED_MEMORY = Path("/dev/shm")
PEERS = {"mlflow models serve": False, "mlflow models serve, with a signature": True}
Loads = dict[int, Load]
"""The load at each number of connections."""


def serving() -> list[ResultRow]:
    """Decisions a second, and milliseconds to an answer, at 1 and 8 connections, with a store on disk and in memory."""
    with served_home() as home:
        ours = {"serve-explained": _ours(home, home.folder)}
        with tempfile.TemporaryDirectory(prefix="eql-bench-", dir=_SHARED_MEMORY) as name:
            shutil.copytree(home.folder, Path(name, "home"))
            ours["serve-explained-in-memory"] = _ours(home, Path(name, "home"))
        results = []
        for peer, signed in PEERS.items():
            theirs, _ = _theirs(home.bundle, signed)
            results += [row for name, (mine, peak) in ours.items() for row in _rows(name, mine, peer, theirs, peak)]
    return results


def _ours(home: Home, folder: Path) -> tuple[Loads, float]:
    with eql(folder, {}, core=_SERVER_CORE) as server:
        headers = {"X-Api-Key": home.keys[0]}
        return _measure(server, request(server.port, "/v1/score", body(), headers))


def _theirs(bundle: Bundle, signed: bool) -> tuple[Loads, float]:
    with (
        tempfile.TemporaryDirectory(prefix="eql-bench-") as name,
        _mlflow_model(bundle, Path(name), signed) as (model, body_bytes),
    ):
        command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "--env-manager", "local"]
        command += ["--model-uri", str(model)]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "MLFLOW_TRACKING_URI": f"sqlite:///{name}/m.db",
        }
        with running(command, environment, "/ping", _SERVER_CORE) as server:
            return _measure(server, request(server.port, "/invocations", body_bytes))


@contextmanager
def _mlflow_model(bundle: Bundle, folder: Path, signed: bool) -> Iterator[tuple[Path, bytes]]:
    """The trees of the bundle as an MLflow model, and a request body with one row of features for it."""
    import lightgbm
    import mlflow.lightgbm
    import pandas as pd

    assert isinstance(bundle.model, LightGBM)
    features, _ = bundle.golden[0]
    matrix = bundle.encoding.encode({name: [features[name]] for name in bundle.encoding.names}, 1)
    booster = lightgbm.Booster(model_str=bundle.model.text)
    frame = pd.DataFrame(matrix, columns=booster.feature_name())
    signature = mlflow.models.infer_signature(frame, np.asarray(booster.predict(matrix))) if signed else None
    mlflow.lightgbm.save_model(booster, str(folder / "model"), signature=signature)
    yield folder / "model", json.dumps({"dataframe_split": frame.to_dict(orient="split", index=False)}).encode()


def _measure(server: Server, content: bytes) -> tuple[Loads, float]:
    closed_loop(server.port, [content], max(CONNECTIONS), _WARM_UP)
    loads = {count: closed_loop(server.port, [content], count, SECONDS) for count in CONNECTIONS}
    for load in loads.values():
        if load.lost or len(load.of(200)) < len(load.answers) or not load.answers:
            raise RuntimeError(f"not every request was answered: {load.lost} lost, {len(load.answers)} answers")
    return loads, server.peak_mib


def _rows(name: str, ours: Loads, peer: str, theirs: Loads, peak_mib: float) -> Iterator[ResultRow]:
    figures: Sequence[tuple[str, str, Callable[[Load], float]]] = (
        ("", "a second", Load.a_second),
        ("-p50", "ms", lambda load: load.milliseconds(0.5)),
        ("-p99", "ms", lambda load: load.milliseconds(0.99)),
    )
    for connections in CONNECTIONS:
        for suffix, unit, figure in figures:
            mine, other = figure(ours[connections]), figure(theirs[connections])
            yield {
                "benchmark": f"{name}{suffix}"
                + ("" if connections == max(CONNECTIONS) else f"-{connections}-connection"),
                "ours": mine,
                "peer": peer,
                "theirs": other,
                "ratio": other / mine if unit == "ms" else mine / other,
                "unit": unit,
                "peak_mib": peak_mib,
            }
