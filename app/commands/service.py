"""The service: up, serve, sign-in."""

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app import address, console
from app.commands import data, models
from app.commands.options import Format, check_role_option, wiring
from app.commands.worker import companion_worker
from app.scratch import remove_leftovers, scratch_folder
from app.wiring import Wiring, now
from features.value_types import SECOND
from serving.access import sessions
from serving.http.metrics import SHARED_FOLDER
from serving.identity import Role
from serving.records import versions
from serving.store import database

app = typer.Typer()

DEMO_ACCOUNTS = 5000
_LINK_LIFETIME = 24 * 3600 * SECOND
Port = Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="TCP port.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
WithWorker = Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker with the service.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Number of processes that serve.")]
SHUTDOWN_SECONDS = 10
"""The time that running requests have to finish after SIGTERM."""
_KEEP_ALIVE_SECONDS = 75
"""The time that a connection without a request stays open. Proxies and clients close theirs sooner (nginx: after 60).
So the service does not close a connection just as a client sends a request, which would then get no answer."""
_HANG_SECONDS = 30
"""The time without a sign of life after which a process is replaced."""
_DEFAULT_SITE = "http://127.0.0.1:8000"
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, only a folder with a random name is created in it
"""A file system in memory, on Linux."""


class PortTaken(ValueError):
    """The port cannot be bound, most often because another process listens on it."""


@app.command(epilog="Example: eql up --port 8000")
def up(port: Port = 8000, host: Host = "127.0.0.1", with_worker: WithWorker = True) -> None:
    """Prepare what is missing (simulated data, a model, scores), then serve."""
    _check_port(host, port)
    _end_when_asked()
    started = time.monotonic()
    parts = wiring()
    with database.reading(parts.engine) as connection:
        empty = not versions.count(connection)["leads"]
    if empty:
        _simulate(parts)
    if parts.service.champion.scorer().served is None:
        _train(parts.service.champion.error)
    console.progress(f"ready after {time.monotonic() - started:.0f} s")
    _serve(parts, host, port, 1, with_worker)


def _simulate(parts: Wiring) -> None:
    console.progress(f"no data yet: simulating an ecosystem of {DEMO_ACCOUNTS:,} accounts")
    with scratch_folder(parts.home(), "simulated-") as parent:
        folder = parent / "records"
        data.simulate(folder, DEMO_ACCOUNTS, 1, None, Format.parquet, False)
        data.import_(folder, None, None, False, False)


def _train(error: str | None) -> None:
    """Trains and promotes a model, because none can be served."""
    from training.promotion.promotion import PromotionRefused

    console.progress(f"{error or 'no model yet'}: training one")
    models.train_challenger()
    try:
        models.promote(None, "no model could be served", None, False)
    except PromotionRefused as refused:
        console.progress(f"{refused}; without a champion, the rules alone decide")


@app.command(epilog="Example: eql serve --port 8000")
def serve(
    port: Port = 8000, host: Host = "127.0.0.1", processes: Processes = 1, with_worker: WithWorker = True
) -> None:
    """Serve the API and the pages. Without a promoted model, the rules alone decide and probabilities are null."""
    _check_port(host, port)
    _end_when_asked()
    _serve(wiring(), host, port, processes, with_worker)


def _end_when_asked() -> None:
    """Makes SIGTERM and Ctrl+C end this process with 0 and without a message, whatever it does.

    The server answers its running requests first: it catches the signals itself, and raises them again at its end.
    """

    def end(*_: object) -> None:
        # What is interrupted is no error, whatever a library thinks of it.
        logging.disable()
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _serve(parts: Wiring, host: str, port: int, processes: int, with_worker: bool) -> None:
    import uvicorn

    from app import asgi
    from app.connection import Connection
    from app.draining import SingleProcessServer, WorkerProcesses

    site = address.site(host, port)
    if left := remove_leftovers(parts.home()):
        console.progress(f"removed what an earlier run left half done: {', '.join(left)}")
    console.ERRORS.print(f"EQL serves at {site}; {_sign_in_hint(parts, host, site)}", markup=False)
    parts.engine.dispose()
    config = uvicorn.Config(
        f"{asgi.__name__}:{asgi.create.__name__}",
        factory=True,
        workers=processes,
        http=Connection,
        ws="none",
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=_HANG_SECONDS,
    )
    with _shared_metrics(processes), address.announced(parts.home(), site), companion_worker(with_worker):
        sockets = [config.bind_socket()]
        if processes > 1:
            WorkerProcesses(config, sockets).run()
        else:
            SingleProcessServer(config).run(sockets)


def _sign_in_hint(parts: Wiring, host: str, site: str) -> str:
    """A sign-in link if only this machine is served; otherwise a command, because others may read the log."""
    return f"sign in at {_link(parts, site)}" if host in _LOOPBACK_HOSTS else "`eql sign-in` prints a link to sign in"


@contextmanager
def _shared_metrics(processes: int) -> Iterator[None]:
    """Gives several processes one folder for the files of their metrics, while the block runs.

    The folder is in memory if the system has such a file system. The files are mapped into the processes, and on a full
    disk the system kills a process that touches a page without room.
    """
    if processes == 1:
        yield
        return
    parent = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix="eql-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[SHARED_FOLDER] = folder
        yield


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port or PORT="
            ) from None


@app.command("sign-in", epilog="Example: eql sign-in --role sales")
def sign_in(
    role: Annotated[Role, typer.Option(help="Role, which decides what the caller may do.")] = "admin",
    partner: Annotated[
        str | None, typer.Option(metavar="ID", help="Partner whose records the caller sees; for the role partner.")
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Address of the pages; by default EQL_PUBLIC_URL, or that of the service that runs with this home."
        ),
    ] = None,
) -> None:
    """Print a link that signs in to the pages. The link works once, within a day."""
    check_role_option(role, partner)
    typer.echo(_link(wiring(), site or _site(wiring()), role, partner))


def _site(parts: Wiring) -> str:
    """The address at which browsers reach the service of this home."""
    known = parts.settings.public_url or address.of_running_service(parts.home())
    if known is None:
        console.progress(f"no service runs with this home; the link is for {_DEFAULT_SITE}, name another with --site")
    return known or _DEFAULT_SITE


def _link(parts: Wiring, site: str, role: str = "admin", partner: str | None = None) -> str:
    with parts.engine.begin() as connection:
        expires = now() + _LINK_LIFETIME
        token = sessions.offer(connection, role, partner, expires_at=expires, tokens=parts.tokens)
    return f"{site.rstrip('/')}/sign-in?token={token}"
