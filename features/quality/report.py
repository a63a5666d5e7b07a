"""The findings of an examination, and the report that holds them; both as plain JSON values and from JSON text."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_args

from features.quality.thresholds import Severity
from features.value_types import parse_instant, rfc3339

MAX_EXAMPLES = 3
WITHHELD = "(withheld)"
"""Replaces an id that may itself be personal data."""

_PERSONAL = re.compile(r"@|//|\s|^www\.", re.IGNORECASE)
_MAX_SHOWN_LENGTH = 60


def shown(identity: str) -> str:
    """An id as reports show it. An id that looks like an e-mail address, a URL or a name in words is withheld."""
    return WITHHELD if _PERSONAL.search(identity) or len(identity) > _MAX_SHOWN_LENGTH else identity


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check for one kind or column.

    Attributes:
        check: the id of the check.
        title: the error that the check looks for.
        severity: ok, warn or fail, by the thresholds.
        kind: the kind of record.
        column: the column that has the error; None where whole records have it.
        source: the integration or channel that has the error; None for all.
        count: the number of records with the error; for `stale` a number of days, for `volume_…` of new records.
        of: the number of records that could have the error; None where there is no such number.
        share: the share (0 to 1) that the thresholds limit; None for `stale` and `unreadable`.
        examples: up to three ids, without personal data.
        detail: the figures in words; may be empty.
        fix: the fix in a sentence. Its key in JSON is `mend`.
    """

    check: str
    title: str
    severity: Severity
    kind: str
    column: str | None
    source: str | None
    count: int
    of: int | None
    share: float | None
    examples: tuple[str, ...]
    detail: str
    fix: str

    def __post_init__(self) -> None:
        if self.severity not in get_args(Severity):
            raise ValueError(f"severity must be one of {', '.join(get_args(Severity))}, not {self.severity!r}")
        if len(self.examples) > MAX_EXAMPLES:
            raise ValueError(f"examples must be at most {MAX_EXAMPLES}, not {len(self.examples)}")

    @property
    def location(self) -> str:
        """The kind, column and source as one text, such as `leads.channel` or `touchpoints (webinar)`."""
        column = f".{self.column}" if self.column else ""
        return f"{self.kind}{column}" + (f" ({self.source})" if self.source else "")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one examination.

    Attributes:
        made_at: the moment of the report, microseconds.
        as_of: the moment whose knowledge was examined, microseconds.
        cut: the moment after which no record should have been recorded, microseconds.
        point_in_time: whether the recorded times are real.
        records: the number of current records of each kind.
        findings: the worst severity first, then in the order of the checks.
    """

    made_at: int
    as_of: int
    cut: int
    point_in_time: bool
    records: Mapping[str, int]
    findings: tuple[Finding, ...]

    @cached_property
    def tally(self) -> Mapping[str, int]:
        """The number of findings of each severity, the worst first."""
        counts = Counter(finding.severity for finding in self.findings)
        return {severity: counts[severity] for severity in reversed(get_args(Severity))}

    @property
    def alerts(self) -> tuple[Finding, ...]:
        """The warnings and failures among the findings."""
        return tuple(finding for finding in self.findings if finding.severity != "ok")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; instants as RFC 3339."""
        times = {name: rfc3339(getattr(self, name)) for name in ("made_at", "as_of", "cut")}
        findings = [_finding_to_dict(finding) for finding in self.findings]
        rest = {"point_in_time": self.point_in_time, "records": dict(self.records), "tally": dict(self.tally)}
        return {**times, **rest, "findings": findings}

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """The report that a JSON text holds, as `to_dict` lays it out.

        Raises:
            ValueError: the text is not such a report.
        """
        try:
            content = json.loads(text)
            findings = (_finding_of(each) for each in content["findings"])
            times = {name: parse_instant(content[name]) for name in ("made_at", "as_of", "cut")}
            records = {str(kind): int(count) for kind, count in content["records"].items()}
            return cls(**times, point_in_time=bool(content["point_in_time"]), records=records, findings=(*findings,))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a report of data quality: {error}; run `eql doctor data` again") from None


def _finding_to_dict(finding: Finding) -> dict[str, Any]:
    content = asdict(finding)
    fix = content.pop("fix")
    return {**content, "examples": list(finding.examples), "mend": fix}


def _finding_of(content: Mapping[str, Any]) -> Finding:
    known = {name: value for name, value in content.items() if name != "mend"}
    return Finding(**{**known, "examples": tuple(content["examples"]), "fix": content["mend"]})


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings sorted by severity, the worst first; equal ones stay in their order."""
    order = get_args(Severity)
    return tuple(sorted(findings, key=lambda finding: -order.index(finding.severity)))
