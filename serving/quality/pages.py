"""The page of data quality: the last report, with the worst findings first and their fixes, or how to make a report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

from features.quality.checks import MISSING
from features.quality.report import Finding, Report
from serving.html import rendering, visitors
from serving.html.charts import WIDTH
from serving.html.page_routes import page_router
from serving.html.rendering import NOT_FOUND, Refusal
from serving.http.dependencies import StoreDependency
from serving.quality import reports
from serving.store.database import reading

router = page_router()

STATES: Mapping[str, tuple[str, str, str]] = {
    "fail": ("fail", "✕", "fails"),
    "warn": ("unknown", "!", "warns"),
    "ok": ("pass", "✓", "ok"),
}
"""The class, symbol and word of each severity."""


@dataclass(frozen=True)
class FindingLine:
    """A finding as the page shows it."""

    finding: Finding

    @property
    def state(self) -> tuple[str, str, str]:
        """The class, symbol and word of its severity."""
        return STATES[self.finding.severity]

    @property
    def bar(self) -> float | None:
        """The length of the bar of its share; None without one."""
        return None if self.finding.share is None else WIDTH * self.finding.share

    @property
    def bar_kind(self) -> str:
        """The class of the bar, which sets its colour."""
        return "band" if self.finding.severity == "ok" else "against"


@dataclass(frozen=True)
class KindLine:
    """The results of the checks of one kind of record, counted by severity."""

    kind: str
    records: int | None
    counts: Mapping[str, int]


@dataclass(frozen=True)
class QualityPage:
    """A report as the page shows it."""

    report: Report

    @cached_property
    def alerts(self) -> Sequence[FindingLine]:
        """The findings that are not ok, the worst first."""
        return [FindingLine(finding) for finding in self.report.alerts]

    @cached_property
    def missing(self) -> Sequence[FindingLine]:
        """The findings about missing values, one for each column with a threshold."""
        return [FindingLine(finding) for finding in self.report.findings if finding.check == MISSING.id]

    @cached_property
    def kinds(self) -> Sequence[KindLine]:
        """The examined kinds of records; kinds with records come first."""
        findings = self.report.findings
        names = dict.fromkeys((*self.report.records, *(finding.kind for finding in findings)))
        lines = [KindLine(name, self.report.records.get(name), self._counts(name)) for name in names]
        return sorted(lines, key=lambda line: not line.records)

    def _counts(self, kind: str) -> Mapping[str, int]:
        counts = Counter[str](finding.severity for finding in self.report.findings if finding.kind == kind)
        return {severity: counts[severity] for severity in self.report.tally}


@router.get("/quality", response_model=None)
def quality(request: Request, store: StoreDependency) -> Response:
    """The page of data quality; a partner does not see it."""
    visitor = visitors.visitor(request)
    if visitor.role == "partner":
        raise Refusal(404, *NOT_FOUND)
    with reading(store.engine) as connection:
        report = reports.last(connection)
    page = None if report is None else QualityPage(report)
    return rendering.page("quality/quality.html", {"visitor": visitor, "page": page, "now": store.clock()})
