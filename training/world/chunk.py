"""A chunk of the simulated world, drawn whole: accounts, their leads, and what happened to each by the cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, repeat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features.partner_history import HORIZON_DAYS
from features.values import DAY, SECOND, Scalar
from training.world.accounts import Accounts, Usage, draw_accounts, draw_usage
from training.world.hazard import (
    LOST,
    MOST_SIGNALS,
    SIGNAL,
    STEPS,
    WON,
    Flags,
    Integers,
    Reals,
    walk,
    weights,
    win_probability,
)
from training.world.leads import Leads, covariates, draw_leads
from training.world.partners import Partners
from training.world.window import DAYS, Window

CHUNK = 500
"""Accounts drawn at once. A chunk depends on the seed and its own place alone, never on how many there are."""

LANDMARKS = 26
"""The true probability is stored at creation and weekly while the lead is open, so many times at most."""

Rows: TypeAlias = Iterator[dict[str, Scalar]]
"""Rows of one kind of record, by column."""


@dataclass(frozen=True)
class History:
    """What happened to leads after their creation and by the cut; arrays of one length, a lead's events in order.

    Attributes:
        lead: position of the lead.
        age: whole days since its creation; the event falls into the day that starts then.
        event: position in `hazard.EVENTS`.
        at: microseconds, when it was recorded.
    """

    lead: Integers
    age: Integers
    event: Integers
    at: Integers

    def of(self, event: int) -> tuple[Integers, Integers]:
        """The leads and instants of one event."""
        these = self.event == event
        return self.lead[these], self.at[these]


@dataclass(frozen=True)
class Truth:
    """True probabilities of leads at landmarks; arrays of one length."""

    lead: Integers
    as_of: Integers
    probability: Reals


@dataclass(frozen=True)
class Chunk:
    """Everything about one chunk that its facts are written from.

    Attributes:
        weights: of each lead's events (`hazard.weights`).
        closed: when each lead was won or lost; after the cut where it is open.
        kept: whether each account is wanted; the last chunk of a world may be wanted in part.
    """

    window: Window
    partners: Partners
    accounts: Accounts
    usage: Usage
    leads: Leads
    weights: Reals
    history: History
    closed: Integers
    kept: Flags

    @cached_property
    def account_ids(self) -> list[str]:
        """The id of each account, its number in it."""
        return [f"A-{number:06d}" for number in self.accounts.number.tolist()]

    @cached_property
    def lead_ids(self) -> list[str]:
        """The id of each lead: its account's number and its ordinal there."""
        places = zip(self.leads.account.tolist(), self.leads.ordinal.tolist(), strict=True)
        return [f"L{self.account_ids[account][1:]}-{ordinal}" for account, ordinal in places]

    @cached_property
    def kept_leads(self) -> Flags:
        """Whether each lead is wanted."""
        return self.kept[self.leads.account]


def draw_chunk(rng: np.random.Generator, window: Window, partners: Partners, first: int, last: int) -> Chunk:
    """`CHUNK` accounts numbered from `first`, of which those up to `last` are kept."""
    accounts = draw_accounts(rng, window, partners, np.arange(first, first + CHUNK))
    usage = draw_usage(rng, window, accounts)
    leads = draw_leads(rng, window, partners, accounts)
    weighed = weights(covariates(leads, window, partners, accounts, usage))
    history = _history(rng, window, leads, weighed)
    closed = np.full(len(leads.account), window.cut + DAY)
    for event in (WON, LOST):
        lead, at = history.of(event)
        closed[lead] = at
    return Chunk(window, partners, accounts, usage, leads, weighed, history, closed, accounts.number <= last)


def _history(rng: np.random.Generator, window: Window, leads: Leads, weighed: Reals) -> History:
    """A walk with each event at an instant of its day, after the day's start; what the cut hides is left out."""
    steps = walk(weighed, leads.start(), DAYS, rng)
    at = leads.created[steps.lead] + steps.age * DAY + rng.integers(1, DAY // SECOND + 1, len(steps.lead)) * SECOND
    seen = at <= window.cut
    return History(steps.lead[seen], steps.age[seen], steps.event[seen], at[seen])


def signals(chunk: Chunk) -> tuple[Integers, Integers, Integers]:
    """The leads and instants of buying signals after creation, and which of the lead's signals each is, from 1."""
    lead, at = chunk.history.of(SIGNAL)
    order = np.argsort(lead, kind="stable")
    lead, at = lead[order], at[order]
    place = np.arange(len(lead)) - np.searchsorted(lead, lead)
    return lead, at, place + 1 + chunk.leads.start()[lead] % (MOST_SIGNALS + 1)


def truth(chunk: Chunk) -> Truth:
    """P(won within the horizon | facts recorded by as_of) at each landmark at which a wanted lead is open."""
    as_of = chunk.leads.created[:, None] + np.arange(LANDMARKS) * 7 * DAY
    is_open = (as_of <= chunk.window.cut) & (as_of < chunk.closed[:, None]) & chunk.kept_leads[:, None]
    lead, week = np.nonzero(is_open)
    values = win_probability(chunk.weights[lead], 7 * week, HORIZON_DAYS)
    states = _states(chunk.leads.start(), chunk.history)[lead, week]
    return Truth(lead, as_of[lead, week], values[np.arange(len(lead)), states])


def _states(start: Integers, history: History) -> Integers:
    """The state of each lead at each landmark, shape (leads, LANDMARKS)."""
    steps = np.zeros((len(start), LANDMARKS), np.int64)
    first_landmark = history.age // 7 + 1
    early = first_landmark < LANDMARKS
    np.add.at(steps, (history.lead[early], first_landmark[early]), STEPS[history.event[early]])
    found: Integers = start[:, None] + steps.cumsum(axis=1)
    return found


def rows(wanted: Flags, **columns: Any) -> Rows:
    """The wanted rows of columns: arrays and lists hold a value a row, anything else is the same in all rows."""
    values = (_values(column, len(wanted)) for column in columns.values())
    return (dict(zip(columns, row, strict=True)) for row in compress(zip(*values, strict=True), wanted.tolist()))


def _values(column: Any, count: int) -> Iterable[Scalar]:
    if isinstance(column, np.ndarray):
        column = column.tolist()
    return column if isinstance(column, list) else repeat(column, count)


def where(known: Flags, values: npt.NDArray[Any]) -> list[Scalar]:
    """A column of `values` where known, and None elsewhere."""
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]
