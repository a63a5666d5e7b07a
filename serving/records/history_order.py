"""The order of the versions in one body of history: it follows from their content, whatever the order of the lines."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from features.records import Stored
from serving.store.canonical_json import canonical

TIE = (
    "another line gives this record another version of the same recorded_at; the one whose content hash is the greater "
    "holds"
)


def history_order(given: Sequence[Stored], now: int) -> list[int]:
    """The positions of the versions in the order in which they get ingest numbers.

    Args:
        given: the versions in the order of their lines.
        now: the moment at which versions without `recorded_at` are recorded, microseconds.
    """

    def key(position: int) -> tuple[int, str]:
        recorded = given[position].record.recorded_at
        return now if recorded is None else recorded, _content_hash(given[position])

    return sorted(range(len(given)), key=key)


def ties(given: Sequence[Stored]) -> frozenset[int]:
    """The positions of the versions for which another version has the same record and moment, and other content."""
    versions: defaultdict[tuple[str, str, int | None], defaultdict[str, list[int]]]
    versions = defaultdict(lambda: defaultdict(list))
    for position, each in enumerate(given):
        versions[each.kind.name, each.id, each.record.recorded_at][_content_hash(each)].append(position)
    tied = (positions for same in versions.values() if len(same) > 1 for positions in same.values())
    return frozenset(position for positions in tied for position in positions)


def _content_hash(stored: Stored) -> str:
    """SHA-256, in hex, of the canonical JSON of a version as flat columns, without its id."""
    content = {name: value for name, value in stored.row().items() if name != stored.kind.id}
    return hashlib.sha256(canonical(content).encode()).hexdigest()
