"""Options that commands share, and the wiring they all work with."""

from contextvars import ContextVar
from enum import StrEnum
from typing import Annotated

import typer

from app.wiring import Wiring

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Format(StrEnum):
    """Formats of record files."""

    parquet = "parquet"
    csv = "csv"


class UsageError(typer.BadParameter):
    """The command was called wrongly; ends with exit code 2."""


_PARTS: ContextVar[Wiring] = ContextVar("parts")


def begin(parts: Wiring) -> None:
    """Give this run of the command its parts."""
    _PARTS.set(parts)


def wiring() -> Wiring:
    """The parts this run of the command works with."""
    return _PARTS.get()
