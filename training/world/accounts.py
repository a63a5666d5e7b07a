"""The accounts of the simulated world, their use of integrations, and the partners that share them."""

from dataclasses import dataclass, replace

import numpy as np

from features.value_types import DAY, SECOND
from models.arrays import Booleans, Integers, Reals
from training.world.partners import KINDS, PARTNERS, Partners
from training.world.window import DAYS, SimulatedWindow

INDUSTRIES = (
    *("software", "fintech", "e-commerce", "healthcare"),
    *("manufacturing", "professional services", "logistics", "education"),
    *("agriculture", "hospitality", "construction", "public sector"),
)
ICP_INDUSTRIES = 8
"""The number of industries, first in `INDUSTRIES`, that belong to the ideal customer profile."""

UNKNOWN_INDUSTRY = len(INDUSTRIES)
"""The code of an industry that is not recorded."""

COUNTRIES = (
    *(("DE", "EMEA"), ("GB", "EMEA"), ("FR", "EMEA"), ("NL", "EMEA"), ("SE", "EMEA"), ("ES", "EMEA"), ("ZA", "EMEA")),
    *(("US", "AMER"), ("US", "AMER"), ("US", "AMER"), ("CA", "AMER"), ("BR", "AMER"), ("MX", "AMER")),
    *(("AU", "APAC"), ("JP", "APAC"), ("IN", "APAC"), ("SG", "APAC")),
)
RELATIONSHIPS = ("customer", "opportunity", "prospect")
WARM_UP = 30 * DAY
"""No lead is created in the first days, so that every lead's last 30 days of integration use are on record."""

_GROWTH = 1.6
_OVERLAPS = 3


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """A chunk of accounts; arrays of one length, of which `employees` may change once.

    Attributes:
        number: of the account in the world, from 1.
        recorded: when its first version is recorded, before anything else of it.
        changes: when the second version is recorded; after the cut where there is none.
        employees: of the first and the second version, NaN where unknown, shape (2, accounts).
        industry: position in `INDUSTRIES`; `UNKNOWN_INDUSTRY` where it is not recorded.
        country: position in `COUNTRIES`.
        competitor: whether it competes with us.
        revenue: annual, US dollars.
        revenue_known: whether the first version says so; any does after a win.
        leads: creation of each lead in order, shape (accounts, most leads); the cut where there is none.
        uses: whether it ever uses an integration.
        provider: position of the integration's partner.
        overlaps: positions of partners that have the account, shape (accounts, 3); -1 where there is none.
        relationship: position in `RELATIONSHIPS` of each overlap.
        since: when each overlap began, a UTC midnight.
        confidence: of each overlap.
    """

    number: Integers
    recorded: Integers
    changes: Integers
    employees: Reals
    industry: Integers
    country: Integers
    competitor: Booleans
    revenue: Reals
    revenue_known: Booleans
    leads: Integers
    uses: Booleans
    provider: Integers
    overlaps: Integers
    relationship: Integers
    since: Integers
    confidence: Reals

    def employees_at(self, account: Integers, instant: Integers) -> Reals:
        """Employees of accounts as recorded by an instant."""
        return self.employees[(instant >= self.changes[account]).astype(np.int64), account]


@dataclass(frozen=True)
class Usage:
    """Daily use of integrations by a chunk of accounts; shapes (accounts, days of the window).

    Attributes:
        active: whether the account used its integration that day.
        recorded: when that was recorded, at the day's end or, late, hours after it.
        intensity: of each account, the share of its days on which it does.
    """

    active: Booleans
    recorded: Integers
    intensity: Reals

    def active_days(self, account: Integers, instant: Integers, window: SimulatedWindow) -> Integers:
        """Active days among the 30 days before an instant, as recorded by then."""
        ends = window.start + np.arange(1, DAYS + 1) * DAY
        recent = (ends <= instant[:, None]) & (ends > instant[:, None] - 30 * DAY)
        known = self.active[account] & (self.recorded[account] <= instant[:, None])
        days: Integers = (recent & known).sum(axis=1)
        return days


