"""A home with a served LightGBM rung, and `eql serve` on it as a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.wiring import Wiring, now
from benchmarks.load import health, loopback_port
from benchmarks.rungs import bundled, of_depth
from benchmarks.simulated import UNTIL
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from models.bundle import Bundle
from serving.store import keys
from training.ladder import TreeSettings
from training.matrix import prepare
from training.world.simulation import simulate

ACCOUNTS = 2_000
SEED = 1
_STARTS_WITHIN = 60
_COMMAND = "from app.cli import main; main()"


@dataclass(frozen=True)
class Home:
    """A prepared home.

    Attributes:
        folder: its `EQL_HOME`.
        bundle: the served one.
        keys: API keys that may score.
    """

    folder: Path
    bundle: Bundle
    keys: tuple[str, ...]


@contextmanager
def served_home(key_count: int = 1) -> Iterator[Home]:
    """A home that serves LightGBM trees of the default depth, whatever rung the trainer would choose."""
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name:
        folder = Path(name, "home")
        bundle = _bundle(Path(name, "world"))
        parts = Wiring(Settings(home=folder))
        parts.publish(bundle, "1", "benchmarks", "to be measured")
        with parts.engine.begin() as connection:
            made = tuple(
                keys.create(connection, "crm", None, at=now(), tokens=parts.service.tokens) for _ in range(key_count)
            )
        parts.engine.dispose()
        yield Home(folder, bundle, made)


def _bundle(world: Path) -> Bundle:
    simulate(world, ACCOUNTS, SEED, UNTIL)
    data = prepare(world, CATALOGUE, lambda _words: None, horizon_days=HORIZON_DAYS)
    return bundled(data, of_depth(data, TreeSettings().depth, SEED), SEED)


@contextmanager
def serving(home: Path, settings: Mapping[str, str], *options: str, cores: str | None = None) -> Iterator[int]:
    """`eql serve` on a home, as long as a block runs; its port. It ends by SIGTERM.

    Args:
        home: its `EQL_HOME`.
        settings: more of its environment.
        options: of the command.
        cores: which it may use, as `taskset` names them; None for all.
    """
    port = loopback_port()
    pinned = ["taskset", "-c", cores] if cores else []
    command = [*pinned, sys.executable, "-c", _COMMAND, "serve", "--port", str(port), *options]
    environment = {**os.environ, "EQL_HOME": str(home), **settings}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        await_health(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def await_health(port: int, process: subprocess.Popen[bytes], path: str = "/healthz") -> None:
    """Waits until the server answers.

    Raises:
        RuntimeError: it ended, or did not within a minute.
    """
    ends = time.monotonic() + _STARTS_WITHIN
    while not health(port, path):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"the server did not come up on port {port} (exit code {process.poll()})")
        time.sleep(0.1)
