"""The service: everything up at once, serve, sign in, keys, policy, doctor."""

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from app import console
from app.commands import data, models
from app.commands.options import Format, Json, UsageError, wiring
from app.commands.worker import beside, found
from app.wiring import Wiring, now, unusable
from features.catalogue import CATALOGUE
from features.value_types import SECOND, rfc3339
from models.policy import Policy, load
from serving.access import keys, sessions
from serving.http.metrics import SHARED_FOLDER
from serving.identity import InvalidRole, Role, check_role
from serving.records import versions
from serving.store import database

app = typer.Typer()
keys_app = typer.Typer(no_args_is_help=True, help="API keys.", epilog="Example: eql keys create --role crm")
policy_app = typer.Typer(no_args_is_help=True, help="Policies.", epilog="Example: eql policy check my_policy.yaml")
doctor_app = typer.Typer()

DEMO_ACCOUNTS = 5000
_SIGN_IN_LASTS = 24 * 3600 * SECOND
Port = Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="TCP port.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
WithWorker = Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker beside the service.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Worker processes that serve.")]
FINISHES_WITHIN = 10
"""Seconds that requests have to be answered after SIGTERM."""
_KEPT = 75
"""Seconds that a connection is kept without a request: longer than proxies and clients keep theirs (nginx: 60), so that
they close it, for a request that is sent as we do gets no answer."""
_HUNG_AFTER = 30
"""Seconds after which a worker process that shows no life is replaced."""
_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})
_MEMORY = Path("/dev/shm")  # noqa: S108, a folder of random name is made in it
"""Files in memory, on Linux."""


class PortTaken(ValueError):
    """Something else listens on the port."""


@app.command(epilog="Example: eql up --port 8000")
def up(port: Port = 8000, host: Host = "127.0.0.1", with_worker: WithWorker = True) -> None:
    """Prepare what is missing (a simulated ecosystem, a model, scores), then serve."""
    _check_port(host, port)
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
    with tempfile.TemporaryDirectory(dir=parts.settings.home, prefix="simulated-") as name:
        folder = Path(name) / "records"
        data.simulate(folder, DEMO_ACCOUNTS, 1, None, Format.parquet, False)
        data.import_(folder, None, None, False, False)


def _train(error: str | None) -> None:
    """A model where there is none, or none that this version of the software can serve."""
    from training.promotion.promotion import PromotionRefused

    console.progress(f"{error or 'no model yet'}: training one")
    models.trained()
    try:
        models.promote(None, "none could be served", None, False)
    except PromotionRefused as refused:
        console.progress(f"{refused}; until then the rules decide")


@app.command(epilog="Example: eql serve --port 8000")
def serve(
    port: Port = 8000, host: Host = "127.0.0.1", processes: Processes = 1, with_worker: WithWorker = True
) -> None:
    """Serve the API and the pages; without a promoted model rules decide and probabilities are null."""
    _check_port(host, port)
    _serve(wiring(), host, port, processes, with_worker)


def _serve(parts: Wiring, host: str, port: int, processes: int, with_worker: bool) -> None:
    import uvicorn

    from app import asgi
    from app.connection import Connection
    from app.draining import Single, Workers

    site = f"http://{host}:{port}"
    console.ERRORS.print(f"EQL serves at {site}; {_how_to_sign_in(parts, host, site)}", markup=False)
    parts.engine.dispose()
    # uvicorn raises the signal anew when it is done, and who was asked to end and did has not failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        f"{asgi.__name__}:{asgi.create.__name__}",
        factory=True,
        workers=processes,
        http=Connection,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEPT,
        timeout_graceful_shutdown=FINISHES_WITHIN,
        timeout_worker_healthcheck=_HUNG_AFTER,
    )
    with _counting_together(processes), beside(with_worker), suppress(KeyboardInterrupt):
        sockets = [config.bind_socket()]
        if processes > 1:
            Workers(config, sockets).run()
        else:
            Single(config).run(sockets)


def _how_to_sign_in(parts: Wiring, host: str, site: str) -> str:
    """A link where only this machine is served; where others are, the log may be others' too."""
    return f"sign in at {_link(parts, site)}" if host in _THIS_MACHINE else "`eql sign-in` prints a link to sign in"


@contextmanager
def _counting_together(processes: int) -> Iterator[None]:
    """Gives several processes a folder for their numbers while the block runs.

    In memory, where there is such a place: the numbers are files mapped into the processes, and where a disk is full
    the system ends a process that touches a page for which there is no room.
    """
    if processes == 1:
        yield
        return
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="eql-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[SHARED_FOLDER] = folder
        yield


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port or PORT="
            ) from None


@app.command("sign-in", epilog="Example: eql sign-in --role sales")
def sign_in(
    role: Annotated[Role, typer.Option(help="What the caller may do.")] = "admin",
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Whose records a partner sees.")] = None,
    site: Annotated[str, typer.Option(help="Where the pages are.")] = "http://127.0.0.1:8000",
) -> None:
    """Print a link that signs in to the pages, once, within a day."""
    _check_role(role, partner)
    typer.echo(_link(wiring(), site, role, partner))


