"""The log of what sales was shown while priorities were partly random; it is only ever added to."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from operations.exploration import Exposure
from serving.store.database import inserting
from serving.work_list.tables import exposures as table


def unlogged(connection: Connection, shown: Sequence[Exposure]) -> list[Exposure]:
    """Those whose lead is not in the log yet on their day."""
    days, leads = {one.day for one in shown}, {one.lead_id for one in shown}
    found = select(table.c.day, table.c.lead_id).where(table.c.day.in_(days), table.c.lead_id.in_(leads))
    known = {(row.day, row.lead_id) for row in connection.execute(found)}
    return [one for one in shown if (one.day, one.lead_id) not in known]


def add(connection: Connection, shown: Sequence[Exposure]) -> None:
    """Logs those that are not in the log yet; of a day the first place at which a lead was shown counts.

    Raises:
        sqlalchemy.exc.IntegrityError: a decision is not in the store.
    """
    if rows := [one.row() for one in sorted(shown, key=lambda one: (one.day, one.lead_id))]:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), rows)


def logged(connection: Connection) -> Iterator[Exposure]:
    """The whole log by day, then lead."""
    for row in connection.execute(select(table).order_by(table.c.day, table.c.lead_id)).mappings():
        yield Exposure(**row)
