"""The `eql` command. Exit code 0: done; 1: failed, and one sentence names the error and the fix; 2: wrong usage."""

import logging
import sys
import warnings

import typer

from app import console, settings
from app.commands import (
    data,
    exposures,
    forecast,
    matrix,
    models,
    monitor,
    partners,
    privacy,
    quality,
    scoring,
    seals,
    service,
    shadow,
    worker,
)
from app.commands.options import set_wiring
from app.wiring import Wiring

app = typer.Typer(
    name="eql",
    help="EQL scores Ecosystem Qualified Leads: rules, a close probability, and the reasons for both.",
    epilog="Example: eql up",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_GROUPS = (data, matrix, models, shadow, forecast, monitor, exposures, scoring, service, worker)
for group in _GROUPS:
    app.add_typer(group.app)
app.add_typer(partners.overlap_app, name="overlap")
app.add_typer(service.keys_app, name="keys")
app.add_typer(seals.seals_app, name="seals")
app.add_typer(seals.decisions_app, name="decisions")
app.add_typer(service.policy_app, name="policy")
app.add_typer(privacy.app, name="privacy")
service.doctor_app.add_typer(quality.app)
app.add_typer(service.doctor_app, name="doctor")


@app.callback()
def _set_up(context: typer.Context) -> None:
    parts = Wiring(settings.read())
    context.call_on_close(parts.close)
    set_wiring(parts)


def main() -> None:
    """Run the command line. An expected error ends it with one sentence on stderr and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for library in ("alembic", "mlflow"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # MLflow calls deprecated parts of its libraries; a user of `eql` can do nothing about that.
    warnings.filterwarnings("ignore", module="mlflow|sqlalchemy|pyspark")
    try:
        app()
    except (ValueError, OSError) as error:
        console.ERRORS.print(f"eql: {' '.join(_message(error).split())}", markup=False, style="red")
        raise SystemExit(1) from None


def _message(error: ValueError | OSError) -> str:
    """The message of an error; for a file that the system refused, its path and the reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; check the path and its permissions"
    return str(error)
