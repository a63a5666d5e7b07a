"""The worker: as a command, and as the companion process of a service."""

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
from serving.worker.schedules import Interrupted

app = typer.Typer()
_LOG = logging.getLogger(__name__)
_EQL = [sys.executable, "-c", "from app.cli import main; main()"]
_OWN_GROUP = 0
"""Ctrl+C and supervisors send signals to a whole group at once. A process with a group of its own ends when the process
that started it asks for it."""
_GRACE_SECONDS = 30.0
_RESTART_SECONDS = 5.0


class TasksFailed(ValueError):
    """Some of the due tasks failed; the log has their tracebacks."""


class RetrainingFailed(RuntimeError):
    """The process that trains ended with an error, which it printed itself."""


@app.command(epilog="Example: eql worker --once")
def worker(
    once: Annotated[bool, typer.Option("--once", help="Run the tasks that are due now, and end.")] = False,
    companion: Annotated[
        bool, typer.Option("--companion", hidden=True, help="End when standard input closes.")
    ] = False,
) -> None:
    """Deliver events, rescore leads and run schedules until stopped; several workers may run at the same time."""
    from serving.worker.tasks import schedules, tasks
    from serving.worker.worker import Worker

    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if companion:
        Thread(target=_stop_with_service, args=(stopping,), daemon=True).start()
    parts = wiring()
    scoring = parts.service.scoring
    plan = schedules(scoring, parts.settings.retention, _retraining(parts, stopping))
    hosts = AllowedHosts(parts.settings.webhook_hosts)
    runner = Worker(tasks(scoring, plan, stopping.is_set, hosts), stopping, stopping.wait)
    if not once:
        runner.run()
    elif failed := runner.once():
        raise TasksFailed(f"these tasks failed: {', '.join(failed)}; see the log above; the next run tries them again")


def _stop_with_service(stopping: Event) -> None:
    # The service holds the other end of the pipe, so the pipe closes when the service ends in any way. A read from
    # `sys.stdin` would hold its lock while the interpreter shuts down, and the interpreter aborts in that case.
    os.read(sys.stdin.fileno(), 1)
    stopping.set()


def _retraining(parts: Wiring, stopping: Event) -> Callable[[], str] | None:
    days = parts.settings.retrain_after
    return None if days is None else lambda: _retrain(days, stopping)


def _retrain(days: int, stopping: Event) -> str:
    """Runs `eql monitor`, which trains a challenger if the verdict says so or the training data are `days` old."""
    command = [*_EQL, "monitor", "--retrain", "--retrain-after", str(days), "--json"]
    with subprocess.Popen(  # noqa: S603, a command of our own
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, process_group=_OWN_GROUP
    ) as process:
        Thread(target=_terminate_when_stopping, args=(process, stopping), daemon=True).start()
        output, _ = process.communicate()
    if process.returncode and stopping.is_set():
        raise Interrupted
    if process.returncode:
        raise RetrainingFailed
    return _summary(json.loads(output))


def _terminate_when_stopping(process: "subprocess.Popen[bytes]", stopping: Event) -> None:
    while process.poll() is None:
        if stopping.wait(1.0):
            process.terminate()
            return


def _summary(report: dict[str, Any]) -> str:
    trained = report["retrained"]
    version = f"version {trained['version']} is the challenger" if trained else "no training is due"
    return f"verdict {report['verdict']}; {version}"


@contextmanager
def companion_worker(wanted: bool) -> Iterator[None]:
    """Runs a worker in another process while the block runs, and restarts it if it dies."""
    closing = Event()
    supervisor = Thread(target=_supervise, args=(closing,), name="worker", daemon=True)
    if wanted:
        supervisor.start()
    try:
        yield
    finally:
        closing.set()
        if wanted:
            supervisor.join(_GRACE_SECONDS)


def _supervise(closing: Event) -> None:
    while not closing.is_set():
        with subprocess.Popen(  # noqa: S603, a command of our own
            [*_EQL, "worker", "--companion"], stdin=subprocess.PIPE, process_group=_OWN_GROUP
        ) as process:
            while process.poll() is None and not closing.wait(0.2):
                pass
            if closing.is_set():
                _terminate(process)
                return
        # A signal to the process group ends the worker before the service asks for it.
        if not closing.wait(_RESTART_SECONDS):
            _LOG.error("the worker ended with exit code %s; a new one is started", process.returncode)


def _terminate(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        console.progress("the worker did not end in time and is killed; the next worker takes over its tasks")
        process.kill()


def worker_state(parts: Wiring) -> str:
    """The last heartbeat of a worker, and the numbers of leads and events that wait for one."""
    from serving.worker.tasks import HEARTBEAT, last_beat

    with database.reading(parts.engine) as connection:
        beat = last_beat(connection)
        leads, events = rescore_queue.length(connection), deliveries.waiting(connection)
    waiting = f"{leads:,} leads wait for a score, {events:,} events for delivery"
    if beat is None or now() - beat > 3 * HEARTBEAT:
        seen = "none was ever seen" if beat is None else f"the last one was seen at {rfc3339(beat)}"
        return f"no worker runs ({seen}); start `eql worker` or `eql serve`; {waiting}"
    return f"seen at {rfc3339(beat)}; {waiting}"
