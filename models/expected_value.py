"""What a lead is worth: an amount times its close probability, and where the amount comes from."""

from collections.abc import Iterable, Mapping

from features.engines.python import Evaluation
from models.bundle import Bundle
from models.decision import ExpectedValue

SHRINKAGE = 10
"""Wins of all segments that count towards the average of a segment: few wins of its own say little."""
_BANDS = ((50, "1 to 49 employees"), (250, "50 to 249 employees"), (1000, "250 to 999 employees"))
_LARGEST = "1,000 or more employees"


def segment(employees: object) -> str | None:
    """The segment of an account by its size; None where the size is unknown.

    >>> segment(49), segment(250), segment(5000), segment(None)
    ('1 to 49 employees', '250 to 999 employees', '1,000 or more employees', None)
    """
    if not isinstance(employees, int | float):
        return None
    return next((name for below, name in _BANDS if employees < below), _LARGEST)


def average_amounts(wins: Iterable[tuple[object, int]], average: int) -> Mapping[str, int]:
    """The average amount of the wins of each segment, shrunk to the average of all.

    Args:
        wins: the employees of the account (None where unknown) and the amount of each win, in minor units.
        average: of all wins, minor units.
    """
    grouped: dict[str, list[int]] = {}
    for employees, minor in wins:
        name = segment(employees)
        if name is not None:
            grouped.setdefault(name, []).append(minor)
    return {
        name: round((sum(amounts) + SHRINKAGE * average) / (len(amounts) + SHRINKAGE))
        for name, amounts in sorted(grouped.items())
    }


def expected_value(bundle: Bundle, evaluation: Evaluation, probability: float) -> ExpectedValue | None:
    """The expected value of a lead; None where no amount is known.

    The amount is that of the lead's own open opportunity, else the average of its segment, else that of all wins.
    """
    if evaluation.opportunity is not None:
        minor, currency = evaluation.opportunity
        return ExpectedValue(round(minor * probability), currency, "opportunity")
    if bundle.expected_amount is None:
        return None
    minor, currency = bundle.expected_amount
    if bundle.segment_amounts is None:
        return ExpectedValue(round(minor * probability), currency)
    own = bundle.segment_amounts.get(segment(evaluation.account.get("employees")) or "")
    if own is None:
        return ExpectedValue(round(minor * probability), currency, "all")
    return ExpectedValue(round(own * probability), currency, "segment")
