"""The page of data quality: the last report, the worst findings first, each with its fix; or how to make a report."""

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
class Line:
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
        """How the bar is coloured."""
        return "band" if self.finding.severity == "ok" else "against"


@dataclass(frozen=True)
class KindLine:
    """What became of the checks of one kind of record."""

    kind: str
    records: int | None
    counts: Mapping[str, int]


@dataclass(frozen=True)
class QualityPage:
    """A report as the page shows it."""

    report: Report

    @cached_property
    def faults(self) -> Sequence[Line]:
        """What is not ok, the worst first."""
        return [Line(finding) for finding in self.report.alerts]

    @cached_property
    def missing(self) -> Sequence[Line]:
        """The columns with a threshold of missing values."""
        return [Line(finding) for finding in self.report.findings if finding.check == MISSING.id]

    @cached_property
    def kinds(self) -> Sequence[KindLine]:
        """The kinds that were examined, those with records first."""
        findings = self.report.findings
        names = dict.fromkeys((*self.report.records, *(finding.kind for finding in findings)))
        lines = [KindLine(name, self.report.records.get(name), self._counts(name)) for name in names]
        return sorted(lines, key=lambda line: not line.records)

    def _counts(self, kind: str) -> Mapping[str, int]:
        found = Counter[str](finding.severity for finding in self.report.findings if finding.kind == kind)
        return {severity: found[severity] for severity in self.report.tally}


@router.get("/quality", response_model=None)
def quality(request: Request, store: StoreDependency) -> Response:
    """The page of data quality; a partner does not see it."""
    visitor = visitors.visitor(request)
    if visitor.role == "partner":
        raise Refusal(404, *NOT_FOUND)
    with reading(store.engine) as connection:
        report = reports.last(connection)
    shown = None if report is None else QualityPage(report)
    return rendering.page("quality/quality.html", {"visitor": visitor, "page": shown, "now": store.clock()})
