"""The last report on the quality of what the store holds."""

import json

from sqlalchemy import Connection, select

from features.quality.report import Report
from serving.quality.tables import quality_reports as table
from serving.store.database import inserting

_ONLY = 1


def keep(connection: Connection, report: Report) -> None:
    """Keeps a report in the place of the one before; runs inside the caller's transaction."""
    content = {"made_at": report.made_at, "content": json.dumps(report.to_dict(), ensure_ascii=False)}
    statement = inserting(connection, table).values(id=_ONLY, **content)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=content))


def last(connection: Connection) -> Report | None:
    """The report kept last; None where there is none, or only one of another version of the software."""
    content = connection.execute(select(table.c.content)).scalar_one_or_none()
    try:
        return None if content is None else Report.from_json(content)
    except ValueError:
        return None
