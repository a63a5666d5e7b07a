"""Text in CSV files that people open in a spreadsheet, which would run a cell that begins with `=` as a formula.

Such a text gets a leading apostrophe, which a spreadsheet takes for "this is text" (OWASP, CSV injection). An import
takes it off again. Numbers and files for programs are left as they are.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Also a text with an apostrophe before the sign, so that taking off one apostrophe always gives the text back."""


def guarded(value: object) -> object:
    """The value of a cell; a text that a spreadsheet could run gets a leading apostrophe.

    >>> guarded("=HYPERLINK(A1)"), guarded(-3), guarded("Acme")
    ("'=HYPERLINK(A1)", -3, 'Acme')
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unguarded(text: str) -> str:
    """The text that `guarded` was given.

    >>> unguarded("'=1+1"), unguarded("'s-Hertogenbosch")
    ('=1+1', "'s-Hertogenbosch")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def guarded_rows(rows: Iterable[Sequence[object]]) -> Iterator[list[object]]:
    """The rows with every cell guarded."""
    return ([guarded(cell) for cell in row] for row in rows)
