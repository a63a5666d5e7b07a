"""Landmark snapshots with mature labels: the rows that the model learns from and is judged on.

A lead has a snapshot at creation and then weekly while it is open. Its label is y = won within the horizon after the
snapshot (Nicolaie 2013, doi 10.1002/sim.5665). Only snapshots whose whole horizon lies before the data cut are kept, so
every label is complete; a lost lead is a 0, never censored.

The weight of a snapshot falls with the age of its lead: 1 at creation, then 1 / (1 + weeks). One weight a lead, shared
among its snapshots, would be wrong: the number of snapshots depends on when the lead closes, so the early snapshots of
fast wins would weigh more, and every probability would be too high.

Where closes or leads are undated the target is "ever won", one row a lead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.engines.duckdb import POSITION, DuckDBEngine
from features.outcomes import first_closes_sql
from features.value_types import DAY
from models.expected_value import average_amounts

MAX_SNAPSHOTS = 26
WEEK = 7 * DAY
NEVER = np.iinfo(np.int64).max
"""The close of a lead that is open, as far as is known."""


class NothingToLearn(ValueError):
    """The records hold no labelled lead; the message says what is missing and the fix."""


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """Labelled snapshots, ordered by lead and moment; arrays of equal length.

    Attributes:
        lead_id: the lead.
        as_of: the moment, microseconds; the data cut where leads are undated.
        created: the moment of the lead's creation snapshot.
        at_creation: whether this is the creation snapshot, on which headline figures are computed.
        cluster: the account, group or lead it belongs to.
        won: the label.
        closed_at: when the lead was won, else lost, within the horizon or after it; `NEVER` where it is open.
        known_at: when the close was recorded; `NEVER` where the lead is open.
        won_ever: whether the close was a win.
        weight: 1 / (1 + weeks since creation).
        order: rank in time of leads without times; None where times order the leads, or where no order is known.
        dated: whether leads have times.
        horizon_days: None for "ever won".
        cut: the data cut, microseconds.
        expected_amount: mean amount of wins, minor units and currency, by the commonest currency.
        segment_amounts: the same by segment of accounts (see `models.expected_value`).
    """

    lead_id: NDArray[np.str_]
    as_of: NDArray[np.int64]
    created: NDArray[np.int64]
    at_creation: NDArray[np.bool_]
    cluster: NDArray[np.str_]
    won: NDArray[np.bool_]
    closed_at: NDArray[np.int64]
    known_at: NDArray[np.int64]
    won_ever: NDArray[np.bool_]
    weight: NDArray[np.float64]
    order: NDArray[np.int64] | None
    dated: bool
    horizon_days: int | None
    cut: int
    expected_amount: tuple[int, str] | None
    segment_amounts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.lead_id)

    @property
    def position(self) -> NDArray[np.float64] | None:
        """The position of each snapshot in time: its moment, else its lead's order; None where no order is known."""
        order = self.as_of if self.dated else self.order
        return None if order is None else order.astype(np.float64)

    def table(self) -> pa.Table:
        """The rows that an engine evaluates: lead_id and as_of."""
        return pa.table({"lead_id": pa.array(self.lead_id.tolist(), pa.string()), "as_of": self.as_of})


def label_snapshots(engine: DuckDBEngine, horizon_days: int) -> Snapshots:
    """The labelled snapshots of an engine's records.

    Raises:
        NothingToLearn: no lead has a mature label.
    """
    leads = engine.sql(_LEADS.format(closes=first_closes_sql("duckdb", None, POSITION))).to_pydict()
    if not leads["lead_id"]:
        raise NothingToLearn("there are no leads; run `eql import` first, on an export or what `eql simulate` made")
    cut = engine.provenance.cut or engine.sql(_LATEST).to_pydict()["latest"][0] or 0
    dated = None not in leads["created"]
    undated_close = any(known and at is None for known, at in zip(leads["closed"], leads["closed_at"], strict=True))
    horizon = horizon_days if dated and not undated_close else None
    limit = MAX_SNAPSHOTS if engine.sql(_FACTS).to_pydict()["facts"][0] else 1
    rows = [
        row
        for lead in _lead_rows(leads)
        for row in (lead.snapshots(cut, horizon, limit) if horizon else lead.ever(cut, dated))
    ]
    if not rows:
        raise NothingToLearn(
            f"no lead is old enough: a label needs {horizon_days} days between a lead's creation and the data cut"
            if horizon
            else "no lead has an outcome; import won and lost events, or a mapping with `outcome`"
        )
    return _assemble(rows, leads["order"], dated, horizon, cut, _amounts(engine))


@dataclass(frozen=True, kw_only=True)
class _Row:
    lead_id: str
    as_of: int
    created: int
    cluster: str
    won: bool
    weight: float
    order: int | None
    closed_at: int
    known_at: int
    won_ever: bool


