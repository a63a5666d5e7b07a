"""Agreement of the engines: every feature of every snapshot of a world, from the Python engine and from all others.

`python -m benchmarks.agreement FOLDER --engines duckdb postgres spark` compares them on a folder of `eql simulate`. The
exit code is 1 if any value differs: counts and categories must be equal, reals within 1e-9.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FACTS
from features.engines.duckdb import DuckDBEngine
from features.engines.engine import Engine
from features.engines.python import Facts, evaluate
from features.partner_history import HORIZON_DAYS
from features.records import DERIVED, KINDS, Kind, Row
from training.data.snapshots import label_snapshots

TOLERANCE = 1e-9
Opened: TypeAlias = AbstractContextManager[Engine]


def compare(reference: pa.Table, other: pa.Table, catalogue: Catalogue) -> dict[str, int]:
    """The number of differing values of each feature that has any.

    Raises:
        ValueError: the tables have other rows, or another order.
    """
    if reference.num_rows != other.num_rows or any(reference[k] != other[k] for k in ("lead_id", "as_of")):
        raise ValueError("the engines return different rows, or a different order of rows")
    counts = {name: _differing(reference[name], other[name]) for name in catalogue.names}
    return {name: count for name, count in counts.items() if count}


def _differing(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    if left.type != right.type:
        return len(left)
    if not pa.types.is_floating(left.type):
        return len(left) - int(pc.sum(pc.fill_null(pc.equal(left, right), _both_null(left, right))).as_py() or 0)
    a, b = (np.nan_to_num(pc.fill_null(side, np.nan).to_numpy(), nan=-1e300) for side in (left, right))
    return int((np.abs(a - b) > TOLERANCE * np.maximum(1, np.abs(a))).sum())


def _both_null(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.and_(pc.is_null(left), pc.is_null(right))


def evaluate_with_python(engine: DuckDBEngine, catalogue: Catalogue, snapshots: pa.Table) -> pa.Table:
    """The feature rows of the Python engine, in the order of the other engines and with their types."""
    lead_facts = _LeadFacts(engine)
    rows: list[dict[str, Any]] = []
    ordered = snapshots.sort_by([("lead_id", "ascending"), ("as_of", "ascending")])
    for lead_id, as_of in zip(ordered["lead_id"].to_pylist(), ordered["as_of"].to_pylist(), strict=True):
        evaluated = evaluate(catalogue, lead_facts.of(lead_id), as_of)
        rows.append({"lead_id": lead_id, "as_of": as_of, **evaluated.features})
    return pa.Table.from_pylist(rows, schema=engine.evaluate(catalogue, snapshots.slice(0, 1)).schema)


class _LeadFacts:
    """The facts of one lead from an engine's records, as the Python engine reads them, with all partner histories."""

    def __init__(self, engine: DuckDBEngine) -> None:
        kinds = (*(KINDS[name] for name in ("leads", "accounts", "partners")), *FACTS.values(), *DERIVED)
        self._rows = {kind.name: _grouped(engine, kind) for kind in kinds}
        shared = ("partners", *(kind.name for kind in DERIVED))
        self._shared_rows = {name: [row for rows in self._rows[name].values() for row in rows] for name in shared}
        self._last: tuple[str, Facts] = ("", {})

    def of(self, lead_id: str) -> Facts:
        if self._last[0] != lead_id:
            self._last = (lead_id, self._gather(lead_id))
        return self._last[1]

    def _gather(self, lead_id: str) -> Facts:
        leads = self._rows["leads"].get(lead_id, [])
        accounts = {row["account_id"] for row in leads} - {None}
        facts: dict[str, Sequence[Row]] = {**self._shared_rows, "leads": leads}
        for name in ("accounts", *FACTS):
            keys = accounts if name == "accounts" or KINDS[name].parent == "account_id" else {lead_id}
            facts[name] = [row for key in sorted(keys) for row in self._rows[name].get(key, ())]
        return facts


def _grouped(engine: DuckDBEngine, kind: Kind) -> Mapping[str, list[Row]]:
    """The rows of a kind by their parent, or by their id, in the order of ingest."""
    grouped: dict[str, list[Row]] = {}
    for batch in engine.sql(f'SELECT * FROM "{kind.name}"').to_batches(100_000):
        for row in batch.to_pylist():
            grouped.setdefault(row[kind.parent or kind.id], []).append(row)
    return grouped


@contextmanager
def _postgres(folder: Path) -> Iterator[Engine]:
    from features.engines.postgres import PostgresEngine
    from features.engines.postgres_server import private_server

    with private_server() as url, PostgresEngine(folder, HORIZON_DAYS, url) as engine:
        yield engine


@contextmanager
def _spark(folder: Path) -> Iterator[Engine]:
    from features.engines.spark import SparkEngine
    from features.engines.spark_session import local_session

    with local_session(memory="4g", cores=2) as session, SparkEngine(folder, HORIZON_DAYS, session) as engine:
        yield engine


ENGINES: Mapping[str, Callable[[Path], Opened]] = {
    "duckdb": lambda folder: DuckDBEngine(folder, HORIZON_DAYS),
    "postgres": _postgres,
    "spark": _spark,
}


def main() -> int:
    """Compares the chosen engines with the Python engine; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    options = parser.parse_args()
    with DuckDBEngine(options.folder, HORIZON_DAYS) as engine:
        catalogue = CATALOGUE.with_attributes(engine.provenance.attributes)
        snapshots = label_snapshots(engine, HORIZON_DAYS).table()
        start = time.perf_counter()
        reference = evaluate_with_python(engine, catalogue, snapshots)
        print(f"python: {len(reference):,} snapshots, {len(catalogue)} features, {time.perf_counter() - start:.0f} s")
    wrong = 0
    for name in options.engines:
        start = time.perf_counter()
        with ENGINES[name](options.folder) as other:
            differing = compare(reference, other.evaluate(catalogue, snapshots), catalogue)
        wrong += len(differing)
        print(f"{name}: {differing or 'every value agrees'}, {time.perf_counter() - start:.0f} s with loading")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
