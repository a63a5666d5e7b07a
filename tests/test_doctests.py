"""The examples in docstrings of small formulas hold."""

import doctest
from importlib import import_module

import numpy as np
import pytest

MODULES = (
    "features.batched",
    "features.catalogue.specs",
    "features.currencies",
    "features.domains",
    "features.overlap.matching",
    "features.quality.arrivals",
    "features.shrinkage",
    "features.value_types",
    "models.bundle",
    "models.explanation",
    "models.policy",
    "models.probability",
    "models.statistics",
    "operations.emails",
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
    failed, attempted = doctest.testmod(import_module(name), extraglobs={"np": np})
    assert (failed, attempted > 0) == (0, True)
