"""The report of an import, for people and machines."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from features.provenance import Provenance
from features.value_types import rfc3339
from training.importing.outcomes import OutcomeText

Lost = Literal["row", "field"]
_MAX_TEXTS = 20


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One error of a row. The value is for files and terminals, never HTTP.

    `lost` says what the error cost: the row, or the field alone.
    """

    record: str
    file: str
    row: int
    id: str
    lost: Lost
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
        dropped: the errors of optional fields that were dropped from imported rows, the most frequent first.
        outcomes: leads won, lost and open at the cut.
        outcome_texts: each text of the outcome's column with its meaning and count.
        notes: what the readers of files chose or did not find.
        reach: the kinds of facts that are not recorded, and the qualifications that leads can reach.
        provenance: the cut, whether recorded times are real, the declared attributes.
        inferred: the inferred kinds of attributes, where the mapping gives none.
        left_out: columns that no record, join or attribute uses, by file.
        rejects: the file with the rejected rows.
    """

    accepted: Mapping[str, int]
    rejected: Mapping[str, int]
    reasons: tuple[Reason, ...]
    dropped: tuple[Reason, ...]
    outcomes: Mapping[str, int]
    outcome_texts: tuple[OutcomeText, ...]
    notes: tuple[str, ...]
    reach: tuple[str, ...]
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
        found = (self._counts(), self._outcome_texts(), self._reasons(), self.notes)
        parts = (*found, self.reach, self._times(), self._columns())
        return "\n".join(line for part in parts for line in part)

    def _counts(self) -> Iterable[str]:
        for kind in dict.fromkeys([*self.accepted, *self.rejected]):
            refused = self.rejected.get(kind, 0)
            yield f"{kind}: {self.accepted.get(kind, 0):,} imported" + (f", {refused:,} rejected" if refused else "")
        yield "outcomes: " + ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.items())

    def _outcome_texts(self) -> Iterable[str]:
        for means in ("won", "lost", "open"):
            texts = [f"{each.text or '(empty)'} ({each.count:,})" for each in self.outcome_texts if each.means == means]
            if texts:
                more = f", and {len(texts) - _MAX_TEXTS} more" if len(texts) > _MAX_TEXTS else ""
                yield f"  {means}: {', '.join(texts[:_MAX_TEXTS])}{more}"

    def _reasons(self) -> Iterable[str]:
        if self.reasons:
            yield f"rejected rows, each with its reason, are in {self.rejects}:"
        for reason in self.reasons:
            yield _line(reason)
        if self.dropped:
            yield f"fields dropped from imported rows, each with its reason, are in {self.rejects}:"
        for reason in self.dropped:
            yield _line(reason)

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


def _line(reason: Reason) -> str:
    return f"  {reason.count:,} x {reason.record}: {reason.field} {reason.reason}".replace(":  ", ": ")
