"""Options that commands share, and the wiring of the current run."""

import getpass
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.wiring import Wiring
from features.value_types import parse_date, parse_instant
from serving.identity import InvalidRole, Role, check_role

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RecordsFolder = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="A folder of records; by default the records of the store.")
]
RecordsOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A folder of records; by default the records of the store.")
]
HorizonDays = Annotated[int, typer.Option(min=1, max=730, help="Days within which a win counts.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Leave out the leads with this value at creation; may be repeated."),
]
Actor = Annotated[str | None, typer.Option(help="Name for the history; by default the user who runs the command.")]
Reason = Annotated[str, typer.Option(help="Reason for the history.")]


class Format(StrEnum):
    """Formats of record files."""

    parquet = "parquet"
    csv = "csv"


class UsageError(typer.BadParameter):
    """An argument or option of the command is wrong; the command ends with exit code 2."""


_WIRING: ContextVar[Wiring] = ContextVar("wiring")


def set_wiring(parts: Wiring) -> None:
    """Sets the wiring of this run of the command."""
    _WIRING.set(parts)


def wiring() -> Wiring:
    """The wiring of this run of the command."""
    return _WIRING.get()


def actor_or_user(actor: str | None) -> str:
    """The actor of an option, by default the user who runs the command."""
    return actor or getpass.getuser()


def parse_moment(text: str) -> int:
    """Parses the value of --as-of, an RFC 3339 time or a UTC day, to microseconds; a day stands for its start.

    Raises:
        UsageError: the text is neither.
    """
    try:
        return parse_date(text) if len(text) == len("YYYY-MM-DD") else parse_instant(text)
    except ValueError as error:
        raise UsageError(f"--as-of {error}, not {text!r}") from None


def check_role_option(role: Role, partner: str | None) -> None:
    """Checks that a role fits the option --partner.

    Raises:
        UsageError: it does not.
    """
    try:
        check_role(role, partner)
    except InvalidRole as error:
        raise UsageError(f"--partner: {error}") from None
