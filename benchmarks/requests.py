"""The features of one request, for the whole catalogue, against one query of the DuckDB engine over the same lead."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.features_contestants import peak_mib
from benchmarks.results import ResultRow
from features.catalogue import CATALOGUE
from features.engines.duckdb import DuckDBEngine
from features.engines.python import Facts, evaluate
from features.folder import FolderWriter
from features.partner_history import HORIZON_DAYS
from features.provenance import Provenance
from features.records import KINDS, Row, Stored, parse
from features.value_types import DAY

FACTS = (20, 100, 500)
REPEATS = 1000
NOW = 20_000 * DAY
_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "integration_usage": {"integration": "slack", "partner_id": "P1", "calls": 12, "active_users": 3},
    "touchpoints": {"channel": "webinar", "kind": "visit", "partner_id": "P1"},
    "referrals": {"partner_id": "P1"},
    "confirmations": {"side": "partner", "partner_id": "P1", "subjects": ("fit", "intent")},
    "shared_customers": {"partner_id": "P1", "relationship": "customer", "confidence": 0.8},
    "buying_signals": {"kind": "demo_request"},
}


def requests() -> list[ResultRow]:
    """Milliseconds for the features of one request, median and 99th percentile, against one DuckDB query."""
    return [result for count in FACTS for result in _requests(count)]


def _requests(count: int) -> Iterator[ResultRow]:
    facts = request_facts(count)
    ours_ms = _milliseconds(lambda: evaluate(CATALOGUE, facts, NOW), REPEATS)
    with tempfile.TemporaryDirectory(prefix="eql-bench-") as name:
        folder = Path(name) / "records"
        with FolderWriter(folder, Provenance()) as writer:
            for kind, rows in facts.items():
                writer.write(KINDS[kind], rows)
        snapshot = pa.table({"lead_id": ["L1"], "as_of": [NOW]})
        with DuckDBEngine(folder, HORIZON_DAYS) as engine:
            theirs_ms = _milliseconds(lambda: engine.evaluate(CATALOGUE, snapshot), REPEATS // 50)
    for suffix, level in (("", 0.5), ("-p99", 0.99)):
        ours, theirs = _quantile(ours_ms, level), _quantile(theirs_ms, level)
        yield {
            "benchmark": f"features-request-{count}{suffix}",
            "ours": ours,
            "peer": "one query of the DuckDB engine",
            "theirs": theirs,
            "ratio": theirs / ours,
            "unit": "ms",
            "peak_mib": peak_mib(),
        }


def request_facts(count: int) -> Facts:
    """One lead with its account, its source partner and `count` facts, which take turns among the kinds of facts."""
    kinds = list(_EXAMPLES)
    rows: dict[str, list[Row]] = {
        "leads": [
            _row("leads", "L1", None, lead_id="L1", account_id="A1", source_partner_id="P1", created_at=NOW - DAY)
        ],
        "accounts": [_row("accounts", "A1", None, account_id="A1", employees=200, industry="software", country="DE")],
        "partners": [_row("partners", "P1", None, partner_id="P1", tier="gold", certified=True)],
    }
    for number in range(count):
        kind = kinds[number % len(kinds)]
        parent = {"lead_id": "L1", "account_id": "A1", None: None}[KINDS[kind].parent]
        moment = NOW - number * DAY // 3
        times = {"day": moment} if kind == "integration_usage" else {"occurred_at": moment}
        content = {**_EXAMPLES[kind], **(times if kind != "shared_customers" else {"since": moment})}
        rows.setdefault(kind, []).append(_row(kind, f"R{number}", parent, **content))
    return rows


def _row(kind: str, id: str, parent: str | None, /, **content: Any) -> Row:
    return Stored(KINDS[kind], id, parse(KINDS[kind], content), parent).row()


def _milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """The sorted times of the runs after the first tenth, which warms up."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times[repeats // 10 :])


def _quantile(ordered: Sequence[float], level: float) -> float:
    return ordered[min(len(ordered) - 1, int(level * len(ordered)))]
