"""The folding of free text: one function, after which rules, features and models compare texts.

A text is compared folded and shown as it was sent. SQL never folds: an engine's tables have a column with the folded
text beside each column of free text (`folded_column`), which this module's functions filled.
"""

import unicodedata
from collections.abc import Callable
from functools import lru_cache

FOLD_VERSION = 1
"""The version of the folding. A bundle and a decision keep the version that they were made with; 0 is text as sent."""

FOLDED_PREFIX = "folded."
"""The prefix of a folded column's name."""

_BAR = "|"
"""The character between the items of a list in a flat column."""


@lru_cache(maxsize=100_000)
def fold(text: str) -> str:
    """A text in the one form in which it is compared: Unicode's NFKC, without blanks at its ends, and case-folded.

    >>> fold(" SOFTWARE"), fold("Straße "), fold("\N{FULLWIDTH LATIN CAPITAL LETTER S}AP")
    ('software', 'strasse', 'sap')
    """
    # To fold the case may leave letters apart that NFKC writes as one, so NFKC comes last as well.
    compatible = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return compatible.strip()


def folded_text(text: str) -> str | None:
    """The folded text of a column; None where it is blank, which means unknown."""
    return fold(text) or None


def folded_list(text: str) -> str:
    """The folded text of a list column such as `|Slack|SAP |`; blank items are left out.

    >>> folded_list("|Slack |SAP|"), folded_list("||")
    ('|slack|sap|', '||')
    """
    # NFKC writes some wide characters as a bar, which would split an item in two.
    items = (fold(item).replace(_BAR, " ") for item in text.strip(_BAR).split(_BAR))
    return f"{_BAR}{_BAR.join(item for item in items if item.strip())}{_BAR}"


Folding = Callable[[str], str | None]
"""A function from a column's text to its folded text."""


def folded_column(column: str) -> str:
    """The name of the column that holds the folded text of `column`."""
    return f"{FOLDED_PREFIX}{column}"


def sent_column(column: str) -> str | None:
    """The name of the column whose folded text a column holds; None where the column is no folded one."""
    return column.removeprefix(FOLDED_PREFIX) if column.startswith(FOLDED_PREFIX) else None
