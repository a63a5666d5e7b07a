from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from features.engines.python import Evaluation
from models.bundle import Bundle
from models.decision import ExpectedValue
from models.expected_value import average_amounts, expected_value, segment
from models.probability import Rung

EVALUATION = Evaluation({}, {"employees": 100}, {}, {})


@given(st.lists(st.tuples(st.none() | st.integers(1, 10_000), st.integers(0, 10**9)), min_size=1))
def test_the_average_of_a_segment_lies_between_its_own_and_that_of_all(wins: list[Any]) -> None:
    average = round(sum(minor for _, minor in wins) / len(wins))
    for name, found in average_amounts(wins, average).items():
        own = [minor for employees, minor in wins if segment(employees) == name]
        mean = sum(own) / len(own)
        assert min(mean, average) - 1 <= found <= max(mean, average) + 1


def test_many_wins_of_a_segment_outweigh_all() -> None:
    wins = [(10, 100)] * 990 + [(2000, 10_000)]
    found = average_amounts(wins, 200)
    assert found["1 to 49 employees"] == round((990 * 100 + 10 * 200) / 1000)
    assert found["1,000 or more employees"] == round((10_000 + 10 * 200) / 11)


def test_the_basis_is_the_nearest_amount_that_is_known(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["base_rate"]
    whole = replace(bundle, expected_amount=(1000, "EUR"), segment_amounts={"50 to 249 employees": 2000})
    opportunity = replace(EVALUATION, opportunity=(500, "USD"))
    assert expected_value(whole, opportunity, 0.5) == ExpectedValue(250, "USD", "opportunity")
    assert expected_value(whole, EVALUATION, 0.5) == ExpectedValue(1000, "EUR", "segment")
    unknown = replace(EVALUATION, account={})
    assert expected_value(whole, unknown, 0.5) == ExpectedValue(500, "EUR", "all")
    without = replace(bundle, expected_amount=None, segment_amounts={})
    assert expected_value(without, unknown, 0.5) is None
    assert expected_value(without, opportunity, 0.5) == ExpectedValue(250, "USD", "opportunity")


def test_a_bundle_from_before_decides_as_it_did(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["base_rate"]
    before = replace(bundle, expected_amount=(1000, "EUR"), segment_amounts=None)
    value = expected_value(before, EVALUATION, 0.5)
    assert value is not None
    assert value.to_dict() == {"minor": 500, "currency": "EUR"}
