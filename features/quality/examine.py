"""Examining a folder of records: every check over every kind, by SQL aggregates, however many records there are."""

from collections.abc import Sequence
from pathlib import Path

from features.engines.duckdb import DuckDBEngine
from features.quality.arrivals import arrivals
from features.quality.checks import UNKNOWN_PARTNER, UNREADABLE
from features.quality.faults import Fault, faults
from features.quality.opening import opened
from features.quality.renamed import alike
from features.quality.report import MOST_EXAMPLES, Finding, Report, ranked, shown
from features.quality.scope import Scope
from features.quality.thresholds import Thresholds
from features.records import KINDS, Kind
from features.value_types import rfc3339


class NothingToExamine(ValueError):
    """There are no records; the message says how to get some."""


def examine(folder: Path, thresholds: Thresholds, *, horizon_days: int, as_of: int | None, now: int) -> Report:
    """What is wrong with the records of a folder.

    Args:
        folder: of records, as `eql simulate` and `eql export` write them.
        thresholds: what is ok, a warning, a failure.
        horizon_days: for the engine that reads the folder.
        as_of: examine what was known at this moment; None for all that is there, up to the data's cut.
        now: the moment of the report, and the cut of records that have none.

    Raises:
        NothingToExamine: there are no records.
        features.folder.FolderError: it is no folder of records.
    """
    with opened(folder, horizon_days) as records:
        provenance = records.engine.provenance
        cut = now if provenance.cut is None else provenance.cut
        moment = cut if as_of is None else as_of
        scope = Scope(thresholds, moment, max(cut, moment), records.relations)
        counts, found = _examined(records.engine, scope)
    if not (records.refused or any(counts.values())):
        raise NothingToExamine(f"no records are known as of {rfc3339(moment)}; bring some in with `eql import`")
    unreadable = [_unreadable(kind, message) for kind, message in records.refused.items()]
    return Report(now, moment, scope.cut, provenance.point_in_time, counts, ranked([*unreadable, *found]))


def _examined(engine: DuckDBEngine, scope: Scope) -> tuple[dict[str, int], list[Finding]]:
    records: dict[str, int] = {}
    found: list[Finding] = []
    for kind in KINDS.values():
        if kind.name in scope.relations:
            records[kind.name], faulty = _faulty(engine, scope, kind)
            found += faulty
            found += arrivals(scope, kind, lambda text: engine.sql(text).to_pylist())
    return records, found


def _faulty(engine: DuckDBEngine, scope: Scope, kind: Kind) -> tuple[int, list[Finding]]:
    """How many current records a kind has, and what each check counts of them: one pass for all that are predicates."""
    looked_for = list(faults(scope, kind))
    counts = ["count(*) AS n"]
    for number, fault in enumerate(looked_for):
        counts.append(f"count(CASE WHEN {fault.of} THEN 1 END) AS of{number}")
        if fault.where is not None:
            counts.append(f"count(CASE WHEN ({fault.of}) AND ({fault.where}) THEN 1 END) AS n{number}")
    [row] = engine.sql(f"SELECT {', '.join(counts)} FROM {scope.current(kind)} AS r").to_pylist()
    found = (_counted(engine, scope, fault, row[f"of{n}"], row.get(f"n{n}")) for n, fault in enumerate(looked_for))
    return row["n"], [finding for finding in found if finding is not None]


def _counted(engine: DuckDBEngine, scope: Scope, fault: Fault, of: int, known: int | None) -> Finding | None:
    """The finding of a fault; None where no record could have it. `known` spares the query where there is none."""
    worst = [] if known == 0 else engine.sql(_WORST.format(groups=fault.groups)).to_pylist()
    count = worst[0]["total"] if worst else 0
    if not (of or count):
        return None
    examples = tuple(row["example"] for row in worst if row["example"] is not None)
    detail = _renamed(engine, scope, examples) if fault.check == UNKNOWN_PARTNER and examples else ""
    return _finding(fault, count, of, examples, detail)


_WORST = f"""
SELECT example, n, CAST(sum(n) OVER () AS BIGINT) AS total FROM ({{groups}}) AS g ORDER BY n DESC, example
LIMIT {MOST_EXAMPLES}
"""


def _finding(fault: Fault, count: int, of: int, examples: tuple[str, ...], detail: str) -> Finding:
    check, share = fault.check, min(count / of, 1.0) if of else 1.0
    return Finding(
        check=check.id,
        title=check.title,
        severity=fault.limits.severity(share),
        kind=fault.kind.name,
        column=fault.column,
        source=None,
        count=count,
        of=of,
        share=share,
        examples=tuple(map(shown, examples)),
        detail=detail,
        mend=check.mend.format(kind=fault.kind.name, column=fault.column),
    )


def _renamed(engine: DuckDBEngine, scope: Scope, unknown: Sequence[str]) -> str:
    """Which known partners the unknown ones are probably."""
    partners = scope.versions(KINDS["partners"])
    rows = engine.sql(f"SELECT DISTINCT partner_id, coalesce(name, '') AS name FROM {partners} AS p ORDER BY 1, 2")
    known = [(row["partner_id"], row["name"]) for row in rows.to_pylist() if row["partner_id"]]
    pairs = ((identity, alike(identity, known)) for identity in unknown)
    return "; ".join(f"{shown(identity)} reads like the known {shown(found)}" for identity, found in pairs if found)


def _unreadable(kind: str, message: str) -> Finding:
    check = UNREADABLE
    return Finding(check.id, check.title, "fail", kind, None, None, 1, None, None, (), message, check.mend)
