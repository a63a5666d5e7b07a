"""Merkle trees over ordered leaves (RFC 6962, section 2.1): the root is one hash that commits to all leaves.

Leaves and inner nodes are hashed with different prefixes, so that a leaf cannot pass as an inner node or the reverse.
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
    """The root over hashed leaves. The leaves are read once and not kept."""
    # The roots of complete subtrees, the larger ones first. Their sizes are the binary digits of the number of leaves.
    subtrees: list[tuple[int, bytes]] = []
    for hashed in leaves:
        size, subtree = 1, hashed
        while subtrees and subtrees[-1][0] == size:
            size, subtree = 2 * size, _node(subtrees.pop()[1], subtree)
        subtrees.append((size, subtree))
    if not subtrees:
        return EMPTY
    whole = subtrees.pop()[1]
    while subtrees:
        whole = _node(subtrees.pop()[1], whole)
    return whole


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at `index`: the siblings on the way from the leaf to the root, the lowest first."""
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*path(leaves[:half], index), root(leaves[half:])]
    return [*path(leaves[half:], index - half), root(leaves[:half])]


def root_of(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that follows from a leaf at `index` of `count` and its siblings; None where their number is wrong."""
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
