"""The reasons that pages show: contributions with the same sentence are merged, and the strongest are shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.explanation import Contribution

MAX_SHOWN = 5
"""Reasons that are shown for a lead, and reasons against it."""

_MIN_POINTS = 0.05
"""Percentage points below which a reason would be shown as zero."""


@dataclass(frozen=True)
class Reason:
    """The sum of the contributions with one sentence, in percentage points."""

    sentence: str
    family: str
    points: float


@dataclass(frozen=True)
class Reasons:
    """The strongest reasons for and against, and the sum of all other reasons in percentage points."""

    favouring: tuple[Reason, ...]
    against: tuple[Reason, ...]
    others: float


def merged(contributions: Iterable[Contribution]) -> list[Reason]:
    """Contributions of a family with the same sentence as one, the strongest first."""
    sums: dict[tuple[str, str], float] = {}
    for contribution in contributions:
        key = contribution.sentence, contribution.family
        sums[key] = sums.get(key, 0.0) + contribution.points
    return sorted((Reason(*key, points) for key, points in sums.items()), key=lambda reason: -abs(reason.points))


def strongest_reasons(contributions: Iterable[Contribution]) -> Reasons:
    """The reasons that a page shows: at most `MAX_SHOWN` for the lead and as many against it."""
    reasons = merged(contributions)
    favouring = tuple(reason for reason in reasons if reason.points >= _MIN_POINTS)[:MAX_SHOWN]
    against = tuple(reason for reason in reasons if reason.points <= -_MIN_POINTS)[:MAX_SHOWN]
    shown = {*favouring, *against}
    return Reasons(favouring, against, sum(reason.points for reason in reasons if reason not in shown))


def strongest_reason(contributions: Iterable[Contribution]) -> Reason | None:
    """The strongest reason for the lead; None where there is none."""
    return next((reason for reason in merged(contributions) if reason.points >= _MIN_POINTS), None)
