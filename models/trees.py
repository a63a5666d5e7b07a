"""Checks on LightGBM's text of a model, made before LightGBM's parser reads it.

That parser trusts its input. Sizes, positions and links that do not fit make it read beyond its memory or end the
process; a service would restart, load the same model and end again. So everything that the parser follows is checked
here: the size of every tree's text, the length of every list, and that the splits of each tree form a tree.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_FEATURES = 65_536
MAX_LEAVES = 4096
MAX_DEPTH = 64
"""Levels of splits. TreeSHAP recurses through them, and its time grows with their square."""

_HEADER = frozenset(
    ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names")
) | {"feature_infos", "tree_sizes"}
_TREE = frozenset(("num_leaves", "num_cat", "leaf_value", "is_linear", "shrinkage"))
_SPLITS = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_INNER = ("internal_value", "internal_weight", "internal_count")
_LEAVES = ("leaf_weight", "leaf_count")
_CATEGORIES = ("cat_boundaries", "cat_threshold")
_END = b"end of trees\n"
_OBJECTIVES = {1: "binary sigmoid:1", 3: "multiclass num_class:3"}
"""The objective of a model by the number of its outputs. The parser reads what follows the name without looking."""
_CONTROL = re.compile(rb"[^\n -~]")
_BLANK = re.compile(rb"\n+")
_INTEGER = re.compile(r"-?\d{1,10}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d{1,3})?")
_SIGN = re.compile(r"-?1|0")
_THRESHOLD = re.compile(rf"{_NUMBER.pattern}|-?inf")
_INFO = re.compile(rf"none|\[({_THRESHOLD.pattern}):({_THRESHOLD.pattern})\]|{_INTEGER.pattern}(:{_INTEGER.pattern})*")
"""What the training data had of a feature: nothing, a range, or categories."""
_IS_CATEGORY, _MISSING_BITS, _TYPES = 1, 2, 16
_CATEGORY_BITS = 2**32


class MalformedTrees(ValueError):
    """A text that is not a model of trees, or that LightGBM's parser could not read safely."""


def checked_model_text(text: str, outputs: int = 1) -> str:
    """The part of a model's text that predictions need: the header and the trees, checked.

    The rest of the text only informs readers. It is cut off, because LightGBM's parser trusts it as well.

    Args:
        text: the model in LightGBM's text form.
        outputs: the number of values that the model predicts for a row: 1, or 3 of a hazard model.

    Raises:
        MalformedTrees: the text is not a LightGBM model with these outputs; the message names the place.
    """
    content = text.encode()
    head, separator, _ = content.partition(b"\n\n")
    features, sizes = _check_header(head, outputs)
    # The parser jumps from tree to tree by `tree_sizes`, so each tree must fill exactly the bytes that it is given.
    position = len(head) + len(separator)
    for number, size in enumerate(sizes):
        _check_tree(content[position : position + size], number, features)
        position += size
    if not content.startswith(_END, position):
        raise MalformedTrees("the trees must end where tree_sizes says")
    return content[: position + len(_END)].decode()


def _check_header(text: bytes, outputs: int) -> tuple[int, list[int]]:
    """The number of features that the model reads, and the sizes of the trees' texts in bytes."""
    first, *lines = _lines(text, "the header")
    header = _fields(lines, "the header")
    if first != "tree" or not _HEADER <= header.keys() <= _HEADER | {"monotone_constraints"}:
        raise MalformedTrees("the header must be that of a LightGBM model")
    known = {"version": "v4", "num_class": str(outputs), "num_tree_per_iteration": str(outputs)}
    for name, expected in {**known, "objective": _OBJECTIVES[outputs]}.items():
        if header[name] != expected:
            raise MalformedTrees(f"{name} must be {expected}")
    features = _count(header["max_feature_idx"], "max_feature_idx", 0, MAX_FEATURES - 1) + 1
    _count(header["label_index"], "label_index", 0, 0)
    if header["feature_names"].split(" ") != [f"Column_{number}" for number in range(features)]:
        raise MalformedTrees(f"feature_names must be Column_0 to Column_{features - 1}")
    for name, form in {"feature_infos": _INFO, "monotone_constraints": _SIGN}.items():
        items = header[name].split(" ") if name in header else []
        if name in header and (len(items) != features or not all(form.fullmatch(item) for item in items)):
            raise MalformedTrees(f"{name} must have {features} items of its form")
    sizes = _integers(header["tree_sizes"], "tree_sizes")
    if min(sizes) <= 0:
        raise MalformedTrees("tree_sizes must be positive")
    return features, sizes


