"""The examples in docstrings of small formulas hold."""

import doctest
import importlib

import numpy as np
import pytest

MODULES = (
    "models.statistics",
    "training.evaluation.bootstrap",
    "training.evaluation.lift",
    "training.evaluation.metrics",
    "training.fitting.calibration",
    "training.fitting.ladder",
    "training.fitting.trainer",
    "training.importing.fields",
    "training.monitoring.feature_drift",
    "training.monitoring.outcomes",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), extraglobs={"np": np})
    assert results.attempted
    assert not results.failed
