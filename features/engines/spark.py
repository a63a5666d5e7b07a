"""The Spark engine: the features of many snapshots from a folder of records, on this machine or a cluster.

Spark's executors read, check and join the facts. Only Parquet footers, the leads, partners and events of the derived
records, and the result pass through this process. The folder must have the same path on every machine.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FACTS
from features.engines.engine import (
    NEEDED,
    EngineError,
    earliest,
    history_queries,
    known_leads,
    numbered,
    open_leads,
    plain,
    shaped,
    table,
)
from features.engines.spark_files import checked_rows
from features.engines.sql_compiler import query
from features.folder import read_provenance
from features.partner_history import histories
from features.records import Kind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SESSION = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
"""An overflow must be an error, attributes may differ by case alone, and other tools write times in nanoseconds."""

_POSITION = "position"
"""The column that holds the position of a row in its file."""

_SUPERSEDED = """
SELECT *, lead(coalesce(recorded_at, 0)) OVER (
    PARTITION BY {id} ORDER BY coalesce(recorded_at, -1), position) AS superseded_at
FROM {rows}
"""


class SparkEngine:
    """Records of a folder as temporary views of a Spark session; a context manager.

    Parquet and CSV files are read in place, so the folder must not change while the engine is open.

    Args:
        folder: the record folder (see features.folder).
        horizon_days: the horizon of the derived records, which are made from the folder's leads.
        session: a classic session (not Spark Connect) of Spark 4; its own settings and views do not change.

    Raises:
        UnreadableRecords, FolderError: a file has another layout, or values outside the contract.
        EngineError: Spark fails.
    """

    def __init__(self, folder: Path, horizon_days: int, session: "SparkSession") -> None:
        self.provenance = read_provenance(folder)
        with ExitStack() as undo, _own_errors():
            self._undo = undo
            self._session = session.newSession()
            for name, value in _SESSION.items():
                self._session.conf.set(name, value)
            for kind in NEEDED:
                rows = checked_rows(self._session, folder, kind, self.provenance.attributes)
                # One query reads these kinds several times, so their rows are cached.
                self._define(kind, rows, keep=kind.name not in FACTS)
            self._derive(horizon_days)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def evaluate(self, catalogue: Catalogue, snapshots: pa.Table, *, fields: bool = False) -> pa.Table:
        """One row for each of `snapshots` (lead_id, as_of in microseconds) with the columns of `sql_compiler.query`.

        Raises:
            EngineError: Spark fails.
        """
        with _own_errors():
            self._session.createDataFrame(numbered(snapshots)).createOrReplaceTempView("snapshots")
        result = self._query(query(catalogue, "spark", earliest(snapshots), fields=fields))
        return shaped(result, catalogue, self.provenance, fields=fields)

    def open_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of the leads open then: created, neither won nor lost (see `features.outcomes`)."""
        return self._query(open_leads(as_of, "spark", _POSITION))

    def known_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of all leads known then, open or closed."""
        return self._query(known_leads(as_of))

    def _define(self, kind: Kind, rows: "DataFrame", *, keep: bool) -> None:
        versions = self._session.sql(_SUPERSEDED.format(id=kind.id, rows="{rows}"), rows=rows)
        if keep:
            self._undo.callback(versions.persist().unpersist)
        versions.createOrReplaceTempView(kind.name)

    def _derive(self, horizon_days: int) -> None:
        leads, partners, events = (self._query(text).to_pylist() for text in history_queries(_POSITION))
        for kind, rows in histories(leads, partners, events, horizon_days).items():
            placed = table(kind, rows).append_column("position", pa.array(range(len(rows)), pa.int64()))
            self._define(kind, self._session.createDataFrame(placed), keep=True)

    def _query(self, text: str) -> pa.Table:
        with _own_errors():
            return plain(self._session.sql(text).toArrow())


@contextmanager
def _own_errors() -> Iterator[None]:
    """Turns Spark's errors into `EngineError`."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        reason = str(error).strip().splitlines()[0]
        fix = "give Spark more memory or look at its log, or choose another engine"
        raise EngineError(f"Spark failed: {reason}; {fix}") from None