def _check_tree(text: bytes, number: int, features: int) -> None:
    location = f"tree {number}"
    first, *lines = _lines(_BLANK.sub(b"\n", text).removesuffix(b"\n"), location)
    fields = _fields(lines, location)
    if first != f"Tree={number}" or not text.endswith(b"\n"):
        raise MalformedTrees(f"{location} must start and end where tree_sizes says")
    if not fields.keys() >= _TREE or fields["is_linear"] != "0":
        raise MalformedTrees(f"{location} must have the fields {', '.join(sorted(_TREE))}, with is_linear=0")
    leaves = _count(fields["num_leaves"], f"num_leaves of {location}", 1, MAX_LEAVES)
    categories = _count(fields["num_cat"], f"num_cat of {location}", 0, leaves - 1)
    lists = _lists(fields, leaves, categories, location)
    _number(fields["shrinkage"], f"shrinkage of {location}")
    if leaves > 1:
        _check_links(lists["left_child"], lists["right_child"], location)
        _check_splits(lists, features, categories, location)


def _lines(text: bytes, location: str) -> list[str]:
    if not text.isascii() or _CONTROL.search(text):
        raise MalformedTrees(f"{location} must be plain ASCII text")
    return text.decode().split("\n")


def _fields(lines: list[str], location: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in lines]
    fields = {name: value for name, _, value in pairs}
    if any(not separator for _, separator, _ in pairs) or len(fields) < len(pairs):
        raise MalformedTrees(f"each line of {location} must be a field of its own, written name=value")
    return fields


def _lists(fields: Mapping[str, str], leaves: int, categories: int, location: str) -> dict[str, list[Any]]:
    """The lists of a tree; the length of each follows from the number of leaves and of categorical splits."""
    lengths = {"leaf_value": leaves}
    if leaves > 1:
        # A binary tree of n leaves has n - 1 splits.
        lengths |= dict.fromkeys((*_SPLITS, *_INNER), leaves - 1) | dict.fromkeys(_LEAVES, leaves)
    if categories:
        lengths |= {"cat_boundaries": categories + 1}
    extra = fields.keys() - lengths.keys() - _TREE - set(_CATEGORIES if categories else ())
    if leaves == 1:
        # LightGBM writes the lists of splits for a tree without splits too, empty or with one item. It reads none.
        extra -= {*_SPLITS, *_INNER, *_LEAVES}
    if misfits := (lengths.keys() - fields.keys()) or extra:
        raise MalformedTrees(f"{location} must not lack or add {', '.join(sorted(misfits))}")
    lists = {name: _LISTS[name](fields[name], f"{name} of {location}") for name in lengths}
    for name, length in lengths.items():
        if len(lists[name]) != length:
            raise MalformedTrees(f"{name} of {location} must have {length} items")
    if categories:
        _check_categories(lists["cat_boundaries"], fields.get("cat_threshold", ""), location)
    return lists


