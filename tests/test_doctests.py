"""The examples in docstrings, run as they stand."""

import doctest
import importlib

import pytest

MODULES = [
    "models.bundle",
    "models.explanation",
    "models.policy",
    "models.probability",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
