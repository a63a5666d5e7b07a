"""The API holds to its own OpenAPI document, as Schemathesis sees it; `make evidence` looks for longer."""

import pytest
from sqlalchemy import Engine

from benchmarks.evidence.contract import findings

EXAMPLES = 2
COVERED = r"^/v1/(keys|runs)|^/[a-z]+$"
"""The paths whose every bound is tried here; `python -m benchmarks.evidence contract` tries all."""


@pytest.mark.both_databases
def test_every_operation_does_as_its_examples_and_generated_requests_expect(store: Engine) -> None:
    found, counted = findings(store, EXAMPLES, ("examples", "fuzzing", "stateful"))
    assert not found, found[:5]
    assert counted["cases"] > 300


def test_every_bound_that_is_documented_holds(store: Engine) -> None:
    found, counted = findings(store, 1, ("coverage",), COVERED)
    assert not found, found[:5]
    assert counted["cases"] > 100
