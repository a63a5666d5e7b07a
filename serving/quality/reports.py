"""The last report on the quality of the store's records."""

import json

from sqlalchemy import Connection, select

from features.quality.report import Report
from serving.quality.tables import quality_reports as table
from serving.store.database import inserting

_ID = 1
"""The id of the only row."""


def keep(connection: Connection, report: Report) -> None:
    """Stores a report and replaces the one before; runs inside the caller's transaction."""
    content = {"made_at": report.made_at, "content": json.dumps(report.to_dict(), ensure_ascii=False)}
    statement = inserting(connection, table).values(id=_ID, **content)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=content))


def last(connection: Connection) -> Report | None:
    """The last report; None where there is none, or where another version of the software wrote it."""
    content = connection.execute(select(table.c.content)).scalar_one_or_none()
    try:
        return None if content is None else Report.from_json(content)
    except ValueError:
        return None