def _check_role(role: Role, partner: str | None) -> None:
    try:
        check_role(role, partner)
    except InvalidRole as error:
        raise UsageError(f"--partner: {error}") from None


def _link(parts: Wiring, site: str, role: str = "admin", partner: str | None = None) -> str:
    with parts.engine.begin() as connection:
        expires = now() + _SIGN_IN_LASTS
        token = sessions.offer(connection, role, partner, expires_at=expires, tokens=parts.service.tokens)
    return f"{site}/sign-in?token={token}"


@keys_app.command("create", epilog="Example: eql keys create --role crm")
def create_key(
    role: Annotated[Role, typer.Option(help="What the caller may do.")],
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Whose records a partner sees.")] = None,
    as_json: Json = False,
) -> None:
    """Print a new API key; it is shown this once and works at once."""
    _check_role(role, partner)
    parts = wiring()
    with parts.engine.begin() as connection:
        key = keys.create(connection, role, partner, at=now(), tokens=parts.service.tokens)
    console.emit({"key": key, "role": role}, key, as_json)


@keys_app.command("list", epilog="Example: eql keys list")
def list_keys(as_json: Json = False) -> None:
    """List the keys: the visible part, role and whether revoked."""
    with database.reading(wiring().engine) as connection:
        found = keys.listed(connection)
    columns = ["id", "prefix", "role", "partner", "created", "revoked"]
    rows = [
        [str(k.id), k.prefix, k.role, k.partner_id, rfc3339(k.created_at), k.revoked_at and rfc3339(k.revoked_at)]
        for k in found
    ]
    result = [dict(zip(columns, row, strict=True)) for row in rows]
    console.emit(result, console.table("API keys", columns, rows), as_json)


@keys_app.command("revoke", epilog="Example: eql keys revoke 3")
def revoke_key(key_id: Annotated[int, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Revoke a key at once."""
    with wiring().engine.begin() as connection:
        revoked = keys.revoke(connection, key_id, at=now())
    if not revoked:
        raise ValueError(f"there is no active key {key_id}; `eql keys list` shows them")
    console.emit({"revoked": key_id}, f"key {key_id} is revoked", as_json)


@policy_app.command("check", epilog="Example: eql policy check my_policy.yaml")
def check_policy(file: Path, as_json: Json = False) -> None:
    """Check a policy file against its schema and the catalogue."""
    policy = load(file, CATALOGUE)
    result = {"version": policy.version, "rules": len(policy.rules), "sha256": policy.sha256}
    console.emit(result, f"{file}: version {policy.version}, {len(policy.rules)} rules, sound", as_json)


@policy_app.command("schema", epilog="Example: eql policy schema > policy.schema.json")
def policy_schema() -> None:
    """Print the JSON schema of a policy file."""
    typer.echo(json.dumps(Policy.model_json_schema(), indent=1))


@doctor_app.callback(invoke_without_command=True, epilog="Example: eql doctor")
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """What is configured and reachable, what is wrong, and how to mend it; ends with 1 where something is."""
    if context.invoked_subcommand is not None:
        return
    checks = [_checked(name, check) for name, check in _CHECKS.items()]
    rows = [[check["check"], "ok" if check["ok"] else "WRONG", check["finding"]] for check in checks]
    console.emit(checks, console.table("EQL", ["check", "state", "finding"], rows), as_json)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(1)


def _checked(name: str, check: Callable[[Wiring], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "finding": check(wiring())}
    except (ValueError, OSError) as error:
        return {"check": name, "ok": False, "finding": str(error)}


def _versions(_: Wiring) -> str:
    from importlib.metadata import version

    names = ("eql", "lightgbm", "scikit-learn", "duckdb", "mlflow", "fastapi", "sqlalchemy")
    return ", ".join(f"{name} {version(name)}" for name in names)


def _home(parts: Wiring) -> str:
    home = parts.home()
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as error:
        raise unusable(home, error) from None


def _store(parts: Wiring) -> str:
    with database.reading(parts.engine) as connection:
        found, counts = database.describe(connection), versions.count(connection)
    if not counts["leads"]:
        raise InvalidState(f"the store {found} has no leads; run `eql import`, or `make run` for a simulated ecosystem")
    return f"{found}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _policy(parts: Wiring) -> str:
    policy = parts.policy
    return f"{parts.settings.policy}: version {policy.version}, {len(policy.rules)} rules"


def _champion(parts: Wiring) -> str:
    champion = parts.service.champion
    served = champion.scorer().served
    if champion.error is not None:
        raise InvalidState(f"{champion.error}; promote another version")
    if served is None:
        raise InvalidState("no model is promoted; run `eql train`, then `eql promote`")
    return f"version {served.version}, rung {served.bundle.rung}, {served.bundle.sha256[:12]}"


def _registry(parts: Wiring) -> str:
    versions = parts.registry.versions()
    return f"{parts.settings.tracking_uri}: {len(versions)} versions"


class InvalidState(ValueError):
    """Something is not as it must be to serve; the message says the mend."""


_CHECKS: dict[str, Callable[[Wiring], str]] = {
    "versions": _versions,
    "home": _home,
    "store": _store,
    "policy": _policy,
    "champion": _champion,
    "registry": _registry,
    "worker": found,
}
