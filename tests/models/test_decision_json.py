"""A decision's JSON form: pinned to that of the first version with stored decisions, and read back without loss."""

import json
from typing import Any

import pytest

from models.decision import Decision
from serving.store.canonical_json import canonical
from tests.models.golden_decisions import CASES, GOLDEN

ADDED_BY_SERVING = {"decision_id", "partner_history", "created_at"}


def decided(case: str) -> Decision:
    scorer, as_of, evaluation = CASES[case]
    return scorer.decide("L-1", as_of, evaluation)


def rounded(content: Any) -> Any:
    """JSON with numbers of 12 digits, for the last bits of a logarithm depend on the processor."""
    if isinstance(content, dict):
        return {name: rounded(each) for name, each in content.items()}
    if isinstance(content, list):
        return [rounded(each) for each in content]
    return float(f"{content:.12g}") if isinstance(content, float) else content


def text(content: Any) -> str:
    """JSON text with keys in their own order."""
    return json.dumps(content, ensure_ascii=False)


@pytest.mark.parametrize("case", CASES)
def test_a_decision_has_the_content_and_the_order_of_keys_that_it_always_had(case: str) -> None:
    made, content = decided(case).to_dict(), GOLDEN[case]["content"]
    assert text(rounded(made)) == text(rounded(content))
    assert canonical(rounded(made)) == canonical(rounded(content))


@pytest.mark.parametrize("case", CASES)
def test_a_decision_read_back_is_equal_and_writes_the_same_bytes(case: str) -> None:
    decision, content = decided(case), GOLDEN[case]["content"]
    assert Decision.from_dict(decision.to_dict()) == decision
    assert Decision.from_dict(json.loads(text(decision.to_dict()))) == decision
    assert text(Decision.from_dict(content).to_dict()) == text(content)


@pytest.mark.parametrize("case", CASES)
def test_a_stored_decision_is_read_and_writes_the_same_bytes(case: str) -> None:
    stored = json.loads(GOLDEN[case]["stored"])
    again = Decision.from_dict(stored).to_dict()
    assert again == GOLDEN[case]["content"]
    assert canonical({**again, **{name: stored[name] for name in ADDED_BY_SERVING}}) == GOLDEN[case]["stored"]


def test_numbers_keep_their_type_so_that_earlier_spellings_are_written_again() -> None:
    content = GOLDEN["at the base rate"]["content"]
    whole = {**content, "explanation": {**content["explanation"], "baseline": 0}}
    assert text(Decision.from_dict(whole).to_dict()) == text(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"as_of": "yesterday"},
        {"as_of": 5},
        {"rules": [{}]},
        {"rules": None},
        {"policy": None},
        {"explanation": []},
        {"close_probability": 0.5},
        {"close_probability_reason": "none"},
    ],
    ids=str,
)
def test_content_that_is_not_a_decision_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="decision"):
        Decision.from_dict({**GOLDEN["a referral, by a model"]["content"], **change})


def test_a_decision_that_lacks_a_key_is_refused_by_name() -> None:
    content = dict(GOLDEN["a referral, by a model"]["content"])
    del content["grade"]
    with pytest.raises(ValueError, match="grade"):
        Decision.from_dict(content)
