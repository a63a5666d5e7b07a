"""The log of exposures: the leads that sales saw while priorities were partly random. Rows are only added."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from operations.exploration import Exposure
from serving.store.database import inserting
from serving.work_list.tables import exposures as table


def unlogged(connection: Connection, shown: Sequence[Exposure]) -> list[Exposure]:
    """The exposures whose lead is not in the log of their day yet."""
    days, leads = {exposure.day for exposure in shown}, {exposure.lead_id for exposure in shown}
    wanted = select(table.c.day, table.c.lead_id).where(table.c.day.in_(days), table.c.lead_id.in_(leads))
    known = {(row.day, row.lead_id) for row in connection.execute(wanted)}
    return [exposure for exposure in shown if (exposure.day, exposure.lead_id) not in known]


def add(connection: Connection, shown: Sequence[Exposure]) -> None:
    """Logs exposures that are not in the log yet; on each day the first position of a lead counts.

    Raises:
        sqlalchemy.exc.IntegrityError: a decision is not in the store.
    """
    if rows := [exposure.row() for exposure in sorted(shown, key=lambda exposure: (exposure.day, exposure.lead_id))]:
        connection.execute(inserting(connection, table).on_conflict_do_nothing(), rows)


def logged(connection: Connection) -> Iterator[Exposure]:
    """The whole log, by day, then by lead."""
    for row in connection.execute(select(table).order_by(table.c.day, table.c.lead_id)).mappings():
        yield Exposure(**row)
