"""An explanation as people read it: what says the same is said once, and few reasons of many are told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 5
"""How many reasons for, and how many against, are told."""

_TELLING = 0.05
"""Percentage points below which a reason would be shown as nought."""


@dataclass(frozen=True)
class Reason:
    """What features that read alike add together, in percentage points."""

    sentence: str
    family: str
    points: float


@dataclass(frozen=True)
class Reasons:
    """The strongest reasons for and against, and what all others add together in percentage points."""

    favouring: tuple[Reason, ...]
    against: tuple[Reason, ...]
    others: float


def merged(contributions: Iterable[Mapping[str, Any]]) -> list[Reason]:
    """Contributions of a family with the same sentence as one, the strongest first."""
    sums: dict[tuple[str, str], float] = {}
    for each in contributions:
        key = each["sentence"], each["family"]
        sums[key] = sums.get(key, 0.0) + each["points"]
    found = [Reason(*key, points) for key, points in sums.items()]
    return sorted(found, key=lambda reason: -abs(reason.points))


def told(contributions: Iterable[Mapping[str, Any]]) -> Reasons:
    """The reasons a page tells: at most `SHOWN` for and as many against."""
    found = merged(contributions)
    favouring = tuple(reason for reason in found if reason.points >= _TELLING)[:SHOWN]
    against = tuple(reason for reason in found if reason.points <= -_TELLING)[:SHOWN]
    shown = {*favouring, *against}
    return Reasons(favouring, against, sum(reason.points for reason in found if reason not in shown))


def strongest(contributions: Iterable[Mapping[str, Any]]) -> Reason | None:
    """The strongest reason for; None where nothing speaks for the lead."""
    return next((reason for reason in merged(contributions) if reason.points >= _TELLING), None)