def draw_accounts(rng: np.random.Generator, window: SimulatedWindow, partners: Partners, number: Integers) -> Accounts:
    """Accounts with these numbers: companies of all sizes, three in ten users of an integration."""
    n = len(number)
    employees = np.round(np.exp(rng.normal(np.log(260), 1.5, n))).clip(1, 200_000)
    changes = rng.random(n) < 0.25
    leads = _lead_times(rng, window, n)
    before_leads = leads[:, 0] - window.start - WARM_UP / 2
    recorded = window.start + (before_leads * rng.random(n) ** 2).astype(np.int64) // SECOND * SECOND
    providers = np.flatnonzero(partners.kind == KINDS.index("integration"))
    present = rng.random((n, _OVERLAPS)) < np.array([0.4, 0.35, 0.3])
    return Accounts(
        number=number,
        recorded=recorded,
        changes=np.where(changes, _between(rng, recorded + DAY, np.full(n, window.cut)), window.cut + DAY),
        employees=_two_sizes(rng, employees, changes),
        industry=np.where(
            rng.random(n) < 0.78, rng.integers(0, 8, n), rng.integers(ICP_INDUSTRIES, len(INDUSTRIES), n)
        ),
        country=rng.integers(0, len(COUNTRIES), n),
        competitor=rng.random(n) < 0.012,
        revenue=np.round(employees * np.exp(rng.normal(np.log(120_000), 0.5, n)), -3),
        revenue_known=rng.random(n) < 0.6,
        leads=leads,
        uses=rng.random(n) < np.where(leads[:, 0] < window.cut, 0.35, 0.2),
        provider=rng.choice(providers, n),
        overlaps=np.where(present, _distinct_partners(rng, partners, n), -1),
        relationship=rng.choice(len(RELATIONSHIPS), (n, _OVERLAPS), p=[0.6, 0.15, 0.25]),
        since=(recorded[:, None] // DAY - rng.integers(1, 900, (n, _OVERLAPS))).clip(0) * DAY,
        confidence=rng.integers(50, 101, (n, _OVERLAPS)) / 100,
    )


def _lead_times(rng: np.random.Generator, window: SimulatedWindow, n: int) -> Integers:
    """Up to three leads an account, 0.74 on average, at times that grow denser by `_GROWTH` over the window."""
    count = rng.choice(4, n, p=[0.5, 0.31, 0.14, 0.05])
    first = window.start + WARM_UP
    share = (np.sqrt(1 + (_GROWTH**2 - 1) * rng.random((n, 3))) - 1) / (_GROWTH - 1)
    times = first + (share * (window.cut - first)).astype(np.int64) // SECOND * SECOND
    return np.sort(np.where(np.arange(3) < count[:, None], times, window.cut), axis=1)


def _two_sizes(rng: np.random.Generator, employees: Reals, changes: Booleans) -> Reals:
    """Employees before and after a change: some are unknown at first, the others grow or shrink a little."""
    n = len(employees)
    first = np.where(rng.random(n) < 0.08, np.nan, employees)
    second = np.where(np.isnan(first), employees, np.round(employees * np.exp(rng.normal(0.05, 0.1, n))).clip(1))
    return np.stack([first, np.where(changes, second, first)])


def _distinct_partners(rng: np.random.Generator, partners: Partners, n: int) -> Integers:
    """Three different partners for each account, big partners more often (the Gumbel trick)."""
    return np.argsort(-(np.log(partners.share) + rng.gumbel(size=(n, PARTNERS))), axis=1)[:, :_OVERLAPS]


def _between(rng: np.random.Generator, low: Integers, high: Integers) -> Integers:
    return low + ((high - low) * rng.random(len(low))).astype(np.int64) // SECOND * SECOND


def obscured(rng: np.random.Generator, accounts: Accounts, share: float) -> Accounts:
    """The accounts with size, industry and revenue each missing for a share of them; 0 draws no random number."""
    if share == 0:
        return accounts
    size, industry, revenue = rng.random((3, len(accounts.number))) < share
    return replace(
        accounts,
        employees=np.where(size, np.nan, accounts.employees),
        industry=np.where(industry, UNKNOWN_INDUSTRY, accounts.industry),
        revenue_known=accounts.revenue_known & ~revenue,
    )


def draw_usage(rng: np.random.Generator, window: SimulatedWindow, accounts: Accounts, wait: Integers) -> Usage:
    """Use of integrations: a day a week or most days, from the start or a later day, some only for a while.

    Args:
        rng: the chunk's.
        window: of the world.
        accounts: whose use.
        wait: days for which each day's use waits to be recorded, shape (accounts, days of the window).
    """
    n = len(accounts.number)
    intensity = np.where(rng.random(n) < 0.45, rng.uniform(0.04, 0.18, n), rng.uniform(0.5, 0.95, n)) * accounts.uses
    known = (accounts.recorded - window.start) // DAY + 1
    first = np.maximum(known, np.where(rng.random(n) < 0.5, 0, rng.integers(0, DAYS, n)))
    last = np.where(rng.random(n) < 0.7, DAYS, first + rng.integers(60, DAYS, n))
    day = np.arange(DAYS)
    lasting = (day >= first[:, None]) & (day < last[:, None])
    ends = window.start + (day + 1) * DAY
    late = (rng.random((n, DAYS)) < 0.01) * rng.integers(1, 72, (n, DAYS)) * 3600 * SECOND + wait * DAY
    active = lasting & (rng.random((n, DAYS)) < intensity[:, None])
    return Usage(active & (ends + late <= window.cut), ends + late, intensity)
