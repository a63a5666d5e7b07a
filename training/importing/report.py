"""The report of an import, for people and machines."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from features.provenance import Provenance
from features.value_types import rfc3339


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One error of a row that was not imported. The value is for files and terminals, never HTTP."""

    record: str
    file: str
    row: int
    id: str
    field: str
    reason: str
    value: str


@dataclass(frozen=True)
class Reason:
    """The number of errors of one kind."""

    record: str
    field: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """The result of an import.

    Attributes:
        accepted: records by kind; closes read from an outcome are lead_events.
        rejected: rows by their kind.
        reasons: the errors of the rejected rows, the most frequent first.
        outcomes: leads won, lost and open at the cut.
        provenance: the cut, whether recorded times are real, the declared attributes.
        inferred: the inferred kinds of attributes, where the mapping gives none.
        left_out: columns that no record, join or attribute uses, by file.
        rejects: the file with the rejected rows.
    """

    accepted: Mapping[str, int]
    rejected: Mapping[str, int]
    reasons: tuple[Reason, ...]
    outcomes: Mapping[str, int]
    provenance: Provenance
    inferred: Mapping[str, str]
    left_out: Mapping[str, tuple[str, ...]]
    rejects: str

    @property
    def later(self) -> tuple[str, ...]:
        """Names of the attributes kept out because they are known later."""
        return tuple(attribute.name for attribute in self.provenance.attributes if attribute.known == "later")

    def to_json(self) -> str:
        """This report as JSON text."""
        content = {**asdict(self), "provenance": json.loads(self.provenance.to_json()), "later": self.later}
        return json.dumps(content, indent=1, ensure_ascii=False)

    def text(self) -> str:
        """This report for a person to read."""
        return "\n".join([*self._counts(), *self._reasons(), *self._times(), *self._columns()])

    def _counts(self) -> Iterable[str]:
        for kind in dict.fromkeys([*self.accepted, *self.rejected]):
            refused = self.rejected.get(kind, 0)
            yield f"{kind}: {self.accepted.get(kind, 0):,} imported" + (f", {refused:,} rejected" if refused else "")
        yield "outcomes: " + ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.items())

    def _reasons(self) -> Iterable[str]:
        if self.reasons:
            yield f"rejected rows, each with its reason, are in {self.rejects}:"
        for reason in self.reasons:
            yield f"  {reason.count:,} x {reason.record}: {reason.field} {reason.reason}".replace(":  ", ": ")

    def _times(self) -> Iterable[str]:
        cut = self.provenance.cut
        yield f"data cut: {'none, the export has no times' if cut is None else rfc3339(cut)}"
        if not self.provenance.point_in_time:
            yield "point in time not verifiable: the export does not say when its records were recorded"

    def _columns(self) -> Iterable[str]:
        known = [a for a in self.provenance.attributes if a.known == "at_creation"]
        if known:
            yield "attributes: " + ", ".join(
                f"{a.name} ({a.kind}{', inferred' if a.name in self.inferred else ''})" for a in known
            )
        if self.later:
            yield f"kept out, known later: {', '.join(self.later)}"
        for file, columns in self.left_out.items():
            yield f"left out of {file}, not declared: {', '.join(columns)}"
