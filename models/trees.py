"""LightGBM's text of a model, checked before LightGBM's own parser sees it.

That parser trusts its input: sizes, positions and links that do not fit make it read beyond its memory or end the
process, and a service would then start, load the same model and end again. So everything it follows is checked here:
the size of every tree's text, the length of every list, and that the splits of each tree are a tree.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

MOST_FEATURES = 65_536
MOST_LEAVES = 4096
DEEPEST = 64
"""Levels of splits: explaining a tree recurses through them, in time that grows with their square."""

_HEADER = frozenset(
    ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names")
) | {"feature_infos", "tree_sizes"}
_TREE = frozenset(("num_leaves", "num_cat", "leaf_value", "is_linear", "shrinkage"))
_SPLITS = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_INNER = ("internal_value", "internal_weight", "internal_count")
_LEAVES = ("leaf_weight", "leaf_count")
_CATEGORIES = ("cat_boundaries", "cat_threshold")
_END = b"end of trees\n"
_CONTROL = re.compile(rb"[^\n -~]")
_BLANK = re.compile(rb"\n+")
_INTEGER = re.compile(r"-?\d{1,10}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d{1,3})?")
_THRESHOLD = re.compile(rf"{_NUMBER.pattern}|-?inf")
_IS_CATEGORY, _MISSING_BITS, _TYPES = 1, 2, 16
_CATEGORY_BITS = 2**32


class MalformedTrees(ValueError):
    """A text that is no model of trees, or one that LightGBM's parser could not take."""


def sound(text: str) -> str:
    """The part of a model's text that predictions need, once it is known to be LightGBM's, of one output.

    What follows the trees is for reading only, and LightGBM's parser trusts that, too.

    Raises:
        MalformedTrees: it is not; the message says where.
    """
    content = text.encode()
    head, separator, _ = content.partition(b"\n\n")
    features, sizes = _header(head)
    position = len(head) + len(separator)
    for number, size in enumerate(sizes):
        _tree(content[position : position + size], number, features)
        position += size
    if not content.startswith(_END, position):
        raise MalformedTrees("its trees do not end where they should")
    return content[: position + len(_END)].decode()


def _header(text: bytes) -> tuple[int, list[int]]:
    """How many features the model reads, and the sizes of the trees' texts in bytes."""
    first, *lines = _lines(text, "the header")
    found = _fields(lines, "the header")
    if first != "tree" or not _HEADER <= found.keys() <= _HEADER | {"monotone_constraints"}:
        raise MalformedTrees("the header is not that of a model of trees")
    for name, expected in (("version", "v4"), ("num_class", "1"), ("num_tree_per_iteration", "1")):
        if found[name] != expected:
            raise MalformedTrees(f"{name} must be {expected}")
    features = _count(found["max_feature_idx"], "the header", 0, MOST_FEATURES - 1) + 1
    _count(found["label_index"], "the header", 0, 0)
    for name in ("feature_names", "feature_infos", *({"monotone_constraints"} & found.keys())):
        if len(found[name].split(" ")) != features:
            raise MalformedTrees(f"{name} must have {features} items")
    if any(not re.fullmatch(r"-?1|0", sign) for sign in found.get("monotone_constraints", "0").split(" ")):
        raise MalformedTrees("monotone_constraints must be -1, 0 or 1")
    sizes = _integers(found["tree_sizes"], "tree_sizes")
    if min(sizes) <= 0:
        raise MalformedTrees("tree_sizes must be positive")
    return features, sizes


def _tree(text: bytes, number: int, features: int) -> None:
    place = f"tree {number}"
    first, *lines = _lines(_BLANK.sub(b"\n", text).removesuffix(b"\n"), place)
    found = _fields(lines, place)
    if first != f"Tree={number}" or not text.endswith(b"\n"):
        raise MalformedTrees(f"{place} does not stand where tree_sizes says")
    if not found.keys() >= _TREE or found["is_linear"] != "0":
        raise MalformedTrees(f"{place} lacks a part, or is linear")
    leaves = _count(found["num_leaves"], place, 1, MOST_LEAVES)
    categories = _count(found["num_cat"], place, 0, leaves - 1)
    lists = _lists(found, leaves, categories, place)
    _number(found["shrinkage"], place)
    if leaves > 1:
        _check_links(lists["left_child"], lists["right_child"], place)
        _check_splits(lists, features, categories, place)


def _lines(text: bytes, place: str) -> list[str]:
    if not text.isascii() or _CONTROL.search(text):
        raise MalformedTrees(f"{place} is not plain text")
    return text.decode().split("\n")


def _fields(lines: list[str], place: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in lines]
    found = {name: value for name, _, value in pairs}
    if any(not separator for _, separator, _ in pairs) or len(found) < len(pairs):
        raise MalformedTrees(f"{place} has a line that is no field, or a field twice")
    return found


