"""The examples in docstrings hold: those of the small formulas."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "features.catalogue.specs",
    "features.currencies",
    "features.domains",
    "features.overlap.matching",
    "features.quality.arrivals",
    "features.shrinkage",
    "features.value_types",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(name))
    assert (failed, attempted > 0) == (0, True)
