"""What commands print: results on stdout, progress and errors on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


def progress(message: str) -> None:
    """Print a step that begins."""
    ERRORS.print(f"… {message}", markup=False, style="dim")


def count(what: str, done: int) -> None:
    """Print how many items of a step are done, on a terminal only; each call overwrites the line."""
    if ERRORS.is_terminal:
        ERRORS.print(f"… {what}: {done:,}\r", markup=False, style="dim", end="")


def emit(result: Mapping[str, Any] | Sequence[Any], text: str, as_json: bool) -> None:
    """Print a result: as JSON for machines, else as text."""
    sys.stdout.write(f"{json.dumps(result, indent=1, ensure_ascii=False) if as_json else text}\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as a table in plain text."""
    printed = Table(*columns, title=title, title_justify="left")
    for row in rows:
        printed.add_row(*(_cell_text(cell) for cell in row))
    console = Console(width=140, no_color=True)
    with console.capture() as captured:
        console.print(printed)
    return captured.get().rstrip()


def _cell_text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4f}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "" if cell is None else str(cell)
