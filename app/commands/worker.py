"""The worker as a command, and as the companion of a service."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Annotated, Any

import typer

from app import console
from app.commands.options import wiring
from app.wiring import Wiring, now
from features.value_types import rfc3339
from serving.decisions import rescore_queue
from serving.store import database
from serving.webhooks import deliveries
from serving.webhooks.addresses import AllowedHosts

app = typer.Typer()
_LOG = logging.getLogger(__name__)
_EQL = [sys.executable, "-c", "from app.cli import main; main()"]
_GRACE = 30.0
_RESTART_AFTER = 5.0


class StepsFailed(ValueError):
    """Some of what was due could not be done; the log has the places."""


class RetrainingFailed(RuntimeError):
    """The process that trains ended with an error, which it told itself."""


@app.command(epilog="Example: eql worker --once")
def worker(
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
    companion: Annotated[bool, typer.Option("--companion", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Deliver events, score leads anew and run schedules until stopped; any number of workers may run side by side."""
    from serving.worker.tasks import schedules, tasks
    from serving.worker.worker import Worker

    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if companion:
        # Ctrl+C reaches both; the service says when to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Thread(target=_await_end, args=(stopping,), daemon=True).start()
    parts = wiring()
    scoring = parts.service.scoring
    plan = schedules(scoring, parts.settings.retention, _retraining(parts, stopping))
    hosts = AllowedHosts(parts.settings.webhook_hosts)
    runner = Worker(tasks(scoring, plan, stopping.is_set, hosts), stopping, stopping.wait)
    if not once:
        runner.run()
    elif failed := runner.once():
        raise StepsFailed(f"failed: {', '.join(failed)}; the log above says where, and the next run tries again")


def _await_end(stopping: Event) -> None:
    # The pipe is the service's; it closes with the service, however that ends. Not by way of `sys.stdin`, whose lock
    # would be held here when the interpreter ends, which it takes for fatal.
    os.read(sys.stdin.fileno(), 1)
    stopping.set()


def _retraining(parts: Wiring, stopping: Event) -> Callable[[], str] | None:
    days = parts.settings.retrain_after
    return None if days is None else lambda: _retrain(days, stopping)


def _retrain(days: int, stopping: Event) -> str:
    """Looks whether the champion still holds, and trains a challenger where it does not or is `days` old."""
    command = [*_EQL, "monitor", "--retrain", "--retrain-after", str(days), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:  # noqa: S603, a command of our own
        ended = Thread(target=_end_with, args=(process, stopping), daemon=True)
        ended.start()
        output, _ = process.communicate()
    if process.returncode:
        raise RetrainingFailed
    return _told(json.loads(output))


def _end_with(process: "subprocess.Popen[bytes]", stopping: Event) -> None:
    while process.poll() is None:
        if stopping.wait(1.0):
            process.terminate()
            return


def _told(report: dict[str, Any]) -> str:
    trained = report["retrained"]
    version = f"version {trained['version']} is the challenger" if trained else "no training due"
    return f"verdict {report['verdict']}; {version}"


@contextmanager
def beside(wanted: bool) -> Iterator[None]:
    """Runs a worker in a process of its own while the block runs, and starts it anew should it die."""
    closing = Event()
    keeper = Thread(target=_keep, args=(closing,), name="worker", daemon=True)
    if wanted:
        keeper.start()
    try:
        yield
    finally:
        closing.set()
        if wanted:
            keeper.join(_GRACE)


def _keep(closing: Event) -> None:
    while not closing.is_set():
        with subprocess.Popen([*_EQL, "worker", "--companion"], stdin=subprocess.PIPE) as process:  # noqa: S603, a command of our own
            while process.poll() is None and not closing.wait(0.2):
                pass
            if closing.is_set():
                _finish(process)
                return
        _LOG.error("the worker ended with %s; another is started", process.returncode)
        closing.wait(_RESTART_AFTER)


def _finish(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        console.progress("the worker did not end in time; what it held is taken up by the next one")
        process.kill()


def found(parts: Wiring) -> str:
    """When a worker last showed that it lives, and what waits for one."""
    from serving.worker.tasks import HEARTBEAT, last_beat

    with database.reading(parts.engine) as connection:
        beat = last_beat(connection)
        leads, events = rescore_queue.length(connection), deliveries.waiting(connection)
    waits = f"{leads:,} leads wait for a score, {events:,} events to be delivered"
    if beat is None or now() - beat > 3 * HEARTBEAT:
        seen = "none was ever seen" if beat is None else f"the last one was seen {rfc3339(beat)}"
        return f"no worker runs ({seen}): start `eql worker` or `eql serve`; {waits}"
    return f"seen {rfc3339(beat)}; {waits}"
