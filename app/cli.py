"""The `eql` command. Exit code 0: done; 1: failed, and one sentence names the error and the fix; 2: wrong usage.

The module of a command is imported when the command runs. So `eql --help` loads none of the libraries that commands
work with, and each command loads only its own.
"""

import logging
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from app import console

if TYPE_CHECKING:
    from typer._click import Context

COMMANDS = {
    "simulate": ("data:app", "Simulate two years of an ecosystem."),
    "import": ("data:app", "Import a CRM export, or a folder of records."),
    "export": ("data:app", "Write the records of the store to a folder, without the personal columns."),
    "backup": ("data:app", "Copy a SQLite store to a file; the store may be in use."),
    "features": ("data:app", "Write every feature of each lead that is open at a moment."),
    "matrix": (
        "matrix:app",
        "Write every labelled snapshot with its features, label and weight.",
    ),
    "train": ("models:app", "Train on the mature leads, register the version in MLflow and make it the challenger."),
    "evaluate": ("models:app", "Compare a version with the constant on the out-of-time leads, at creation."),
    "promote": ("models:app", "Make a version the champion if it is better."),
    "rollback": ("models:app", "Make the previous champion the champion again."),
    "models": ("registered:app", "List every version with its aliases, and the history of the aliases."),
    "shadow": ("shadow:app", "Let a challenger score every decision of the service in shadow."),
    "forecast": ("forecast:app", "Forecast when each open lead is won."),
    "monitor": ("monitor:app", "Check the champion for drift, early wins and calibration."),
    "exposures": ("exposures:app", "Write the positions at which sales saw leads, one row a lead and day."),
    "score": ("scoring:app", "Score many leads with the champion."),
    "up": ("service:app", "Prepare what is missing (simulated data, a model, scores), then serve."),
    "serve": ("service:app", "Serve the API and the pages."),
    "sign-in": ("service:app", "Print a link that signs in to the pages."),
    "worker": ("worker:app", "Deliver events, rescore leads and run schedules until stopped."),
    "overlap": ("partners:app", "Match partners' lists with our accounts."),
    "keys": ("keys:app", "Create, list and revoke API keys."),
    "seals": ("seals:app", "Seal decisions, and verify the sealed chain."),
    "decisions": ("seals:decisions_app", "Replay stored decisions."),
    "policy": ("policy:app", "Check and try policies, and print the default policy and the schema."),
    "privacy": ("privacy:app", "Export, erase and expire personal data."),
    "doctor": ("doctor:app", "Show the configuration, and each error with its fix."),
}
"""Each command with the place of its Typer application under `app.commands`, and its line in `eql --help`."""

CREATING = frozenset(("up", "serve", "import"))
"""The commands that make a home. In others, a folder without a store is a spelling mistake in EQL_HOME."""


class LateCommand(TyperCommand):
    """A command, or a group of commands, whose module is imported when it runs or prints its own help.

    Args:
        name: the name on the command line.
        place: the module and the Typer application in it, such as `data:app`.
        summary: the line in the help of `eql`.
    """

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._place = place

    def load(self) -> Any:
        """The command itself."""
        module, _, application = self._place.partition(":")
        # Typer gives a command of its own options for completion, so the command is taken out of a group.
        around = typer.Typer(add_completion=False)
        around.add_typer(getattr(import_module(f"app.commands.{module}"), application), name=self.name)
        group: Any = get_command(around)
        found = group.commands[self.name]
        return found.commands.get(self.name, found)

    def make_context(
        self, info_name: str | None, args: list[str], parent: "Context | None" = None, **extra: Any
    ) -> "Context":
        """The context of the command itself, so that the command itself is invoked."""
        context: Context = self.load().make_context(info_name, args, parent, **extra)
        return context


class LateGroup(TyperGroup):
    """The commands of `COMMANDS`, each imported late."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (place, summary) in COMMANDS.items():
            self.add_command(LateCommand(name, place, summary))


app = typer.Typer(
    name="eql",
    cls=LateGroup,
    help="EQL scores Ecosystem Qualified Leads: rules, a close probability, and the reasons for both.",
    epilog="Example: eql up",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _set_up(context: typer.Context) -> None:
    from app import settings
    from app.commands.options import set_wiring
    from app.wiring import Wiring

    parts = Wiring(settings.read(), creates=context.invoked_subcommand in CREATING)
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
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        console.fail(message)
        raise SystemExit(1) from None


def _message(error: Exception) -> str | None:
    """The message of an expected error; for a file that the system refused, its path and the reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; check the path and its permissions"
    if isinstance(error, ValueError | OSError):
        return str(error)
    from serving.store.errors import failed

    unusable = failed(error)
    return None if unusable is None else str(unusable)
