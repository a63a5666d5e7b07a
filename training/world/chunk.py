"""A chunk of the simulated world, drawn whole: accounts, their leads, and the events of each lead by the cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, repeat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features.value_types import DAY, SECOND, Scalar
from models.arrays import Booleans, Integers, Reals
from training.world.accounts import Accounts, Usage, draw_accounts, draw_usage, obscured
from training.world.hazard import LOST, MAX_SIGNALS, SIGNAL, WON, Covariates, Pace, walk, weights
from training.world.hidden import Frailty, waits
from training.world.leads import SimulatedLeads, covariates, draw_leads, occasions, partner_chance
from training.world.partners import Partners
from training.world.switches import Switches
from training.world.window import DAYS, SimulatedWindow

CHUNK = 500
"""Accounts drawn at once. A chunk depends on the seed and its own number only, never on the number of chunks."""

_YEAR = 365.25 * DAY
_PARTNER_SHARE = 0.8
"""Added to the log weight of winning of all leads where partner signals have no effect: the win rate stays similar."""

RecordRows: TypeAlias = Iterator[dict[str, Scalar]]
"""Rows of one kind of record, by column."""


@dataclass(frozen=True)
class Setting:
    """The setting that all chunks of a world share."""

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
        compensation = (1 - self.switches.effect) * _PARTNER_SHARE
        return Pace(drifted + level + compensation, -self.switches.drift * DAY / _YEAR)


@dataclass(frozen=True)
class Streams:
    """The random numbers of a chunk.

    Attributes:
        plain: for everything in the plain world.
        extra: for the additions of switches, so that the rest stays the same as far as possible.
    """

    plain: np.random.Generator
    extra: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class SimulatedHistory:
    """The events of leads after their creation that are recorded by the cut; arrays of one length.

    Attributes:
        lead: position of the lead.
        age: whole days since its creation; the event falls into the day that starts then.
        event: position in `hazard.EVENTS`.
        at: microseconds, when it was recorded; facts take effect then.
        happened: microseconds, when a win or loss happened; of facts it is `at` here.
    """

    lead: Integers
    age: Integers
    event: Integers
    at: Integers
    happened: Integers

    def of(self, event: int) -> tuple[Integers, Integers]:
        """The leads with one event, and the times of its record."""
        these = self.event == event
        return self.lead[these], self.at[these]

    def times(self, event: int) -> tuple[Integers, Integers]:
        """The times of the events of a kind, and the times of their records."""
        these = self.event == event
        return self.happened[these], self.at[these]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk: the data that its records and its true probabilities are written from.

    Attributes:
        setting: of the world.
        accounts: the accounts of the chunk.
        usage: the integration usage of the accounts.
        leads: the leads of the accounts.
        covariates: of each lead, as recorded by its creation.
        weights: of each lead's events (`hazard.weights`).
        frail: class of frailty of each lead, a position in the setting's `frailty.values`.
        prior: weight of each class given the records at creation, shape (leads, classes).
        history: the events of the leads.
        kept: whether each account belongs to the world; the last chunk may be cut.
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
        closed_at = np.full(len(self.leads.account), self.window.cut + DAY)
        for event in (WON, LOST):
            lead, at = self.history.of(event)
            closed_at[lead] = at
        return closed_at

    @cached_property
    def account_ids(self) -> list[str]:
        """The id of each account, which contains its number."""
        return [f"A-{number:06d}" for number in self.accounts.number.tolist()]

    @cached_property
    def lead_ids(self) -> list[str]:
        """The id of each lead: its account's number and its ordinal there."""
        places = zip(self.leads.account.tolist(), self.leads.ordinal.tolist(), strict=True)
        return [f"L{self.account_ids[account][1:]}-{ordinal}" for account, ordinal in places]

    @cached_property
    def kept_leads(self) -> Booleans:
        """Whether each lead belongs to the world."""
        return self.kept[self.leads.account]


def draw_chunk(streams: Streams, setting: Setting, first: int, last: int) -> Chunk:
    """`CHUNK` accounts numbered from `first`, of which those up to `last` are kept."""
    window, switches, partners, rng = setting.window, setting.switches, setting.partners, streams.plain
    number = np.arange(first, first + CHUNK)
    accounts = obscured(streams.extra, draw_accounts(rng, window, partners, number), switches.missing)
    usage = draw_usage(rng, window, accounts, waits(streams.extra, switches.late_days, (CHUNK, DAYS)))
    at_occasions = occasions(window, accounts)
    frail = setting.frailty.draw(streams.extra, len(at_occasions.account))
    chances = partner_chance(switches.selection, at_occasions.merit[:, None] + setting.frailty.values)
    leads = draw_leads(rng, partners, accounts, at_occasions, chances[np.arange(len(frail)), frail])
    known = covariates(leads, window, partners, accounts, usage)
    weighed = weights(known, switches.effect)
    prior = setting.frailty.shares * np.where(leads.partner[:, None] >= 0, chances, 1 - chances)
    history = _history(streams, setting, leads, weighed, setting.frailty.values[frail])
    return Chunk(
        setting=setting,
        accounts=accounts,
        usage=usage,
        leads=leads,
        covariates=known,
        weights=weighed,
        frail=frail,
        prior=prior,
        history=history,
        kept=number <= last,
    )


def _history(
    streams: Streams, setting: Setting, leads: SimulatedLeads, weighed: Reals, frailty: Reals
) -> SimulatedHistory:
    """A walk with each event at an instant of its day, after the day's start; without events recorded after the cut."""
    steps = walk(weighed, leads.start(), DAYS, streams.plain, setting.pace(leads.created, frailty))
    n, day = len(steps.lead), leads.created[steps.lead] + steps.age * DAY
    happened = day + streams.plain.integers(1, DAY // SECOND + 1, n) * SECOND
    closes = steps.event <= LOST
    at = happened + closes * waits(streams.extra, setting.switches.late_days, n) * DAY
    seen = at <= setting.window.cut
    return SimulatedHistory(
        lead=steps.lead[seen], age=steps.age[seen], event=steps.event[seen], at=at[seen], happened=happened[seen]
    )


def signals(chunk: Chunk) -> tuple[Integers, Integers, Integers]:
    """The leads and instants of buying signals after creation, with the ordinal of each in its lead, from 1."""
    lead, at = chunk.history.of(SIGNAL)
    order = np.argsort(lead, kind="stable")
    lead, at = lead[order], at[order]
    place = np.arange(len(lead)) - np.searchsorted(lead, lead)
    return lead, at, place + 1 + chunk.leads.start()[lead] % (MAX_SIGNALS + 1)


def rows(wanted: Booleans, **columns: Any) -> RecordRows:
    """The wanted rows of columns: arrays and lists hold one value a row, other values are the same in all rows."""
    values = (_values(column, len(wanted)) for column in columns.values())
    return (dict(zip(columns, row, strict=True)) for row in compress(zip(*values, strict=True), wanted.tolist()))


def _values(column: Any, count: int) -> Iterable[Scalar]:
    if isinstance(column, np.ndarray):
        column = column.tolist()
    return column if isinstance(column, list) else repeat(column, count)


def where(known: Booleans, values: npt.NDArray[Any]) -> list[Scalar]:
    """A column of `values` where known, and None elsewhere."""
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]
