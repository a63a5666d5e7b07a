"""A home whose champion is a LightGBM bundle, and `eql serve` on it in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.wiring import Wiring, now
from benchmarks.load import healthy, loopback_port
from benchmarks.rungs import choice_bundle, choice_of_depth
from benchmarks.simulated import UNTIL
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from models.bundle import Bundle
from serving.access import keys
from training.data.matrix import prepare_training
from training.fitting.ladder import TreeSettings
from training.world.simulation import simulate

ACCOUNTS = 2_000
SEED = 1
_MAX_START_SECONDS = 60
_COMMAND = "from app.cli import main; main()"


@dataclass(frozen=True)
class Home:
    """A prepared home.

    Attributes:
        folder: the value of `EQL_HOME`.
        bundle: the bundle of the champion.
        keys: API keys that may score.
    """

    folder: Path
    bundle: Bundle
    keys: tuple[str, ...]


@contextmanager
def served_home(key_count: int = 1) -> Iterator[Home]:
    """A home with LightGBM trees of the default depth as champion, whichever rung the trainer would choose."""
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name:
        folder = Path(name, "home")
        bundle = _bundle(Path(name, "world"))
        parts = Wiring(Settings(home=folder))
        parts.publish(bundle, "1", "benchmarks", "to be measured")
        with parts.engine.begin() as connection:
            api_keys = tuple(
                keys.create(connection, "crm", None, at=now(), tokens=parts.service.tokens) for _ in range(key_count)
            )
        parts.engine.dispose()
        yield Home(folder, bundle, api_keys)


def _bundle(world: Path) -> Bundle:
    simulate(world, ACCOUNTS, SEED, UNTIL)
    data = prepare_training(world, CATALOGUE, lambda _words: None, horizon_days=HORIZON_DAYS)
    return choice_bundle(data, choice_of_depth(data, TreeSettings().depth, SEED), SEED)


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def peak_mib(self) -> float:
        """Peak memory of its first process, MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def eql(
    home: Path, settings: Mapping[str, str], *options: str, core: int | None = None
) -> AbstractContextManager[Server]:
    """Runs `eql serve` on a home, with further settings and options, on one core or on all."""
    environment = {"EQL_HOME": str(home), "EQL_RATE_LIMIT": "0", **settings}
    return running([sys.executable, "-c", _COMMAND, "serve", *options], environment, "/healthz", core)


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], path: str, core: int | None) -> Iterator[Server]:
    """Runs a server while a block runs. The command gets the port by `--port`; the server is up once `path` answers.

    Raises:
        RuntimeError: the server did not start within a minute.
    """
    port = loopback_port()
    taskset = [] if core is None else ["taskset", "-c", str(core)]
    full_command = [*taskset, *command, "--port", str(port)]
    process = subprocess.Popen(
        full_command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _MAX_START_SECONDS
        while not healthy(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start (exit code {process.poll()})")
            time.sleep(0.1)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(timeout=60)
