"""Merkle trees: every leaf proves itself, nothing else does, and the roots are those of RFC 6962."""

import hashlib

from hypothesis import assume, given
from hypothesis import strategies as st

from serving.decisions import merkle

entries = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_that_of_the_definition(found: list[bytes]) -> None:
    leaves = [merkle.leaf(entry) for entry in found]
    assert leaves == [hashlib.sha256(b"\x00" + entry).digest() for entry in found]
    assert merkle.root(iter(leaves)) == by_definition(leaves)


@given(entries)
def test_every_leaf_proves_itself(found: list[bytes]) -> None:
    leaves = [merkle.leaf(entry) for entry in found]
    for index, leaf in enumerate(leaves):
        siblings = merkle.path(leaves, index)
        assert len(siblings) <= (len(leaves) - 1).bit_length()
        assert merkle.root_of(leaf, index, len(leaves), siblings) == merkle.root(leaves)


@given(entries, st.data())
def test_no_other_leaf_place_or_path_proves_it(found: list[bytes], data: st.DataObject) -> None:
    leaves = [merkle.leaf(entry) for entry in {*found}]
    index = data.draw(st.integers(0, len(leaves) - 1))
    siblings = merkle.path(leaves, index)
    root = merkle.root(leaves)
    other = merkle.leaf(data.draw(st.binary(max_size=8)))
    if other != leaves[index]:
        assert merkle.root_of(other, index, len(leaves), siblings) != root
    place = data.draw(st.integers(-1, len(leaves)))
    if place != index:
        assert merkle.root_of(leaves[index], place, len(leaves), siblings) != root
    for wrong in ([*siblings, other], siblings[:-1], siblings[1:]):
        if wrong != siblings:
            assert merkle.root_of(leaves[index], index, len(leaves), wrong) != root


@given(entries, st.data())
def test_leaves_in_another_order_have_another_root(found: list[bytes], data: st.DataObject) -> None:
    other = data.draw(st.permutations(found))
    assume(other != found)
    assert merkle.root(map(merkle.leaf, other)) != merkle.root(map(merkle.leaf, found))
