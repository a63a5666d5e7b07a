"""The rescore queue: leads to score again because of a new fact or a new model, queued in the transaction of the cause.

A worker claims some leads, scores them, and completes those that were not queued again meanwhile. A claim expires, so
the leads of a worker that died are claimed again. Scoring a lead twice does no harm.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, func, select, update

from serving.decisions.tables import due_scores as table
from serving.store.database import inserting

UNCLAIMED = 0
"""The claim of a lead that no worker holds."""


def enqueue(connection: Connection, lead_ids: Iterable[str], at: int) -> None:
    """Queues leads at `at` (microseconds), in the transaction of the cause."""
    # In the order of leads: two transactions that lock rows in different orders would wait for each other.
    rows = [{"lead_id": lead_id, "marked_at": at, "claimed_until": UNCLAIMED} for lead_id in sorted({*lead_ids})]
    if rows:
        statement = inserting(connection, table)
        again = {"claimed_until": UNCLAIMED}
        connection.execute(statement.on_conflict_do_update(index_elements=["lead_id"], set_=again), rows)


def claim(connection: Connection, limit: int, *, now: int, until: int) -> list[str]:
    """Claims up to `limit` free leads until `until`, the longest queued first."""
    free = table.c.claimed_until <= now
    oldest = select(table.c.lead_id).where(free).order_by(table.c.marked_at, table.c.lead_id).limit(limit)
    # The condition stands twice: a statement that waited for another claim must see that claim.
    claimed = update(table).where(table.c.lead_id.in_(oldest), free).values(claimed_until=until)
    return sorted(connection.execute(claimed.returning(table.c.lead_id)).scalars())


def complete(connection: Connection, lead_ids: Collection[str], until: int) -> None:
    """Removes leads that were scored under the claim `until`, except those queued again since."""
    connection.execute(delete(table).where(table.c.lead_id.in_(lead_ids), table.c.claimed_until == until))


def length(connection: Connection, maximum: int = 100_000) -> int:
    """How many leads are queued, claimed or not; counted up to `maximum`."""
    some = select(table.c.lead_id).limit(maximum).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def postpone(connection: Connection, lead_ids: Collection[str], until: int, later: int) -> None:
    """Postpones leads that could not be scored under the claim `until`; leads queued again since stay free."""
    held = (table.c.lead_id.in_(lead_ids), table.c.claimed_until == until)
    connection.execute(update(table).where(*held).values(claimed_until=later))