def _check_categories(boundaries: list[int], bitset: str, location: str) -> None:
    """Checks the categories of the splits.

    A categorical split sends the categories of a bitset to the left. `cat_threshold` holds the words of all bitsets, of
    32 bits each; those of split n lie from `boundaries[n]` up to `boundaries[n + 1]`.
    """
    words = _integers(bitset, f"cat_threshold of {location}")
    rising = all(low < high for low, high in itertools.pairwise(boundaries))
    if boundaries[0] != 0 or not rising or boundaries[-1] != len(words):
        raise MalformedTrees(f"cat_boundaries of {location} must rise from 0 to the length of cat_threshold")
    if not all(0 <= word < _CATEGORY_BITS for word in words):
        raise MalformedTrees(f"cat_threshold of {location} must be numbers of 32 bits")


def _check_links(left: list[int], right: list[int], location: str) -> None:
    """Checks that the splits form one tree of bounded depth.

    Child n >= 0 is split n, child -1 - n is leaf n. The parser follows children without looking, so a cycle would never
    end. LightGBM numbers a split after its parent. So it suffices that every leaf, and every split but the first, is
    the child of exactly one split, and that each child split has a higher number than its parent.
    """
    depths = [0] * len(left)
    for parent, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if parent < child < len(left):
                depths[child] = depths[parent] + 1
    children_in_order = sorted([*left, *right])
    if children_in_order != [*range(-len(left) - 1, 0), *range(1, len(left))]:
        raise MalformedTrees(f"the splits of {location} must form one tree")
    if any(0 <= child <= parent for side in (left, right) for parent, child in enumerate(side)):
        raise MalformedTrees(f"each split of {location} must come after its parent")
    if max(depths) >= MAX_DEPTH:
        raise MalformedTrees(f"{location} must not be deeper than {MAX_DEPTH} splits")


def _check_splits(lists: Mapping[str, list[Any]], features: int, categories: int, location: str) -> None:
    if not all(0 <= feature < features for feature in lists["split_feature"]):
        raise MalformedTrees(f"{location} must split by one of the {features} features")
    # TreeSHAP divides by the counts.
    if min(lists["internal_count"]) <= 0 or min(lists["leaf_count"]) <= 0:
        raise MalformedTrees(f"the counts of {location} must be positive")
    for kind, threshold in zip(lists["decision_type"], lists["threshold"], strict=True):
        # Bit 0: categorical. Bit 1: the default direction. Bits 2 and 3: none, zero or NaN counts as missing.
        if not 0 <= kind < _TYPES or kind >> _MISSING_BITS == 3:
            raise MalformedTrees(f"decision_type of {location} must be one of LightGBM's types")
        # The threshold of a categorical split is the number of its bitset.
        if kind & _IS_CATEGORY and not (threshold.is_integer() and 0 <= threshold < categories):
            raise MalformedTrees(f"a categorical split of {location} must name categories of that tree")


def _count(text: str, name: str, low: int, high: int) -> int:
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise MalformedTrees(f"{name} must be a whole number from {low} to {high}")
    return int(text)


def _number(text: str, name: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise MalformedTrees(f"{name} must be finite numbers")
    return float(text)


def _texts(text: str, name: str, form: re.Pattern[str]) -> list[str]:
    items = text.split(" ")
    if not all(form.fullmatch(item) for item in items):
        raise MalformedTrees(f"{name} must be numbers of one type, separated by single spaces")
    return items


def _integers(text: str, name: str) -> list[int]:
    return [int(item) for item in _texts(text, name, _INTEGER)]


def _numbers(text: str, name: str) -> list[float]:
    return [_number(item, name) for item in _texts(text, name, _NUMBER)]


def _thresholds(text: str, name: str) -> list[float]:
    # An infinite threshold separates known values from missing ones.
    return [float(item) for item in _texts(text, name, _THRESHOLD)]


_LISTS: Mapping[str, Callable[[str, str], list[Any]]] = {
    **dict.fromkeys(("split_feature", "decision_type", "left_child", "right_child", "cat_boundaries"), _integers),
    **dict.fromkeys(("internal_count", "leaf_count"), _integers),
    **dict.fromkeys(("split_gain", "leaf_value", "leaf_weight", "internal_value", "internal_weight"), _numbers),
    "threshold": _thresholds,
}
