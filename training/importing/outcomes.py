"""The outcome in the row of a lead: won, lost or open, with the time of the close and the amount of the deal."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from features.records import KINDS, Problem, Stored, parse
from training.importing.blocks import Amount, Outcome
from training.importing.cell_readers import CellReader, read_cells, time_reader
from training.importing.dialect import Dialect
from training.importing.fields import money
from training.importing.tables import Cells, Table

_EVENTS = KINDS["lead_events"]


@dataclass(frozen=True)
class OutcomeText:
    """A text of the outcome's column.

    Attributes:
        text: as the export writes it; of a text that never occurs, as the mapping does.
        means: won, lost or open.
        count: its number of rows.
    """

    text: str
    means: str
    count: int


@dataclass(frozen=True, kw_only=True)
class OutcomeReader:
    """Reads the outcome from the row of a lead.

    Attributes:
        position: of the outcome in a row.
        outcome: the meaning of its texts; with any other text the lead is still open.
        closed_at: reads the time of the close, where the export has it.
        fallback: reads another time where that of the close is missing.
        amount: reads the amount of the deal, where the export has it.
    """

    position: int
    outcome: Outcome
    closed_at: CellReader | None
    fallback: CellReader | None
    amount: CellReader | None

    def read(
        self, lead_id: str, created: int | None, cells: Cells, problems: list[Problem], dropped: list[Problem]
    ) -> tuple[Stored, ...]:
        """The close of a lead as a lead event, or the amount of an open one; empty where the row has neither."""
        event = self.event(cells)
        amount = read_cells([self.amount], cells, dropped) if self.amount else {}
        if event is not None:
            return (_event(f"outcome:{lead_id}", lead_id, event, self._closed(cells, problems, dropped), amount),)
        return (_event(f"amount:{lead_id}", lead_id, "opened", created, amount),) if amount else ()

    def event(self, cells: Cells) -> str | None:
        """Won or lost; None while the lead is open."""
        return self._events.get(self.outcome.compared(cells[self.position]))

    def texts(self, rows: Iterable[Cells]) -> tuple[OutcomeText, ...]:
        """Each text of the column with its meaning and its number of rows, then the mapped texts that never occur."""
        counts = Counter(cells[self.position] for cells in rows)
        found = [OutcomeText(text, self._means(text), count) for text, count in counts.most_common()]
        seen = {self.outcome.compared(text) for text in counts}
        absent = [text for text in (*self.outcome.won, *self.outcome.lost) if self.outcome.compared(text) not in seen]
        return (*found, *(OutcomeText(text, self._means(text), 0) for text in absent))

    @cached_property
    def _events(self) -> Mapping[str, str]:
        return self.outcome.events()

    def _means(self, text: str) -> str:
        return self._events.get(self.outcome.compared(text), "open")

    def _closed(self, cells: Cells, problems: list[Problem], dropped: list[Problem]) -> Any:
        """The time of the close. Where there is a fallback, an unreadable time is a dropped field and no lost row."""
        own = read_cells([self.closed_at] if self.closed_at else [], cells, dropped if self.fallback else problems)
        found = own or read_cells([self.fallback] if self.fallback else [], cells, problems)
        return found.get("closed_at")


def _event(identity: str, lead_id: str, event: str, at: int | None, amount: Mapping[str, Any]) -> Stored:
    return Stored(_EVENTS, identity, parse(_EVENTS, {"event": event, "occurred_at": at, **amount}), lead_id)


def outcome_reader(outcome: Outcome, table: Table, dialect: Dialect) -> OutcomeReader:
    """The reader of an outcome.

    Raises:
        InvalidFile: the table lacks a column the mapping names.
    """
    closed, fallback, amount = outcome.closed_at, outcome.closed_at_fallback, outcome.amount
    read = _amount(amount, dialect) if amount else None
    return OutcomeReader(
        position=table.position(outcome.column),
        outcome=outcome,
        closed_at=time_reader("closed_at", closed, table, dialect, optional=fallback is not None) if closed else None,
        fallback=time_reader("closed_at", fallback, table, dialect) if fallback else None,
        amount=CellReader("amount", table.position(amount.column), read) if amount and read else None,
    )


def _amount(amount: Amount, dialect: Dialect) -> Callable[[str], Any]:
    return lambda cell: None if cell in dialect.missing else money(cell, amount.currency, dialect.numbers)
