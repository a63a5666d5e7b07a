"""The DuckDB engine: the features of many snapshots from a folder of records (Parquet or CSV)."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FACTS
from features.engines.duckdb_files import define, quoted
from features.engines.engine import (
    NEEDED,
    EngineError,
    earliest,
    history_queries,
    known_leads,
    numbered,
    open_leads,
    shaped,
    table,
)
from features.engines.file_checks import UnreadableRecords
from features.engines.sql_compiler import aggregates, query
from features.folder import read_provenance
from features.partner_history import histories

__all__ = ["DuckDBEngine", "OutOfSpace", "UnreadableRecords"]

POSITION = "rowid"
"""The column of a copied kind, such as `lead_events`, that holds the position of a row in its file."""

_MEMORY = "25%"
"""DuckDB's share of the memory of the machine or container; beyond it DuckDB spills to disk."""

_LIMITS = "SELECT parse_formatted_bytes(current_setting('memory_limit')), current_setting('threads')"
_ARRAY_SHARE = 4
"""Grouping by array may take one part in so many of the memory limit."""

_STATE_BYTES = 32
"""The size of a running count, sum, minimum or maximum, at most; every thread has its own."""

_MAX_BITS = 32
"""The largest value of the setting `perfect_ht_threshold`."""


class OutOfSpace(EngineError):
    """Neither the memory nor the disk for spilling suffices; the message names their sizes and the fix."""


class DuckDBEngine:
    """The checked records of a folder, which can be evaluated at any moments; a context manager.

    Every kind is a relation with the columns of `Kind.columns` and `superseded_at`. Parquet files of facts are read in
    place, so the folder must not change while the engine is open. Entities, lead events and CSV files are copied.

    Args:
        folder: the record folder (see features.folder).
        horizon_days: the horizon of the derived records, which are made from the folder's leads.
        memory_limit: a size such as `4GB`, beyond which DuckDB spills to disk; None for a quarter of the memory.
        spill: an existing folder for spilled data; None for the system's temporary folder.

    Raises:
        UnreadableRecords, FolderError: a file has another layout, or values outside the contract.
        OutOfSpace: the disk is full.
    """

    def __init__(
        self, folder: Path, horizon_days: int, memory_limit: str | None = None, spill: Path | None = None
    ) -> None:
        with ExitStack() as undo:
            self._spill = undo.enter_context(tempfile.TemporaryDirectory(prefix="eql-spill-", dir=spill))
            self._connection = undo.enter_context(_connected(memory_limit or _MEMORY, self._spill))
            self.provenance = read_provenance(folder)
            with self._own_errors():
                for needed in NEEDED:
                    in_place = needed.name in FACTS
                    define(self._connection, folder, needed, self.provenance.attributes, in_place=in_place)
                self._load_histories(horizon_days)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The result of any SQL over the relations, as Arrow.

        Raises:
            OutOfSpace: neither memory nor disk suffices.
        """
        with self._own_errors():
            return self._connection.sql(text, params=list(parameters)).to_arrow_table()

    def stream(self, text: str) -> pa.RecordBatchReader:
        """The result of any SQL over the relations, as Arrow batches, so that only a part is in memory at a time."""
        with self._own_errors():
            return self._connection.sql(text).to_arrow_reader()

    def evaluate(self, catalogue: Catalogue, snapshots: pa.Table, *, fields: bool = False) -> pa.Table:
        """One row for each of `snapshots` (lead_id, as_of in microseconds) with the columns of `sql_compiler.query`.

        Raises:
            OutOfSpace: neither memory nor disk suffices.
        """
        with self._own_errors():
            self._create("snapshots", numbered(snapshots))
        text = query(catalogue, "duckdb", earliest(snapshots), fields=fields)
        try:
            self._connection.execute(f"SET perfect_ht_threshold = {self._bits(len(aggregates(catalogue)))}")
            return shaped(self.sql(text), catalogue, self.provenance, fields=fields)
        finally:
            self._connection.execute('DROP TABLE "snapshots"; RESET perfect_ht_threshold')

    def open_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of the leads open then: created, neither won nor lost (see `features.outcomes`)."""
        return self.sql(open_leads(as_of, "duckdb", POSITION))

    def known_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of all leads known then, open or closed."""
        return self.sql(known_leads(as_of))

    def _bits(self, values: int) -> int:
        """The setting `perfect_ht_threshold`: 2 to this power snapshots with so many `values` are grouped in an array.

        An array is faster than a hash table. It neither spills nor counts as used memory, so its share is limited.
        """
        limit, threads = self._connection.execute(_LIMITS).fetchall()[0]
        slots: int = limit // _ARRAY_SHARE // (threads * _STATE_BYTES * max(1, values))
        return min(_MAX_BITS, max(1, slots).bit_length() - 1)

    def _create(self, name: str, rows: pa.Table) -> None:
        """Copies `rows` into a table; the optimiser knows the size of a table, unlike that of Arrow data."""
        self._connection.register("arriving", rows)
        self._connection.execute(f'CREATE TABLE {quoted(name)} AS SELECT * FROM "arriving"')
        self._connection.unregister("arriving")

    def _load_histories(self, horizon_days: int) -> None:
        leads, partners, events = (self.sql(text).to_pylist() for text in history_queries(POSITION))
        for kind, rows in histories(leads, partners, events, horizon_days).items():
            self._create("derived", table(kind, rows))
            self._connection.execute(_SUPERSEDE.format(kind=kind.name, id=kind.id))
            self._connection.execute('DROP TABLE "derived"')

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException:
            raise self._out_of_space() from None
        except duckdb.IOException as error:
            if "No space left" in str(error):
                raise self._out_of_space() from None
            reason = str(error).splitlines()[0]
            raise UnreadableRecords(f"{reason}; leave the folder as it is while its records are in use") from None

    def _out_of_space(self) -> OutOfSpace:
        limit = self._connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
        disk = Path(self._spill).parent
        fix = "free space there, set TMPDIR to a larger disk, or allow more memory"
        return OutOfSpace(f"{limit} of memory and the disk of {disk} are too small to work on the records; {fix}")


@contextmanager
def _connected(memory_limit: str, spill: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"memory_limit": memory_limit, "temp_directory": spill}) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        yield connection


_SUPERSEDE = """
CREATE TABLE "{kind}" AS
SELECT *, lead(recorded_at) OVER (PARTITION BY "{id}" ORDER BY recorded_at) AS superseded_at FROM derived
"""
