"""The API does as its OpenAPI document says; `make evidence` tries more of it, and every bound."""

import pytest
from sqlalchemy import Engine

from benchmarks.evidence.contract import findings

EXAMPLES = 2


@pytest.mark.both_databases
def test_every_operation_does_as_its_examples_and_generated_requests_expect(store: Engine) -> None:
    found, counted = findings(store, EXAMPLES, ("examples", "fuzzing", "stateful"))
    assert not found, found[:5]
    assert counted["cases"] > 300
