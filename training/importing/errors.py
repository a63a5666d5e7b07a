"""The errors that stop an import before anything is written, and hints that help to fix them."""

import difflib
from collections.abc import Iterable


class ImportFailure(ValueError):
    """The import cannot be done; nothing was written. The message is one sentence with the fix."""


class InvalidMapping(ImportFailure):
    """The mapping file breaks the mapping language."""


class InvalidFile(ImportFailure):
    """A file of the export is absent, unreadable or lacks a column that the mapping names."""


def hint(name: str, known: Iterable[str], limit: int = 12) -> str:
    """The names close to a mistaken one, or else the known names (at most `limit`), as the end of a sentence."""
    names = list(known)
    by_lower = {each.lower(): each for each in names}
    close = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    listed = ", ".join(map(repr, names[:limit])) + (", ..." if len(names) > limit else "")
    return f"there is {listed}" if names else "there is none"
