"""What an examination found: findings, and the report that holds them, to and from JSON."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_args

from features.quality.thresholds import Severity
from features.value_types import parse_instant, rfc3339

MOST_EXAMPLES = 3
WITHHELD = "(withheld)"
"""Stands for an id that may itself be personal."""

_PERSONAL = re.compile(r"@|//|\s|^www\.", re.IGNORECASE)
_MOST_SHOWN = 60


def shown(identity: str) -> str:
    """An id as reports show it: one that reads like an e-mail address, a URL or a name in words is withheld."""
    return WITHHELD if _PERSONAL.search(identity) or len(identity) > _MOST_SHOWN else identity


@dataclass(frozen=True)
class Finding:
    """What one check found of one kind or column.

    Attributes:
        check: the check's id.
        title: what it looks for.
        severity: by the thresholds.
        kind: the kind of record.
        column: the column it is about; None where it is about whole records.
        source: the integration or channel it is about; None for all.
        count: how many records; of `stale` how many days, of `volume_…` how many new records.
        of: among how many; None where there is no such number.
        share: what the thresholds compare with, a share of 1; None for `stale` and `unreadable`.
        examples: up to three ids, never personal data.
        detail: the figures behind it, in words; may be empty.
        mend: what to do, in a sentence.
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
    mend: str

    def __post_init__(self) -> None:
        if self.severity not in get_args(Severity):
            raise ValueError(f"severity must be one of {', '.join(get_args(Severity))}, not {self.severity!r}")
        if len(self.examples) > MOST_EXAMPLES:
            raise ValueError(f"examples must be at most {MOST_EXAMPLES}, not {len(self.examples)}")

    @property
    def place(self) -> str:
        """Where it is, such as `leads.channel` or `touchpoints (webinar)`."""
        column = f".{self.column}" if self.column else ""
        return f"{self.kind}{column}" + (f" ({self.source})" if self.source else "")


@dataclass(frozen=True)
class Report:
    """Everything an examination found.

    Attributes:
        made_at: when it was made, microseconds.
        as_of: the moment whose knowledge was examined, microseconds.
        cut: nothing recorded after this instant should be there, microseconds.
        point_in_time: whether recorded times are real.
        records: how many current records of each kind were examined.
        findings: those that are not ok first, by severity, then in the order of the checks.
    """

    made_at: int
    as_of: int
    cut: int
    point_in_time: bool
    records: Mapping[str, int]
    findings: tuple[Finding, ...]

    @cached_property
    def tally(self) -> Mapping[str, int]:
        """How many findings there are of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in reversed(get_args(Severity))}

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are not ok."""
        return tuple(finding for finding in self.findings if finding.severity != "ok")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; instants as RFC 3339."""
        times = {name: rfc3339(getattr(self, name)) for name in ("made_at", "as_of", "cut")}
        findings = [{**asdict(finding), "examples": list(finding.examples)} for finding in self.findings]
        rest = {"point_in_time": self.point_in_time, "records": dict(self.records), "tally": dict(self.tally)}
        return {**times, **rest, "findings": findings}

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """The report whose `to_dict` the text holds.

        Raises:
            ValueError: the text is no such report.
        """
        try:
            content = json.loads(text)
            findings = (Finding(**{**each, "examples": tuple(each["examples"])}) for each in content["findings"])
            times = {name: parse_instant(content[name]) for name in ("made_at", "as_of", "cut")}
            records = {str(kind): int(count) for kind, count in content["records"].items()}
            return cls(**times, point_in_time=bool(content["point_in_time"]), records=records, findings=(*findings,))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a report of data quality: {error}; run `eql doctor data` again") from None


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the worst first, else in the order given."""
    order = get_args(Severity)
    return tuple(sorted(findings, key=lambda finding: -order.index(finding.severity)))
