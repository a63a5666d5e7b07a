"""The doctor: what is configured, what is wrong, and the fix."""

import tempfile
from collections.abc import Callable
from typing import Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from app import console
from app.commands import quality
from app.commands.options import Json, wiring
from app.commands.worker import worker_state
from app.wiring import Wiring, unusable_home
from features.folding import FOLD_VERSION
from serving.records import versions
from serving.store import database
from serving.store.errors import failed

app = typer.Typer()
app.add_typer(quality.app)


@app.callback(invoke_without_command=True, epilog="Example: eql doctor")
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Show the configuration, and each error with its fix; exit code 1 if there is an error."""
    if context.invoked_subcommand is not None:
        return
    checks = [_run_check(name, check) for name, check in _CHECKS.items()]
    rows = [[check["check"], "ok" if check["ok"] else "error", check["finding"]] for check in checks]
    console.emit(checks, console.table("EQL", ["check", "state", "finding"], rows), as_json)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(1)


def _run_check(name: str, check: Callable[[Wiring], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "finding": check(wiring())}
    except (ValueError, OSError) as error:
        return {"check": name, "ok": False, "finding": str(error)}
    except SQLAlchemyError as error:
        return {"check": name, "ok": False, "finding": str(failed(error) or error)}


def _versions(_: Wiring) -> str:
    from importlib.metadata import version

    names = ("eql-scorer", "lightgbm", "scikit-learn", "duckdb", "mlflow", "fastapi", "sqlalchemy")
    return ", ".join(f"{name} {version(name)}" for name in names)


def _home(parts: Wiring) -> str:
    home = parts.home()
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as error:
        raise unusable_home(home, error) from None


def _store(parts: Wiring) -> str:
    with database.reading(parts.engine) as connection:
        description, damage = database.describe(connection), database.damage(connection)
        if damage is not None:
            raise InvalidState(f"the store {description} is damaged ({damage}); restore a backup")
        counts = versions.count(connection)
    if not counts["leads"]:
        raise InvalidState(f"the store {description} has no leads; run `eql import`, or `make run` for simulated data")
    return f"{description}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


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
    words = f"version {served.version}, rung {served.bundle.rung}, {served.bundle.sha256[:12]}"
    if served.bundle.fold < FOLD_VERSION:
        words += "; an earlier eql trained it, and it compares texts as sent: run `eql train`, then `eql promote`"
    return words


def _registry(parts: Wiring) -> str:
    versions = parts.registry.versions()
    return f"{parts.settings.tracking_uri}: {len(versions)} {'version' if len(versions) == 1 else 'versions'}"


class InvalidState(ValueError):
    """A part is not ready to serve; the message names the fix."""


_CHECKS: dict[str, Callable[[Wiring], str]] = {
    "versions": _versions,
    "home": _home,
    "store": _store,
    "policy": _policy,
    "champion": _champion,
    "registry": _registry,
    "worker": worker_state,
}
