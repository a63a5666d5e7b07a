"""Open, won, lost: the one definition of a lead's state at a moment T. The questions of labels are kept apart below.

The state follows from the versions of `lead_events`:

1. Of the versions recorded by T each event's last one holds (see `features.versions`).
2. A tombstone drops its event. So does an `occurred_at` after T.
3. Of a lead's events `won`, `lost` and `reopened` the last one by `occurred_at` decides; an undated one comes first.
   Ties go by `recorded_at`, then by the order of ingest (in a folder: the order of the file).
4. The lead is won or lost if that event says so. It is open after `reopened`, and where there is no such event.

`closed_leads` is the rule in Python, `closed_leads_sql` the same rule for SQLite, DuckDB, PostgreSQL and Spark.

A label is another question: whether a win came within a horizon, whatever happened to the lead afterwards. A lead that
was won and later reopened is open, and its label is a win. `first_closes_sql` answers it for training, monitoring and
the comparison with a challenger, `first_recorded_wins` for the partner history.
"""

from collections.abc import Iterable
from operator import itemgetter

import sqlglot
from sqlglot import exp

from features.records import KINDS, Row
from features.versions import ALWAYS, recorded, undated_first

CLOSES = ("won", "lost")
"""The events that close a lead."""

OUTCOMES = (*CLOSES, "reopened")
"""The events that a lead's state follows from."""

_EVENT_ID = KINDS["lead_events"].id


def closed_leads(versions: Iterable[Row], as_of: int) -> dict[str, Row]:
    """The event that closed each lead that is won or lost at `as_of`, by lead; every other lead is open.

    Args:
        versions: of `lead_events`, in the order of ingest.
        as_of: the moment, microseconds.
    """
    known = sorted((row for row in versions if recorded(row) <= as_of), key=recorded)
    # Sorting keeps ties in the order of ingest, so a rank stands for both: when recorded, and which came first.
    last_versions = {row[_EVENT_ID]: (rank, row) for rank, row in enumerate(known)}
    outcomes = [
        (occurred, rank, row)
        for rank, row in last_versions.values()
        if row["event"] in OUTCOMES and not row["deleted"] and (occurred := undated_first(row["occurred_at"])) <= as_of
    ]
    last = {row["lead_id"]: row for *_, row in sorted(outcomes, key=itemgetter(0, 1))}
    return {lead_id: row for lead_id, row in last.items() if row["event"] in CLOSES}


def outcome_order(occurred_at: int | None, recorded_at: int | None) -> tuple[int, int]:
    """The key by which a lead's last outcome is found; of equal keys the later ingested one holds."""
    return undated_first(occurred_at), undated_first(recorded_at)


def closed_leads_sql(dialect: str, as_of: int | str, position: str) -> str:
    """SQL with one row for each lead that is won or lost at a moment: `lead_id` and the `event` that closed it.

    Args:
        dialect: a sqlglot dialect: `sqlite`, `duckdb`, `postgres` or `spark`.
        as_of: the moment, microseconds, or the text of a bound parameter such as `:as_of`.
        position: the column of `lead_events` that gives the order of ingest.
    """
    return _sql(_CLOSED, dialect, as_of, position)


def first_closes_sql(dialect: str, as_of: int | str | None, position: str) -> str:
    """SQL for labels: one row for each lead that was ever won or lost, by the versions recorded by a moment.

    Neither a later `reopened` nor a later loss takes a win back. The columns are `lead_id`; `closed_at` and
    `known_closed_at`, when the first close occurred and was recorded; `won`, whether there is a win; `won_at` and
    `known_won_at`, when the first win occurred and was recorded; `undated`, the number of closes without a date.

    Args:
        dialect: a sqlglot dialect: `sqlite`, `duckdb`, `postgres` or `spark`.
        as_of: the moment, microseconds, or the text of a bound parameter; None for everything that was recorded.
        position: the column of `lead_events` that gives the order of ingest.
    """
    return _sql(_FIRST_CLOSES, dialect, as_of, position)


def first_recorded_wins(events: Iterable[Row]) -> dict[str, Row]:
    """The dated win of each lead that was recorded first, by lead, for the partner history.

    A day of the history must not change once it was derived. So the first version counts, and a later correction or
    tombstone of that win changes nothing.
    """
    wins: dict[str, Row] = {}
    for event in sorted(events, key=recorded):
        if event["event"] == "won" and event["occurred_at"] is not None and not event["deleted"]:
            wins.setdefault(event["lead_id"], event)
    return wins


def _sql(text: str, dialect: str, as_of: int | str | None, position: str) -> str:
    # A bound parameter keeps its text: every dialect writes parameters in its own way, SQLAlchemy always as `:name`.
    moment = exp.var(as_of) if isinstance(as_of, str) else exp.Literal.number(as_of or 0)
    known = "TRUE" if as_of is None else _KNOWN
    query = sqlglot.parse_one(text.format(versions=_VERSIONS.format(known=known)))
    filled = exp.replace_placeholders(query, as_of=moment, position=exp.column(position))
    return filled.sql(dialect=dialect, identify=True)


_KNOWN = f"COALESCE(recorded_at, {ALWAYS}) <= :as_of"
_VERSIONS = f"""
SELECT lead_id, event, occurred_at, recorded_at, deleted, :position AS ingest, ROW_NUMBER() OVER (
    PARTITION BY {_EVENT_ID} ORDER BY COALESCE(recorded_at, {ALWAYS}) DESC, :position DESC) AS age
FROM lead_events WHERE {{known}}
"""
"""The known versions of events; the one of `age` 1 holds."""

_CLOSED = f"""
SELECT lead_id, event FROM (
    SELECT lead_id, event, ROW_NUMBER() OVER (PARTITION BY lead_id
        ORDER BY COALESCE(occurred_at, {ALWAYS}) DESC, COALESCE(recorded_at, {ALWAYS}) DESC, ingest DESC) AS latest
    FROM ({{versions}}) AS versions
    WHERE age = 1 AND NOT deleted AND event IN {OUTCOMES} AND COALESCE(occurred_at, {ALWAYS}) <= :as_of
) AS outcomes
WHERE latest = 1 AND event IN {CLOSES}
"""
_FIRST_CLOSES = f"""
SELECT
    lead_id,
    MIN(occurred_at) AS closed_at,
    MIN(recorded_at) AS known_closed_at,
    COUNT(CASE WHEN event = 'won' THEN 1 END) > 0 AS won,
    MIN(CASE WHEN event = 'won' THEN occurred_at END) AS won_at,
    MIN(CASE WHEN event = 'won' THEN recorded_at END) AS known_won_at,
    COUNT(*) - COUNT(occurred_at) AS undated
FROM ({{versions}}) AS versions
WHERE age = 1 AND NOT deleted AND event IN {CLOSES}
GROUP BY lead_id
"""
