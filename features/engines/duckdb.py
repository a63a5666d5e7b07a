"""The DuckDB engine: a folder of records (Parquet or CSV) to the feature rows of many snapshots."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import duckdb
import pyarrow as pa

from features.catalogue.catalogue import Catalogue
from features.compile import query
from features.folder import read_provenance
from features.partner_history import derive
from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, PARTNER_HISTORY, Column, Kind

_NEEDED = (
    "accounts",
    "partners",
    "leads",
    "referrals",
    "confirmations",
    "shared_customers",
    "integration_usage",
    "touchpoints",
    "buying_signals",
    "lead_events",
)
_SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "flag": "BOOLEAN",
    "instant": "BIGINT",
    "date": "BIGINT",
}


class UnreadableRecords(ValueError):
    """A file of a record folder cannot be read as its records; the message names the file and the mend."""


class DuckDBEngine:
    """Records of a folder, loaded, ready to be evaluated at any moments.

    Args:
        folder: the record folder (see features.folder).
        horizon_days: the horizon of `partner_history`, which is derived from the folder's leads.
        memory_limit: such as `4GB`; DuckDB spills to disk beyond it. None for its default.

    Raises:
        UnreadableRecords: a file has another layout.
    """

    def __init__(self, folder: Path, horizon_days: int, memory_limit: str | None = None) -> None:
        self._connection = duckdb.connect(config={"memory_limit": memory_limit} if memory_limit else {})
        self._connection.execute("SET TimeZone = 'UTC'")
        self.provenance = read_provenance(folder)
        for name in _NEEDED:
            self._load(folder, KINDS[name])
        self._load_history(horizon_days)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def sql(self, text: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The result of any SQL over the tables, as Arrow."""
        return self._connection.sql(text, params=list(parameters)).to_arrow_table()

    def evaluate(self, catalogue: Catalogue, snapshots: pa.Table, *, fields: bool = False) -> pa.Table:
        """One row for each of `snapshots` (lead_id, as_of in microseconds), as `features.compile.query` says."""
        self._connection.register("snapshots", snapshots)
        try:
            return self.sql(query(catalogue, "duckdb", fields=fields))
        finally:
            self._connection.unregister("snapshots")

    def open_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of the leads open then: created, and nothing won or lost recorded by then."""
        return self.sql(_OPEN_LEADS, [as_of])

    def known_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of every lead known by then, open or closed."""
        return self.sql(_KNOWN_LEADS, [as_of])

    def _load(self, folder: Path, kind: Kind) -> None:
        parquet, csv = folder / f"{kind.name}.parquet", folder / f"{kind.name}.csv"
        try:
            if parquet.exists():
                self._create(kind, f"read_parquet('{_quoted(parquet)}')", _from_parquet)
            elif csv.exists():
                self._create(kind, f"read_csv('{_quoted(csv)}', all_varchar = true, header = true)", _from_csv)
            else:
                columns = ", ".join(f'"{c.name}" {_SQL_TYPES[c.type]}' for c in kind.columns)
                self._connection.execute(f'CREATE TABLE "{kind.name}" ({columns}, "superseded_at" BIGINT)')
        except duckdb.Error as error:
            file = parquet if parquet.exists() else csv
            raise UnreadableRecords(f"{file}: not records of {kind.name}: {str(error).splitlines()[0]}") from None

    def _create(self, kind: Kind, source: str, read: "_Reader") -> None:
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        present = {name for name, *_ in described}
        columns = [(c.name, read(c), _SQL_TYPES[c.type]) for c in kind.columns]
        columns += self._attributes() if kind.name == "leads" else []
        selected = ", ".join(_cast(name, text if name in present else "NULL", type_) for name, text, type_ in columns)
        self._connection.execute(f'CREATE TABLE "loaded" AS SELECT {selected} FROM {source}')
        self._keep(kind)

    def _attributes(self) -> list[tuple[str, str, str]]:
        types = {"number": "DOUBLE", "category": "VARCHAR"}
        named = [
            (f"{ATTRIBUTE_PREFIX}{attribute.name}", types[attribute.kind]) for attribute in self.provenance.attributes
        ]
        return [(name, _identifier(name), type_) for name, type_ in named]

    def _keep(self, kind: Kind) -> None:
        self._connection.execute(_SUPERSEDE.format(kind=kind.name, id=kind.id))
        self._connection.execute('DROP TABLE "loaded"')

    def _load_history(self, horizon_days: int) -> None:
        leads = self.sql("SELECT lead_id, source_partner_id, created_at, recorded_at FROM leads ORDER BY rowid")
        events = self.sql("SELECT lead_id, event, occurred_at, recorded_at, deleted FROM lead_events ORDER BY rowid")
        rows = derive(leads.to_pylist(), events.to_pylist(), horizon_days)
        types = {"text": pa.string(), "real": pa.float64(), "flag": pa.bool_()}
        schema = pa.schema([(c.name, types.get(c.type, pa.int64())) for c in PARTNER_HISTORY.columns])
        self._connection.register("derived", pa.Table.from_pylist(rows, schema=schema))
        self._connection.execute('CREATE TABLE "loaded" AS SELECT * FROM derived')
        self._connection.unregister("derived")
        self._keep(PARTNER_HISTORY)


_Reader: TypeAlias = Callable[[Column], str]

_SUPERSEDE = """
CREATE TABLE "{kind}" AS
SELECT *, lead(coalesce(recorded_at, 0)) OVER (
    PARTITION BY "{id}" ORDER BY coalesce(recorded_at, 0), rowid
) AS superseded_at FROM loaded ORDER BY rowid
"""

_KNOWN_LEADS = """
SELECT lead_id, $1::BIGINT AS as_of FROM leads
WHERE coalesce(created_at, 0) <= $1 AND coalesce(recorded_at, 0) <= $1 AND NOT deleted
  AND (superseded_at IS NULL OR superseded_at > $1)
ORDER BY lead_id
"""

_OPEN_LEADS = f"""
SELECT known.* FROM ({_KNOWN_LEADS}) AS known WHERE NOT EXISTS (
    SELECT 1 FROM lead_events e WHERE e.lead_id = known.lead_id AND e.event IN ('won', 'lost') AND NOT e.deleted
      AND coalesce(e.recorded_at, 0) <= $1 AND (e.superseded_at IS NULL OR e.superseded_at > $1)
      AND NOT EXISTS (
        SELECT 1 FROM lead_events r WHERE r.lead_id = e.lead_id AND r.event = 'reopened' AND NOT r.deleted
          AND r.recorded_at <= $1 AND r.recorded_at >= coalesce(e.recorded_at, 0)
          AND (r.superseded_at IS NULL OR r.superseded_at > $1)))
ORDER BY lead_id
"""


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cast(name: str, text: str, type_: str) -> str:
    return f"{text}::{type_} AS {_identifier(name)}"


def _from_parquet(column: Column) -> str:
    return f"epoch_us({_identifier(column.name)})" if column.type in ("instant", "date") else _identifier(column.name)


def _from_csv(column: Column) -> str:
    if column.type in ("instant", "date"):
        return f"epoch_us({_identifier(column.name)}::TIMESTAMPTZ)"
    return _identifier(column.name)
