"""The integrity of imported records together: unique ids, existing leads and accounts, possible times."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from features.outcomes import CLOSES, OUTCOMES, outcome_order
from features.records import InvalidRecord, Lead, LeadEvent, Problem, Stored
from features.value_types import rfc3339
from training.importing.time_parsing import Clock

NOT_IMPORTED = "must be the id of an imported"
"""The beginning of the reason why a fact without its lead or account is rejected."""


@dataclass
class IntegrityCheck:
    """The records admitted so far.

    Attributes:
        clock: of the export, for its local days.
        cut: the declared data cut, None where it is the latest time.
        latest: the latest time of any admitted record.
    """

    clock: Clock
    cut: int | None
    latest: int | None = None
    _ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _created: dict[str, int | None] = field(default_factory=dict)
    _accounts: dict[str, None] = field(default_factory=dict)
    _last: dict[str, tuple[tuple[int, int], str]] = field(default_factory=dict)
    """The event that decides the state of each lead that has one, with its order among the lead's outcomes."""

    def admit(self, batch: tuple[Stored, ...]) -> tuple[Stored, ...]:
        """The records of one row, checked.

        A close dated on the day of the creation, without a time of day, gets the time of the creation.

        Raises:
            InvalidRecord: a record breaks the integrity; then no record of the row is admitted.
        """
        own = batch[0]
        if own.id in self._ids[own.kind.name]:
            raise _invalid(own, own.kind.id, "must be unique, and an earlier row has it", own.id)
        created = own.record.created_at if isinstance(own.record, Lead) else self._creation(own)
        admitted = tuple(self._timely(stored, created) for stored in batch)
        for stored in admitted:
            self._enter(stored)
        return admitted

    def outcomes(self) -> dict[str, int]:
        """The number of leads that are won, lost and open at the cut (see `features.outcomes`)."""
        closed = Counter(event for _, event in self._last.values() if event in CLOSES)
        return {"won": closed["won"], "lost": closed["lost"], "open": len(self._created) - closed.total()}

    def _creation(self, stored: Stored) -> int | None:
        """The creation of the lead that a record belongs to."""
        if stored.parent is None:
            return None
        entity, known = ("lead", self._created) if stored.kind.parent == "lead_id" else ("account", self._accounts)
        if stored.parent not in known:
            raise _invalid(stored, f"{entity}_id", f"{NOT_IMPORTED} {entity}", stored.parent)
        return known[stored.parent]

    def _timely(self, stored: Stored, created: int | None) -> Stored:
        stored = self._closed_after(stored, created)
        for name, time in (("occurred_at", stored.record.happened()), ("recorded_at", stored.record.recorded_at)):
            if time is not None and self.cut is not None and time > self.cut:
                raise _invalid(stored, name, f"must not lie after the data cut, {rfc3339(self.cut)}", rfc3339(time))
        return stored

    def _closed_after(self, stored: Stored, created: int | None) -> Stored:
        event = stored.record
        if not isinstance(event, LeadEvent) or event.event not in CLOSES:
            return stored
        closed = event.occurred_at
        if closed is None or created is None or closed >= created:
            return stored
        if not self.clock.starts_day_of(closed, created):
            raise _invalid(
                stored, "occurred_at", "is the time of a close and must not be before the creation", rfc3339(closed)
            )
        return replace(stored, record=event.model_copy(update={"occurred_at": created}))

    def _enter(self, stored: Stored) -> None:
        record = stored.record
        self._ids[stored.kind.name].add(stored.id)
        times = [t for t in (self.latest, record.happened(), record.recorded_at) if t is not None]
        self.latest = max(times, default=None)
        if isinstance(record, Lead):
            self._created[stored.id] = record.created_at
        if isinstance(record, LeadEvent) and record.event in OUTCOMES and stored.parent:
            self._enter_outcome(record, stored.parent)
        account = stored.id if stored.kind.name == "accounts" else getattr(record, "account_id", None)
        if account:
            self._accounts[account] = None

    def _enter_outcome(self, event: LeadEvent, lead_id: str) -> None:
        recorded_at = event.occurred_at if event.recorded_at is None else event.recorded_at
        order = outcome_order(event.occurred_at, recorded_at)
        last = self._last.get(lead_id)
        if last is None or order >= last[0]:
            self._last[lead_id] = (order, event.event)


def _invalid(stored: Stored, name: str, words: str, value: str) -> InvalidRecord:
    return InvalidRecord(stored.kind.name, (Problem(name, words, value),))
