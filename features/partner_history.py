"""The derived records: the outcomes of the matured leads of each partner, each tier and all partners, day by day.

A lead is mature when its horizon has passed. It counts as a win only if it was won within the horizon, so a partner
does not gain by leads that close fast. A row holds from its day until the next row with its key, and is read as-of like
any record. Beside the counts a row holds the shrinkage strengths: how strongly the rate of a partner is drawn to that
of its tier, and the rate of a tier to that of all partners. They are fitted for each day from the leads mature by then,
so no row depends on later leads.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from features.folding import fold
from features.outcomes import first_recorded_wins
from features.records import EVERYONE, PARTNER_HISTORY, TIER_HISTORY, Kind, Row
from features.shrinkage import strength
from features.value_types import DAY

HORIZON_DAYS = 90
"""The horizon: the days within which a close counts, unless a training uses another."""


def histories(
    leads: Iterable[Row], partners: Iterable[Row], events: Iterable[Row], horizon_days: int
) -> dict[Kind, list[Row]]:
    """The rows of every derived record, each by day and key.

    Args:
        leads: the versions of leads. The first recorded version names the source partner; undated leads are left out.
        partners: the versions of partners. A lead counts for the tier of its partner on the day it matured.
        events: the versions of `lead_events`. The dated win recorded first counts (`outcomes.first_recorded_wins`).
        horizon_days: the days within which a win counts, and after which a lead is mature.
    """
    first: dict[str, Row] = {}
    for lead in sorted(leads, key=_recorded):
        first.setdefault(lead["lead_id"], lead)
    won = first_recorded_wins(events)
    tiers = _Tiers(partners)
    matured = (_matured(lead, won.get(lead["lead_id"]), horizon_days, tiers) for lead in first.values())
    return _rows(sorted((step for steps in matured for step in steps), key=_ORDER))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A change of the history at the end of a day (microseconds): a lead matured, or its win was recorded later."""

    day: int
    partner_id: str
    lead_id: str
    won: bool
    days: float = 0.0
    tier: str = ""


_ORDER = attrgetter("day", "partner_id", "lead_id", "won")


class _Tiers:
    """The folded tier of each partner as of any moment; empty where a partner has none."""

    def __init__(self, partners: Iterable[Row]) -> None:
        self._versions: dict[str, list[Row]] = {}
        for version in sorted(partners, key=_recorded):
            self._versions.setdefault(version["partner_id"], []).append(version)

    def of(self, partner_id: str, moment: int) -> str:
        versions = self._versions.get(partner_id, [])
        known = bisect_right(versions, moment, key=_recorded)
        tier = versions[known - 1]["tier"] if known and not versions[known - 1]["deleted"] else None
        folded = "" if tier is None else fold(tier)
        return "" if folded == EVERYONE else folded


def _recorded(row: Row) -> int:
    return row["recorded_at"] or 0


def _matured(lead: Row, win: Row | None, horizon_days: int, tiers: _Tiers) -> Iterator[_Step]:
    partner, created = lead["source_partner_id"], lead["created_at"]
    if partner is None or created is None:
        return
    mature = _end_of_day(max(created + horizon_days * DAY, _recorded(lead)))
    tier = tiers.of(partner, mature)
    yield _Step(day=mature, partner_id=partner, lead_id=lead["lead_id"], won=False, tier=tier)
    if win is not None and created <= win["occurred_at"] <= created + horizon_days * DAY:
        known = max(mature, _end_of_day(_recorded(win)))
        days = (win["occurred_at"] - created) / DAY
        yield _Step(day=known, partner_id=partner, lead_id=lead["lead_id"], won=True, days=days, tier=tier)


def _end_of_day(instant: int) -> int:
    return -(-instant // DAY) * DAY


@dataclass
class _Tally:
    """Counts of mature leads and of wins, and the sum of the logarithms of the days to close of the wins."""

    leads: int = 0
    wins: int = 0
    log_days: float = 0.0

    def count(self, step: _Step) -> None:
        if step.won:
            self.wins += 1
            self.log_days += math.log(max(step.days, 1.0))
        else:
            self.leads += 1


@dataclass
class _Groups:
    """The tallies of groups of leads, and the sums from which their shrinkage strength follows.

    A step updates the sums in constant time: the old terms of its group are subtracted, the new ones added.
    """

    tallies: dict[str, _Tally] = field(default_factory=dict)
    _leads: int = 0
    _wins: int = 0
    _squared_leads: int = 0
    _explained: float = 0.0

    def count(self, group: str, step: _Step) -> None:
        tally = self.tallies.setdefault(group, _Tally())
        self._sum(tally, -1)
        tally.count(step)
        self._sum(tally, 1)

    def _sum(self, tally: _Tally, sign: int) -> None:
        if tally.leads:
            self._leads += sign * tally.leads
            self._wins += sign * tally.wins
            self._squared_leads += sign * tally.leads**2
            self._explained += sign * tally.wins**2 / tally.leads

    @property
    def strength(self) -> float:
        return strength(len(self.tallies), self._leads, self._wins, self._squared_leads, self._explained)


def _rows(steps: list[_Step]) -> dict[Kind, list[Row]]:
    partners, tiers, everyone = _Groups(), _Groups(), _Tally()
    by_partner: list[Row] = []
    by_tier: list[Row] = []
    for day, today in _by_day(steps):
        for step in today:
            everyone.count(step)
            partners.count(step.partner_id, step)
            if step.tier:
                tiers.count(step.tier, step)
        by_partner += [_partner_row(day, p, partners.tallies[p]) for p in sorted({step.partner_id for step in today})]
        strengths = {"partner_strength": partners.strength, "tier_strength": tiers.strength}
        by_tier.append(_row(day, everyone) | {"tier": EVERYONE} | strengths)
        without_strengths: Mapping[str, None] = dict.fromkeys(strengths)
        changed = sorted({step.tier for step in today if step.tier})
        by_tier += [{**_row(day, tiers.tallies[tier]), "tier": tier, **without_strengths} for tier in changed]
    return {PARTNER_HISTORY: by_partner, TIER_HISTORY: by_tier}


def _by_day(steps: list[_Step]) -> Iterator[tuple[int, list[_Step]]]:
    start = 0
    while start < len(steps):
        end = bisect_right(steps, steps[start].day, lo=start, key=lambda step: step.day)
        yield steps[start].day, steps[start:end]
        start = end


def _partner_row(day: int, partner: str, tally: _Tally) -> Row:
    # The geometric mean, because a few late closes would dominate the arithmetic one.
    days = math.exp(tally.log_days / tally.wins) if tally.wins else None
    return {**_row(day, tally), "partner_id": partner, "days_to_close": days}


def _row(day: int, tally: _Tally) -> dict[str, Any]:
    return {"occurred_at": day, "recorded_at": day, "deleted": False, "leads": tally.leads, "wins": tally.wins}
