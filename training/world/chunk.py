"""A chunk of the simulated world, drawn whole: accounts, their leads, and what happened to each by the cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, repeat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features.values import DAY, SECOND, Scalar
from models.arrays import Booleans, Integers, Reals
from training.world.accounts import Accounts, Usage, draw_accounts, draw_usage, obscured
from training.world.hazard import LOST, MAX_SIGNALS, SIGNAL, WON, Covariates, Pace, walk, weights
from training.world.hidden import Frailty, waits
from training.world.leads import SimulatedLeads, covariates, draw_leads, occasions, partner_chance
from training.world.partners import Partners
from training.world.switches import Switches
from training.world.window import DAYS, SimulatedWindow

CHUNK = 500
"""Accounts drawn at once. A chunk depends on the seed and its own place alone, never on how many there are."""

_YEAR = 365.25 * DAY
_PARTNERS_PART = 0.8
"""What all leads' log weight of winning gains where partner signals do nothing, so that about as many are won."""

RecordRows: TypeAlias = Iterator[dict[str, Scalar]]
"""RecordRows of one kind of record, by column."""


@dataclass(frozen=True)
class Setting:
    """What all chunks of a world have in common."""

    window: SimulatedWindow
    switches: Switches
    partners: Partners

    @cached_property
    def frailty(self) -> Frailty:
        """The values of the hidden factor."""
        return Frailty.of(self.switches.frailty)

    def pace(self, created: Integers, level: Reals | float) -> Pace:
        """The pace of leads created at these instants, with these hidden log factors, as the world drifts."""
        middle = (self.window.start + self.window.cut) / 2
        drifted = np.asarray(self.switches.drift * (middle - created) / _YEAR, np.float64)
        made_up = (1 - self.switches.effect) * _PARTNERS_PART
        return Pace(drifted + level + made_up, -self.switches.drift * DAY / _YEAR)


@dataclass(frozen=True)
class Streams:
    """The random numbers of a chunk.

    Attributes:
        plain: for all that the plain world has.
        extra: for what switches add, so that they leave the rest as it is as far as they can.
    """

    plain: np.random.Generator
    extra: np.random.Generator


@dataclass(frozen=True)
class SimulatedHistory:
    """What happened to leads after their creation and is recorded by the cut; arrays of one length.

    Attributes:
        lead: position of the lead.
        age: whole days since its creation; the event falls into the day that starts then.
        event: position in `hazard.EVENTS`.
        at: microseconds, when it was recorded, which is when facts take effect.
        happened: microseconds, when a win or loss happened; of facts it is `at` here.
    """

    lead: Integers
    age: Integers
    event: Integers
    at: Integers
    happened: Integers

    def of(self, event: int) -> tuple[Integers, Integers]:
        """The leads of one event, and when it was recorded."""
        these = self.event == event
        return self.lead[these], self.at[these]

    def times(self, event: int) -> tuple[Integers, Integers]:
        """When each event of a kind happened, and when it was recorded."""
        these = self.event == event
        return self.happened[these], self.at[these]


@dataclass(frozen=True)
class Chunk:
    """Everything about one chunk that its facts and its truth are written from.

    Attributes:
        setting: of the world.
        accounts: all of the chunk's.
        usage: theirs.
        leads: theirs.
        covariates: of each lead, as recorded by its creation.
        weights: of each lead's events (`hazard.weights`).
        frail: class of frailty of each lead, a position in the setting's `frailty.values`.
        prior: weight of each class by what is recorded at creation, shape (leads, classes).
        history: of the leads.
        kept: whether each account is wanted; the last chunk of a world may be wanted in part.
    """

    setting: Setting
    accounts: Accounts
    usage: Usage
    leads: SimulatedLeads
    covariates: Covariates
    weights: Reals
    frail: Integers
    prior: Reals
    history: SimulatedHistory
    kept: Booleans

    @property
    def window(self) -> SimulatedWindow:
        """The world's two years."""
        return self.setting.window

    @property
    def partners(self) -> Partners:
        """The world's partners."""
        return self.setting.partners

    @cached_property
    def closed(self) -> Integers:
        """When each lead was recorded as won or lost; after the cut where it is open."""
        found = np.full(len(self.leads.account), self.window.cut + DAY)
        for event in (WON, LOST):
            lead, at = self.history.of(event)
            found[lead] = at
        return found

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
    def kept_leads(self) -> Booleans:
        """Whether each lead is wanted."""
        return self.kept[self.leads.account]


def draw_chunk(streams: Streams, setting: Setting, first: int, last: int) -> Chunk:
    """`CHUNK` accounts numbered from `first`, of which those up to `last` are kept."""
    window, switches, partners, rng = setting.window, setting.switches, setting.partners, streams.plain
    number = np.arange(first, first + CHUNK)
    accounts = obscured(streams.extra, draw_accounts(rng, window, partners, number), switches.missing)
    usage = draw_usage(rng, window, accounts, waits(streams.extra, switches.late_days, (CHUNK, DAYS)))
    found = occasions(window, accounts)
    frail = setting.frailty.draw(streams.extra, len(found.account))
    chances = partner_chance(switches.selection, found.merit[:, None] + setting.frailty.values)
    leads = draw_leads(rng, partners, accounts, found, chances[np.arange(len(frail)), frail])
    known = covariates(leads, window, partners, accounts, usage)
    weighed = weights(known, switches.effect)
    prior = setting.frailty.shares * np.where(leads.partner[:, None] >= 0, chances, 1 - chances)
    history = _history(streams, setting, leads, weighed, setting.frailty.values[frail])
    return Chunk(setting, accounts, usage, leads, known, weighed, frail, prior, history, number <= last)


def _history(
    streams: Streams, setting: Setting, leads: SimulatedLeads, weighed: Reals, frailty: Reals
) -> SimulatedHistory:
    """A walk with each event at an instant of its day, after the day's start; what the cut hides is left out."""
    steps = walk(weighed, leads.start(), DAYS, streams.plain, setting.pace(leads.created, frailty))
    n, day = len(steps.lead), leads.created[steps.lead] + steps.age * DAY
    happened = day + streams.plain.integers(1, DAY // SECOND + 1, n) * SECOND
    closes = steps.event <= LOST
    at = happened + closes * waits(streams.extra, setting.switches.late_days, n) * DAY
    seen = at <= setting.window.cut
    return SimulatedHistory(steps.lead[seen], steps.age[seen], steps.event[seen], at[seen], happened[seen])


def signals(chunk: Chunk) -> tuple[Integers, Integers, Integers]:
    """The leads and instants of buying signals after creation, and which of the lead's signals each is, from 1."""
    lead, at = chunk.history.of(SIGNAL)
    order = np.argsort(lead, kind="stable")
    lead, at = lead[order], at[order]
    place = np.arange(len(lead)) - np.searchsorted(lead, lead)
    return lead, at, place + 1 + chunk.leads.start()[lead] % (MAX_SIGNALS + 1)


def rows(wanted: Booleans, **columns: Any) -> RecordRows:
    """The wanted rows of columns: arrays and lists hold a value a row, anything else is the same in all rows."""
    values = (_values(column, len(wanted)) for column in columns.values())
    return (dict(zip(columns, row, strict=True)) for row in compress(zip(*values, strict=True), wanted.tolist()))


def _values(column: Any, count: int) -> Iterable[Scalar]:
    if isinstance(column, np.ndarray):
        column = column.tolist()
    return column if isinstance(column, list) else repeat(column, count)


def where(known: Booleans, values: npt.NDArray[Any]) -> list[Scalar]:
    """A column of `values` where known, and None elsewhere."""
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]