def _lists(found: Mapping[str, str], leaves: int, categories: int, place: str) -> dict[str, list[Any]]:
    """The lists of a tree, each of the length that its leaves call for."""
    lengths = {"leaf_value": leaves}
    if leaves > 1:
        lengths |= dict.fromkeys((*_SPLITS, *_INNER), leaves - 1) | dict.fromkeys(_LEAVES, leaves)
    if categories:
        lengths |= {"cat_boundaries": categories + 1}
    extra = found.keys() - lengths.keys() - _TREE - set(_CATEGORIES if categories else ())
    # LightGBM writes the lists of a tree without splits too, empty or of one item.
    if missing := lengths.keys() - found.keys() or (extra if leaves > 1 else extra - {*_SPLITS, *_INNER, *_LEAVES}):
        raise MalformedTrees(f"{place} must not lack or add {', '.join(sorted(missing))}")
    read = {name: _LISTS[name](found[name], f"{name} of {place}") for name in lengths}
    for name, length in lengths.items():
        if len(read[name]) != length:
            raise MalformedTrees(f"{name} of {place} must have {length} items")
    if categories:
        _check_categories(read["cat_boundaries"], found.get("cat_threshold", ""), place)
    return read


def _check_categories(boundaries: list[int], words: str, place: str) -> None:
    found = _integers(words, f"cat_threshold of {place}")
    rising = all(low < high for low, high in itertools.pairwise(boundaries))
    if boundaries[0] != 0 or not rising or boundaries[-1] != len(found):
        raise MalformedTrees(f"cat_boundaries of {place} do not fit its categories")
    if not all(0 <= word < _CATEGORY_BITS for word in found):
        raise MalformedTrees(f"cat_threshold of {place} is out of range")


def _check_links(left: list[int], right: list[int], place: str) -> None:
    """Every split but the first, and every leaf, hangs on one split above it, which was made before it."""
    depths = [0] * len(left)
    for parent, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if parent < child < len(left):
                depths[child] = depths[parent] + 1
    hung = sorted([*left, *right])
    if hung != [*range(-len(left) - 1, 0), *range(1, len(left))]:
        raise MalformedTrees(f"the splits of {place} do not hang together")
    if any(0 <= child <= parent for side in (left, right) for parent, child in enumerate(side)):
        raise MalformedTrees(f"a split of {place} hangs on one made after it")
    if max(depths) >= DEEPEST:
        raise MalformedTrees(f"{place} is deeper than {DEEPEST} splits")


def _check_splits(lists: Mapping[str, list[Any]], features: int, categories: int, place: str) -> None:
    if not all(0 <= feature < features for feature in lists["split_feature"]):
        raise MalformedTrees(f"{place} splits by a feature that is none of {features}")
    if min(lists["internal_count"]) <= 0 or min(lists["leaf_count"]) <= 0:
        raise MalformedTrees(f"the counts of {place} must be positive")
    for kind, threshold in zip(lists["decision_type"], lists["threshold"], strict=True):
        if not 0 <= kind < _TYPES or kind >> _MISSING_BITS == 3:
            raise MalformedTrees(f"a decision_type of {place} is not known")
        if kind & _IS_CATEGORY and not (threshold.is_integer() and 0 <= threshold < categories):
            raise MalformedTrees(f"a split of {place} asks for categories that it lacks")


def _count(text: str, place: str, least: int, most: int) -> int:
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise MalformedTrees(f"a size of {place} must lie between {least} and {most}")
    return int(text)


def _number(text: str, place: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise MalformedTrees(f"{place} has an item that is no finite number")
    return float(text)


def _texts(text: str, place: str, form: re.Pattern[str]) -> list[str]:
    items = text.split(" ")
    if not all(form.fullmatch(item) for item in items):
        raise MalformedTrees(f"{place} has an item of another form")
    return items


def _integers(text: str, place: str) -> list[int]:
    return [int(item) for item in _texts(text, place, _INTEGER)]


def _numbers(text: str, place: str) -> list[float]:
    return [_number(item, place) for item in _texts(text, place, _NUMBER)]


def _thresholds(text: str, place: str) -> list[float]:
    # An infinite one parts what is known from what is missing.
    return [float(item) for item in _texts(text, place, _THRESHOLD)]


_LISTS: Mapping[str, Callable[[str, str], list[Any]]] = {
    **dict.fromkeys(("split_feature", "decision_type", "left_child", "right_child", "cat_boundaries"), _integers),
    **dict.fromkeys(("internal_count", "leaf_count"), _integers),
    **dict.fromkeys(("split_gain", "leaf_value", "leaf_weight", "internal_value", "internal_weight"), _numbers),
    "threshold": _thresholds,
}
