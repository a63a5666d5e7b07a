"""The interface of a batch engine, and the SQL and Arrow steps that all engines share.

An engine holds the records of a folder as tables and evaluates the catalogue over them. The tables are named like the
kinds. Each has `Kind.columns`, the leads also their attributes, and `superseded_at`. Beside each column of free text a
table has the folded text, which alone is compared (`foldings`). The derived kinds are tables too.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import ENTITIES, FACTS
from features.delivery import table_without_absent
from features.engines.sql_compiler import entity_columns
from features.folding import Folding, folded_text
from features.outcomes import closed_leads_sql
from features.provenance import ATTRIBUTE_PREFIX, Attribute, Provenance
from features.records import KINDS, Kind, Row

NEEDED: tuple[Kind, ...] = (*ENTITIES.values(), *FACTS.values(), KINDS["lead_events"])
"""The kinds that an engine reads; `lead_events` for open leads and the derived kinds, never for a feature."""


class Engine(Protocol):
    """Records that can be evaluated at any moments; a context manager.

    All engines return the same rows in the same order: integers and texts are equal, reals differ by at most 1e-9.

    Attributes:
        provenance: the provenance of the records.
    """

    provenance: Provenance

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def evaluate(self, catalogue: Catalogue, snapshots: pa.Table, *, fields: bool = False) -> pa.Table:
        """One row for each of `snapshots` (lead_id, as_of in microseconds) with the columns of `sql_compiler.query`."""
        ...

    def open_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of the leads open then: created, neither won nor lost (see `features.outcomes`)."""
        ...

    def known_leads(self, as_of: int) -> pa.Table:
        """Snapshots at `as_of` of all leads known then, open or closed."""
        ...


def foldings(kind: Kind, attributes: Iterable[Attribute]) -> dict[str, Folding]:
    """The columns of a kind that hold free text, with the attributes of leads, each with the function that folds it."""
    named = {
        f"{ATTRIBUTE_PREFIX}{attribute.name}": folded_text
        for attribute in attributes
        if kind.name == "leads" and attribute.kind == "category" and attribute.known == "at_creation"
    }
    return {**kind.foldings, **named}


def changed_by_folding(texts: Iterable[str | None], folding: Folding) -> dict[str, str | None]:
    """The folded text of each text that folding changes; an engine joins it to the rows, for SQL itself never folds."""
    folded = ((text, folding(text)) for text in texts if text is not None)
    return {text: other for text, other in folded if other != text}


class EngineError(ValueError):
    """An engine cannot be started, or refuses the records; the message names the reason and the fix."""


def known_leads(as_of: int) -> str:
    """SQL for any engine: snapshots at `as_of` (microseconds) of every lead known by then, in order."""
    return f"SELECT * FROM ({_known(as_of)}) known ORDER BY lead_id"


def open_leads(as_of: int, dialect: str, position: str) -> str:
    """SQL: snapshots at `as_of` (microseconds) of the leads open then (see `features.outcomes`), in order.

    Args:
        as_of: the moment.
        dialect: the engine's dialect, as sqlglot names it.
        position: the column of `lead_events` that holds the position of a row in its file.
    """
    closed = closed_leads_sql(dialect, as_of, position)
    return (
        f"SELECT * FROM ({_known(as_of)}) known "
        f"WHERE NOT EXISTS (SELECT 1 FROM ({closed}) closed WHERE closed.lead_id = known.lead_id) ORDER BY lead_id"
    )


def _known(as_of: int) -> str:
    return (
        f"SELECT l.lead_id, CAST({as_of:d} AS BIGINT) AS as_of FROM leads l "
        f"WHERE COALESCE(l.created_at, 0) <= {as_of:d} AND {_seen('l', as_of)}"
    )


def _seen(table: str, as_of: int) -> str:
    return (
        f"NOT {table}.deleted AND COALESCE({table}.recorded_at, 0) <= {as_of:d} "
        f"AND ({table}.superseded_at IS NULL OR {table}.superseded_at > {as_of:d})"
    )


def history_queries(position: str) -> tuple[str, str, str]:
    """SQL for any engine: the leads, partners and events from which `features.partner_history.histories` derives.

    Args:
        position: the column that holds the position of a row in its file.
    """
    return (
        f"SELECT lead_id, source_partner_id, created_at, recorded_at FROM leads ORDER BY {position}",
        f"SELECT partner_id, tier, recorded_at, deleted FROM partners ORDER BY {position}",
        "SELECT lead_id, event, occurred_at, recorded_at, deleted FROM lead_events "
        f"WHERE event = 'won' ORDER BY {position}",
    )


def table(kind: Kind, rows: Sequence[Row]) -> pa.Table:
    """Rows of a derived kind as Arrow, instants as integers."""
    types = {"text": pa.string(), "real": pa.float64(), "flag": pa.bool_()}
    schema = pa.schema([(column.name, types.get(column.type, pa.int64())) for column in kind.columns])
    return pa.Table.from_pylist(rows, schema=schema)


def numbered(snapshots: pa.Table) -> pa.Table:
    """Snapshots with their numbers, by which `sql_compiler.query` groups."""
    return snapshots.append_column("snapshot", pa.array(range(len(snapshots)), pa.int64()))


def earliest(snapshots: pa.Table) -> int:
    """The earliest moment of snapshots, for `sql_compiler.query`; 0 where there are no snapshots."""
    return pc.min(snapshots["as_of"]).as_py() or 0


def shaped(result: pa.Table, catalogue: Catalogue, provenance: Provenance, *, fields: bool) -> pa.Table:
    """The result of `sql_compiler.query` in its promised form: names, plain types, and missing what was not recorded.

    Args:
        result: the result.
        catalogue: the catalogue that was evaluated.
        provenance: of the records.
        fields: whether the result has the columns of the entities too.
    """
    entity = [f"{entity}.{column}" for entity, column in entity_columns(catalogue)] if fields else []
    named = plain(result.rename_columns(["lead_id", "as_of", *catalogue.names, *entity]))
    return table_without_absent(named, catalogue, provenance.since)


def plain(result: pa.Table) -> pa.Table:
    """A result with integers and reals of 64 bits, whatever their width, and with every column nullable."""
    return result.cast(pa.schema([(field.name, _wide(field.type)) for field in result.schema]))


def _wide(type: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(type):
        return pa.int64()
    if pa.types.is_floating(type):
        return pa.float64()
    return pa.string() if pa.types.is_large_string(type) else type
