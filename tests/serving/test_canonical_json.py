"""Canonical JSON says what it was given, and the same of equal content."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.value_types import MAX_INTEGER
from serving.store.canonical_json import as_json, canonical

INTEGERS = st.integers(-MAX_INTEGER, MAX_INTEGER)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
CONTENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


def backwards(content: Any) -> Any:
    """Equal content whose keys stand the other way round."""
    if isinstance(content, dict):
        return {key: backwards(value) for key, value in reversed(content.items())}
    return [backwards(each) for each in content] if isinstance(content, list) else content


@given(CONTENTS)
def test_it_reads_back_as_what_was_written(content: Any) -> None:
    assert json.loads(canonical(content)) == json.loads(as_json(content)) == content


@given(CONTENTS)
def test_equal_content_has_one_text(content: Any) -> None:
    assert canonical(backwards(content)) == canonical(content)


def test_keys_are_in_the_order_of_their_characters() -> None:
    assert canonical({"\U0001f600": 1, "\uffff": 2, "b": 3, "a": {"d": 4, "c": 5}}) == (
        '{"a":{"c":5,"d":4},"b":3,"\uffff":2,"\U0001f600":1}'
    )


@pytest.mark.parametrize("content", [{"when": object()}, {1: "a"}, {"many": 2**70}])
def test_what_json_has_no_type_for_is_refused(content: Any) -> None:
    for write in (canonical, as_json):
        with pytest.raises(TypeError):
            write(content)
