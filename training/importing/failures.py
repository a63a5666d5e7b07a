"""Imports that bring nothing to work with: every row was rejected, or a first import has no won and no lost lead."""

from collections.abc import Iterable, Mapping

from features.outcomes import CLOSES
from features.records import LeadEvent, Stored
from training.importing.blocks import LeadEvents
from training.importing.mapping import Records
from training.importing.report import ImportReport
from training.importing.rows import RowReader
from training.importing.word_use import column_counts, counted


def failure(
    report: ImportReport,
    readers: Mapping[str, RowReader],
    records: Records,
    admitted: Iterable[Stored],
    *,
    first: bool,
) -> str | None:
    """Why an import brings nothing that could be used, in a sentence; None where it brings something.

    Args:
        report: of the import.
        readers: the readers of the mapping's blocks, by kind.
        records: the kinds of records of the mapping.
        admitted: the records that would be imported.
        first: whether no lead was imported before; a later export may have open leads alone.
    """
    kind = _all_rejected(report)
    if kind is not None:
        return f"every row of {kind} was rejected, {_reasons(report, kind)}"
    if not first or any(isinstance(each.record, LeadEvent) and each.record.event in CLOSES for each in admitted):
        return None
    return _no_outcome(report, records, readers) or _no_close(report, records, readers)


def _all_rejected(report: ImportReport) -> str | None:
    """The kind whose rejection leaves nothing: leads, because facts speak of them, or else all kinds."""
    refused = [kind for kind, rows in report.rejected.items() if rows and not report.accepted.get(kind)]
    if "leads" in refused:
        return "leads"
    return refused[0] if refused and not any(report.accepted.values()) else None


def _reasons(report: ImportReport, kind: str) -> str:
    most = next(each for each in report.reasons if each.record == kind)
    why = f"{most.field} {most.reason} ({most.count:,})"
    return f"so nothing was imported; the commonest reason: {why}; all reasons are in {report.rejects}"


def _no_outcome(report: ImportReport, records: Records, readers: Mapping[str, RowReader]) -> str | None:
    outcome = records.leads.outcome if records.leads else None
    if outcome is None:
        return None
    if any(text.count for text in report.outcome_texts if text.means != "open"):
        return f"every won and lost row of leads was rejected, {_reasons(report, 'leads')}"
    wanted = ", ".join(map(repr, (*outcome.won, *outcome.lost)))
    there = column_counts(readers["leads"].table, outcome.column)
    return f"no row has a text of won or lost ({wanted}), so nothing was imported; {outcome.column} " + (
        f"holds {counted(there)}" if there else "has no rows"
    )


def _no_close(report: ImportReport, records: Records, readers: Mapping[str, RowReader]) -> str | None:
    """The sentence for a file of events that should tell of closes, and has rows, and tells of none."""
    events = records.lead_events
    if events is None or not _tells_closes(events) or not readers["lead_events"].table.rows:
        return None
    if not report.accepted.get("lead_events"):
        return f"every row of lead_events was rejected, {_reasons(report, 'lead_events')}"
    source = events.fields.get("event")
    column = source.column if source else None
    if column is None:
        return None
    there = column_counts(readers["lead_events"].table, column)
    return f"no row of lead_events is won or lost, so nothing was imported; {column} holds {counted(there)}"


def _tells_closes(events: LeadEvents) -> bool:
    """Whether the mapping of lead events names won or lost."""
    source = events.fields.get("event")
    if source is None:
        return events.event in CLOSES
    means = source.words({word: word for word in CLOSES})
    return any(text in CLOSES for text in (*means.values(), source.default, source.value))
