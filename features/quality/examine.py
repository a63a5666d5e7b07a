"""Examining a folder of records: every check of every kind, as SQL aggregates, so that millions of records will do."""

from collections.abc import Sequence
from pathlib import Path

from features.engines.duckdb import DuckDBEngine
from features.quality.arrivals import arrivals
from features.quality.checks import UNKNOWN_PARTNER, UNREADABLE
from features.quality.error_queries import ErrorQuery, error_queries
from features.quality.opening import opened
from features.quality.renamed import closest_id
from features.quality.report import MAX_EXAMPLES, Finding, Report, ranked, shown
from features.quality.scope import Scope
from features.quality.thresholds import Thresholds
from features.records import KINDS, Kind
from features.value_types import rfc3339


class NothingToExamine(ValueError):
    """The folder holds no records; the message says how to import some."""


def examine(folder: Path, thresholds: Thresholds, *, horizon_days: int, as_of: int | None, now: int) -> Report:
    """The report on the errors in the records of a folder.

    Args:
        folder: the record folder, as `eql simulate` and `eql export` write it.
        thresholds: the limits of ok, warning and failure.
        horizon_days: the horizon for the engine that reads the folder.
        as_of: the moment whose knowledge is examined, microseconds; None for the data's cut.
        now: the moment of the report, and the cut of records whose provenance names none.

    Raises:
        NothingToExamine: the folder holds no records.
        features.folder.FolderError: the folder is no folder of records.
    """
    with opened(folder, horizon_days) as records:
        provenance = records.engine.provenance
        cut = now if provenance.cut is None else provenance.cut
        moment = cut if as_of is None else as_of
        scope = Scope(thresholds, moment, max(cut, moment), records.relations)
        counts, findings = _examined(records.engine, scope)
    if not (records.refused or any(counts.values())):
        raise NothingToExamine(f"no records are known as of {rfc3339(moment)}; bring some in with `eql import`")
    unreadable = [_unreadable(kind, message) for kind, message in records.refused.items()]
    return Report(
        made_at=now,
        as_of=moment,
        cut=scope.cut,
        point_in_time=provenance.point_in_time,
        records=counts,
        findings=ranked([*unreadable, *findings]),
    )


def _examined(engine: DuckDBEngine, scope: Scope) -> tuple[dict[str, int], list[Finding]]:
    records: dict[str, int] = {}
    findings: list[Finding] = []
    for kind in KINDS.values():
        if kind.name in scope.relations:
            records[kind.name], errors = _errors(engine, scope, kind)
            findings += errors
            findings += arrivals(scope, kind, lambda text: engine.sql(text).to_pylist())
    return records, findings


def _errors(engine: DuckDBEngine, scope: Scope, kind: Kind) -> tuple[int, list[Finding]]:
    """The number of current records of a kind, and a finding of each check; one pass counts all the predicates."""
    queries = list(error_queries(scope, kind))
    counts = ["count(*) AS n"]
    for number, query in enumerate(queries):
        counts.append(f"count(CASE WHEN {query.of} THEN 1 END) AS of{number}")
        if query.where is not None:
            counts.append(f"count(CASE WHEN ({query.of}) AND ({query.where}) THEN 1 END) AS n{number}")
    [row] = engine.sql(f"SELECT {', '.join(counts)} FROM {scope.current(kind)} AS r").to_pylist()
    findings = (_counted(engine, scope, query, row[f"of{n}"], row.get(f"n{n}")) for n, query in enumerate(queries))
    return row["n"], [finding for finding in findings if finding is not None]


def _counted(engine: DuckDBEngine, scope: Scope, query: ErrorQuery, of: int, known: int | None) -> Finding | None:
    """The finding of a query; None where no record could have the error. A `known` count of 0 saves running it."""
    worst = [] if known == 0 else engine.sql(_WORST.format(groups=query.groups)).to_pylist()
    count = worst[0]["total"] if worst else 0
    if not (of or count):
        return None
    examples = tuple(row["example"] for row in worst if row["example"] is not None)
    detail = _renamed(engine, scope, examples) if query.check == UNKNOWN_PARTNER and examples else ""
    return _finding(query, count, of, examples, detail)


_WORST = f"""
SELECT example, n, CAST(sum(n) OVER () AS BIGINT) AS total FROM ({{groups}}) AS g ORDER BY n DESC, example
LIMIT {MAX_EXAMPLES}
"""


def _finding(query: ErrorQuery, count: int, of: int, examples: tuple[str, ...], detail: str) -> Finding:
    check, share = query.check, min(count / of, 1.0) if of else 1.0
    return Finding(
        check=check.id,
        title=check.title,
        severity=query.limits.severity(share),
        kind=query.kind.name,
        column=query.column,
        source=None,
        count=count,
        of=of,
        share=share,
        examples=tuple(map(shown, examples)),
        detail=detail,
        fix=check.fix.format(kind=query.kind.name, column=query.column),
    )


def _renamed(engine: DuckDBEngine, scope: Scope, unknown: Sequence[str]) -> str:
    """The known partners that the unknown ids probably mean, in words; empty where none is similar."""
    partners = scope.versions(KINDS["partners"])
    rows = engine.sql(f"SELECT DISTINCT partner_id, coalesce(name, '') AS name FROM {partners} AS p ORDER BY 1, 2")
    known = [(row["partner_id"], row["name"]) for row in rows.to_pylist() if row["partner_id"]]
    pairs = ((identity, closest_id(identity, known)) for identity in unknown)
    return "; ".join(
        f"{shown(identity)} reads like the known {shown(similar)}" for identity, similar in pairs if similar
    )


def _unreadable(kind: str, message: str) -> Finding:
    check = UNREADABLE
    return Finding(
        check=check.id,
        title=check.title,
        severity="fail",
        kind=kind,
        column=None,
        source=None,
        count=1,
        of=None,
        share=None,
        examples=(),
        detail=message,
        fix=check.fix,
    )
