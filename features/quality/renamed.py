"""Which known record an unknown id probably means."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_LEAST_ALIKE = 0.85


def alike(identity: str, known: Iterable[tuple[str, str]]) -> str | None:
    """The id whose own text, or whose name, reads almost like `identity`; the likest first, None where none does.

    Letters may differ a little, numbers not at all but for leading zeros: P-7 and P-07 are one, P-7 and P-8 are two.

    Args:
        identity: the id that nobody recorded.
        known: ids with their names.
    """
    letters, numbers = _parts(identity)
    best, likest = None, _LEAST_ALIKE
    for candidate, name in known:
        for text in (candidate, name):
            its_letters, its_numbers = _parts(text)
            if not text or its_numbers != numbers:
                continue
            likeness = SequenceMatcher(None, letters, its_letters).ratio()
            if likeness > likest:
                best, likest = candidate, likeness
    return best


def _parts(text: str) -> tuple[str, list[int]]:
    """The letters of a text, and its numbers."""
    return re.sub(r"[\W\d_]", "", text.casefold()), [int(digits) for digits in re.findall(r"\d+", text)]
