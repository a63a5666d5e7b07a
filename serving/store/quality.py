"""The last report on the quality of what the store holds."""

import json

from sqlalchemy import Connection, delete, select

from features.quality.report import Report
from serving.store.tables import quality_reports as table


def keep(connection: Connection, report: Report) -> None:
    """Keeps a report in the place of the one before; runs inside the caller's transaction."""
    connection.execute(delete(table))
    content = json.dumps(report.to_dict(), ensure_ascii=False)
    connection.execute(table.insert().values(made_at=report.made_at, content=content))


def last(connection: Connection) -> Report | None:
    """The report kept last; None where there is none, or only one of another version of the software."""
    content = connection.execute(select(table.c.content)).scalar_one_or_none()
    try:
        return None if content is None else Report.from_json(content)
    except ValueError:
        return None
