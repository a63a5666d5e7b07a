"""What commands print: results on stdout, progress and errors on stderr."""

import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_ESCAPED: Mapping[str, Callable[[str], str]] = dict.fromkeys(
    ("Cc", "Cf", "Cs", "Zl", "Zp"), lambda each: each.encode("unicode_escape").decode()
)
"""By Unicode's general category, how a character is shown that has no look of its own."""
ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """A text with its control and formatting characters escaped, because a terminal would obey them."""
    return "".join(_ESCAPED.get(unicodedata.category(each), str)(each) for each in text)


def progress(message: str) -> None:
    """Print a step that begins."""
    ERRORS.print(f"… {printable(message)}", markup=False, style="dim")


def count(what: str, done: int) -> None:
    """Print how many items of a step are done, on a terminal only; each call overwrites the line."""
    if ERRORS.is_terminal:
        ERRORS.print(f"… {what}: {done:,}\r", markup=False, style="dim", end="")


def emit(result: Mapping[str, Any] | Sequence[Any], text: str, as_json: bool) -> None:
    """Print a result: as JSON for machines, else as text."""
    sys.stdout.write(f"{json.dumps(result, indent=1, ensure_ascii=False) if as_json else text}\n")


def fail(error: str) -> None:
    """Print the sentence of an error that ends the command."""
    ERRORS.print(f"eql: {printable(' '.join(error.split()))}", markup=False, style="red")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as a table in plain text; a cell is text as it is, never markup. A tuple of texts has a line for each."""
    printed = Table(*columns, title=Text(title), title_justify="left")
    for row in rows:
        printed.add_row(*(Text(_cell_text(cell)) for cell in row))
    console = Console(width=140, no_color=True)
    with console.capture() as captured:
        console.print(printed)
    return captured.get().rstrip()


def _cell_text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4f}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    if isinstance(cell, tuple):
        return "\n".join(map(printable, cell))
    return "" if cell is None else printable(str(cell))
