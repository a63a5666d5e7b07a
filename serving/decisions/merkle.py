"""Merkle trees over leaves in order, after RFC 6962, section 2.1: one hash that stands for all of them.

Leaves and inner nodes are hashed with different prefixes, so that none can be passed off as the other.
"""

import hashlib
from collections.abc import Iterable, Sequence

_LEAF, _NODE = b"\x00", b"\x01"
EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def leaf(entry: bytes) -> bytes:
    """The hash of an entry as a leaf."""
    return hashlib.sha256(_LEAF + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over hashed leaves, which are read once and never held."""
    # Roots of complete subtrees, the larger ones first: the binary digits of how many leaves there were.
    subtrees: list[tuple[int, bytes]] = []
    for each in leaves:
        size, found = 1, each
        while subtrees and subtrees[-1][0] == size:
            size, found = 2 * size, _node(subtrees.pop()[1], found)
        subtrees.append((size, found))
    if not subtrees:
        return EMPTY
    whole = subtrees.pop()[1]
    while subtrees:
        whole = _node(subtrees.pop()[1], whole)
    return whole


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at `index`: the siblings, from its own up, that lead from it to the root."""
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*path(leaves[:half], index), root(leaves[half:])]
    return [*path(leaves[half:], index - half), root(leaves[:half])]


def root_of(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a leaf at `index` of `count` and its siblings lead to; None where their number cannot be right."""
    if not 0 <= index < count:
        return None
    if count == 1:
        return None if siblings else leaf
    if not siblings:
        return None
    half, *below, last = _split(count), *siblings
    if index < half:
        left = root_of(leaf, index, half, below)
        return None if left is None else _node(left, last)
    right = root_of(leaf, index - half, count - half, below)
    return None if right is None else _node(last, right)


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
