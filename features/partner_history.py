"""The derived record `partner_history`: what each partner's matured leads had come to by the end of a day.

A lead counts once its horizon has passed, and as a win only if it was won within that horizon, so partners whose leads
close fast gain nothing by it. A row holds from its day until the partner's next one and is read as-of like any record.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from features.records import Row
from features.values import DAY

HORIZON_DAYS = 90
"""Days within which "close" counts (DESIGN: horizon), unless a training says otherwise."""


@dataclass
class _Tally:
    leads: int = 0
    wins: int = 0
    log_days: float = 0.0


@dataclass(frozen=True, order=True)
class _Step:
    """On `day` (its end, microseconds) a lead matured, or a matured lead's win became known."""

    day: int
    partner_id: str
    lead_id: str
    won: bool
    days: float = 0.0


def derive(leads: Iterable[Row], events: Iterable[Row], horizon_days: int) -> list[Row]:
    """The rows of `partner_history`, by day and partner.

    Args:
        leads: versions of leads, the first recorded naming the source partner; undated ones are left out.
        events: `lead_events`; of a lead only the `won` recorded first counts.
        horizon_days: days within which a win counts, and after which a lead is mature.
    """
    first: dict[str, Row] = {}
    for lead in sorted(leads, key=_recorded):
        first.setdefault(lead["lead_id"], lead)
    won: dict[str, Row] = {}
    for event in sorted(events, key=_recorded):
        if event["event"] == "won" and event["occurred_at"] is not None and not event["deleted"]:
            won.setdefault(event["lead_id"], event)
    steps = sorted(step for lead in first.values() for step in _steps(lead, won.get(lead["lead_id"]), horizon_days))
    return list(_rows(steps))


def _recorded(row: Row) -> int:
    return row["recorded_at"] or 0


def _steps(lead: Row, win: Row | None, horizon_days: int) -> Iterator[_Step]:
    partner, created = lead["source_partner_id"], lead["created_at"]
    if partner is None or created is None:
        return
    mature = max(created + horizon_days * DAY, lead["recorded_at"])
    yield _Step(_end_of_day(mature), partner, lead["lead_id"], won=False)
    if win is not None and created <= win["occurred_at"] <= created + horizon_days * DAY:
        known = max(mature, win["recorded_at"])
        days = (win["occurred_at"] - created) / DAY
        yield _Step(_end_of_day(known), partner, lead["lead_id"], won=True, days=days)


def _end_of_day(instant: int) -> int:
    return -(-instant // DAY) * DAY


def _rows(steps: list[_Step]) -> Iterator[Row]:
    partners: dict[str, _Tally] = {}
    everyone = _Tally()
    start = 0
    while start < len(steps):
        day, end = steps[start].day, start
        while end < len(steps) and steps[end].day == day:
            end += 1
        for step in steps[start:end]:
            _count(everyone, step)
            _count(partners.setdefault(step.partner_id, _Tally()), step)
        for partner in sorted({step.partner_id for step in steps[start:end]}):
            yield _row(day, partner, partners[partner], everyone)
        start = end


def _count(tally: _Tally, step: _Step) -> None:
    if step.won:
        tally.wins += 1
        tally.log_days += math.log(max(step.days, 1.0))
    else:
        tally.leads += 1


def _row(day: int, partner: str, tally: _Tally, everyone: _Tally) -> Row:
    return {
        "occurred_at": day,
        "recorded_at": day,
        "deleted": False,
        "partner_id": partner,
        "leads": tally.leads,
        "wins": tally.wins,
        "all_leads": everyone.leads,
        "all_wins": everyone.wins,
        "days_to_close": math.exp(tally.log_days / tally.wins) if tally.wins else None,
    }
