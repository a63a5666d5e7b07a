"""Which leads have to be scored anew, because a fact about them came or a model did; marked beside what makes them due.

A worker claims some, scores them, and strikes off those that nothing marked again meanwhile. A claim runs out, so leads
of a worker that died are claimed anew; scoring one twice does no harm.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, func, select, update

from serving.decisions.tables import due_scores as table
from serving.store.database import inserting

UNCLAIMED = 0
"""The claim on a lead that nobody holds."""


def mark(connection: Connection, lead_ids: Iterable[str], at: int) -> None:
    """Marks leads as due at `at` (microseconds), in the transaction of what makes them so."""
    # In the order of leads, for two that hold rows in different orders would wait for each other.
    rows = [{"lead_id": lead_id, "marked_at": at, "claimed_until": UNCLAIMED} for lead_id in sorted({*lead_ids})]
    if rows:
        statement = inserting(connection, table)
        again = {"claimed_until": UNCLAIMED}
        connection.execute(statement.on_conflict_do_update(index_elements=["lead_id"], set_=again), rows)


def claim(connection: Connection, limit: int, *, now: int, until: int) -> list[str]:
    """Takes up to `limit` due leads that nobody holds, the longest due first, for oneself until `until`."""
    free = table.c.claimed_until <= now
    oldest = select(table.c.lead_id).where(free).order_by(table.c.marked_at, table.c.lead_id).limit(limit)
    # The condition stands twice: who waited here for another's claim must see it.
    claimed = update(table).where(table.c.lead_id.in_(oldest), free).values(claimed_until=until)
    return sorted(connection.execute(claimed.returning(table.c.lead_id)).scalars())


def strike_off(connection: Connection, lead_ids: Collection[str], until: int) -> None:
    """Takes leads off the list that were scored under the claim `until`, except those marked again since."""
    connection.execute(delete(table).where(table.c.lead_id.in_(lead_ids), table.c.claimed_until == until))


def waiting(connection: Connection, most: int = 100_000) -> int:
    """How many leads are due, claimed or not; counted up to `most`."""
    some = select(table.c.lead_id).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def put_off(connection: Connection, lead_ids: Collection[str], until: int, later: int) -> None:
    """Leaves leads that could not be scored under the claim `until` alone until `later`, except those marked again."""
    held = (table.c.lead_id.in_(lead_ids), table.c.claimed_until == until)
    connection.execute(update(table).where(*held).values(claimed_until=later))
