"""Explained decisions served over HTTP, beside `mlflow models serve` on the same trees without explanations.

One process each on one core, the client on the other; a server is up only while it is measured. Ours stores every
decision before it answers; on a store in memory a commit costs no wait for the disk, which is as near to scoring alone
as the service comes. The peer gets the encoded row that our features came to, once as the model comes and once with
the signature that MLflow asks for, which it then checks column by column.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bodies import body
from benchmarks.load import Load, closed_loop, request
from benchmarks.served_home import Home, Server, eql, running, served_home
from models.bundle import Bundle
from models.probability import LightGBM

Result = dict[str, Any]

CONNECTIONS = (1, 8)
SECONDS = 10.0
_WARM_UP = 2.0
_SERVER_CORE = 0
_MEMORY = Path("/dev/shm")
PEERS = {"mlflow models serve": False, "mlflow models serve, with a signature": True}
Measured = dict[int, Load]


def serving() -> list[Result]:
    """Decisions a second and milliseconds to an answer at 1 and 8 connections, stored durably and in memory."""
    with served_home() as home:
        ours = {"serve-explained": _ours(home, home.folder)}
        with tempfile.TemporaryDirectory(prefix="eql-bench-", dir=_MEMORY) as name:
            shutil.copytree(home.folder, Path(name, "home"))
            ours["serve-explained-in-memory"] = _ours(home, Path(name, "home"))
        results = []
        for peer, signed in PEERS.items():
            theirs, _ = _theirs(home.bundle, signed)
            results += [row for name, (mine, peak) in ours.items() for row in _rows(name, mine, peer, theirs, peak)]
    return results


def _ours(home: Home, folder: Path) -> tuple[Measured, float]:
    with eql(folder, {}, core=_SERVER_CORE) as server:
        headers = {"X-Api-Key": home.keys[0]}
        return _measured(server, request(server.port, "/v1/score", body(), headers))


def _theirs(bundle: Bundle, signed: bool) -> tuple[Measured, float]:
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name, _logged(bundle, Path(name), signed) as (model, sent):
        command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "--env-manager", "local"]
        told = [*command, "--model-uri", str(model)]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "MLFLOW_TRACKING_URI": f"sqlite:///{name}/m.db",
        }
        with running(told, environment, "/ping", _SERVER_CORE) as server:
            return _measured(server, request(server.port, "/invocations", sent))


@contextmanager
def _logged(bundle: Bundle, folder: Path, signed: bool) -> Iterator[tuple[Path, bytes]]:
    """The bundle's trees as an MLflow model, and a row of features as it takes them."""
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


def _measured(server: Server, content: bytes) -> tuple[Measured, float]:
    closed_loop(server.port, [content], max(CONNECTIONS), _WARM_UP)
    loads = {count: closed_loop(server.port, [content], count, SECONDS) for count in CONNECTIONS}
    for load in loads.values():
        if load.lost or len(load.of(200)) < len(load.answers) or not load.answers:
            raise RuntimeError(f"not every request was answered: {load.lost} lost, {len(load.answers)} answers")
    return loads, server.peak_mib


def _rows(name: str, ours: Measured, peer: str, theirs: Measured, peak_mib: float) -> Iterator[Result]:
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