@dataclass(frozen=True, kw_only=True)
class _Lead:
    lead_id: str
    created: int | None
    cluster: str
    order: int | None
    closed: bool
    closed_at: int | None
    known_closed_at: int | None
    known_at: int | None
    won: bool

    def snapshots(self, cut: int, horizon_days: int, limit: int) -> list[_Row]:
        """Creation and weekly snapshots whose horizon ends by the cut, while no close is recorded."""
        horizon, end, created = horizon_days * DAY, self.known_closed_at, self.created or 0
        moments = [(week, created + week * WEEK) for week in range(limit)]
        kept = [(week, s) for week, s in moments if s + horizon <= cut and (week == 0 or end is None or s < end)]
        return [self._row(s, self._won_by(s + horizon), 1 / (1 + week)) for week, s in kept]

    def _won_by(self, end: int) -> bool:
        return self.won and self.closed_at is not None and self.closed_at <= end

    def ever(self, cut: int, dated: bool) -> list[_Row]:
        """One row where the outcome is known, else none."""
        return (
            [self._row(self.created if dated and self.created is not None else cut, self.won, 1.0)]
            if self.closed
            else []
        )

    def _row(self, as_of: int, won: bool, weight: float) -> _Row:
        created = as_of if self.created is None else self.created
        closed_at, known_at = (NEVER if at is None else at for at in (self.closed_at, self.known_at))
        return _Row(
            lead_id=self.lead_id,
            as_of=as_of,
            created=created,
            cluster=self.cluster,
            won=won,
            weight=weight,
            order=self.order,
            closed_at=closed_at,
            known_at=known_at,
            won_ever=self.won,
        )


def _lead_rows(columns: dict[str, list[Any]]) -> list[_Lead]:
    names = tuple(_Lead.__dataclass_fields__)
    rows = zip(*(columns[name] for name in names), strict=True)
    return [_Lead(**dict(zip(names, values, strict=True))) for values in rows]


def _assemble(
    rows: list[_Row],
    orders: list[int | None],
    dated: bool,
    horizon: int | None,
    cut: int,
    amounts: "_Amounts",
) -> Snapshots:
    as_of, created = np.array([r.as_of for r in rows]), np.array([r.created for r in rows])
    ranked = not dated and None not in orders
    return Snapshots(
        lead_id=np.array([r.lead_id for r in rows]),
        as_of=as_of,
        created=created,
        at_creation=as_of == created,
        cluster=np.array([r.cluster for r in rows]),
        won=np.array([r.won for r in rows]),
        closed_at=np.array([r.closed_at for r in rows]),
        known_at=np.array([r.known_at for r in rows]),
        won_ever=np.array([r.won_ever for r in rows]),
        weight=np.array([r.weight for r in rows]),
        order=np.array([r.order for r in rows]) if ranked else None,
        dated=dated,
        horizon_days=horizon,
        cut=cut,
        expected_amount=amounts.all,
        segment_amounts=amounts.by_segment,
    )


class _Amounts(NamedTuple):
    """The average amounts of wins, of all and by segment."""

    all: tuple[int, str] | None
    by_segment: Mapping[str, int]


def _amounts(engine: DuckDBEngine) -> _Amounts:
    wins = engine.sql(_WINS).to_pylist()
    if not wins:
        return _Amounts(None, {})
    # The first rows are those of the commonest currency.
    currency = wins[0]["currency"]
    known = [(row["employees"], row["minor"]) for row in wins if row["currency"] == currency]
    average = round(sum(minor for _, minor in known) / len(known))
    return _Amounts((average, currency), average_amounts(known, average))


_FACTS = """
SELECT (SELECT count(*) FROM referrals) + (SELECT count(*) FROM confirmations) + (SELECT count(*) FROM shared_customers)
     + (SELECT count(*) FROM integration_usage) + (SELECT count(*) FROM touchpoints)
     + (SELECT count(*) FROM buying_signals) > 0 AS facts
"""
_LATEST = """
SELECT max(latest) AS latest FROM (
    SELECT max(recorded_at) AS latest FROM leads UNION ALL SELECT max(recorded_at) FROM lead_events)
"""
# Every win has an amount to expect, whatever became of the lead afterwards.
_WINS = """
SELECT amount_currency AS currency, amount_minor AS minor, accounts.employees AS employees
FROM lead_events wins
LEFT JOIN leads ON leads.lead_id = wins.lead_id AND NOT leads.deleted AND leads.superseded_at IS NULL
LEFT JOIN accounts ON accounts.account_id = leads.account_id AND NOT accounts.deleted AND accounts.superseded_at IS NULL
WHERE event = 'won' AND NOT wins.deleted AND wins.superseded_at IS NULL
  AND amount_minor IS NOT NULL AND amount_currency IS NOT NULL
ORDER BY count(*) OVER (PARTITION BY amount_currency) DESC, currency, wins.rowid
"""
_LEADS = """
WITH first AS (
    SELECT lead_id, greatest(min(created_at), min(recorded_at)) AS created, min("order") AS "order",
           coalesce(min("group"), min(account_id), lead_id) AS cluster, min(rowid) AS position
    FROM leads WHERE NOT deleted GROUP BY lead_id
), closes AS ({closes})
SELECT first.lead_id, created, cluster, "order", closes.lead_id IS NOT NULL AS closed,
       CASE WHEN won THEN won_at ELSE closed_at END AS closed_at, known_closed_at,
       CASE WHEN won THEN known_won_at ELSE known_closed_at END AS known_at, coalesce(won, false) AS won
FROM first LEFT JOIN closes USING (lead_id) ORDER BY position
"""
