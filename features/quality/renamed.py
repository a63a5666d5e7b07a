"""The known id that an unknown id probably means, such as the new id of a renamed partner."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_MIN_SIMILARITY = 0.85


def closest_id(identity: str, known: Iterable[tuple[str, str]]) -> str | None:
    """The known id that is most similar to an unknown one, by its own text or by its name; None where none is similar.

    Letters may differ a little. Numbers must be equal apart from leading zeros: P-7 and P-07 are the same partner, P-7
    and P-8 are two.

    Args:
        identity: the unknown id.
        known: the recorded ids with their names.
    """
    letters, numbers = _parts(identity)
    closest, highest = None, _MIN_SIMILARITY
    for candidate, name in known:
        for text in (candidate, name):
            known_letters, known_numbers = _parts(text)
            if not text or known_numbers != numbers:
                continue
            similarity = SequenceMatcher(None, letters, known_letters).ratio()
            if similarity > highest:
                closest, highest = candidate, similarity
    return closest


def _parts(text: str) -> tuple[str, list[int]]:
    """The letters of a text, and its numbers."""
    return re.sub(r"[\W\d_]", "", text.casefold()), [int(digits) for digits in re.findall(r"\d+", text)]
