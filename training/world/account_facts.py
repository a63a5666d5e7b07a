"""The records of accounts: their versions, their use of integrations, the partners that share them."""

from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from features.value_types import DAY
from models.arrays import Booleans, Integers
from training.world.accounts import COUNTRIES, INDUSTRIES, RELATIONSHIPS
from training.world.chunk import Chunk, RecordRows, rows, where
from training.world.hazard import WON
from training.world.partner_facts import CURRENCY, PARTNER_IDS, integration_of

TECHNOLOGIES = ("salesforce", "hubspot", "slack", "shopify", "snowflake", "jira", "aws", "azure")
_STEMS = ("Alder", "Brook", "Cobalt", "Delta", "Ember", "Falcon", "Grove", "Helio", "Indigo", "Kestrel", "Lumen")
_TRADES = ("Works", "Systems", "Labs", "Group", "Partners", "Supply", "Health", "Logic")
_CORRECTED = 0.004
_INDUSTRIES = (*INDUSTRIES, None)


def domains(chunk: Chunk) -> list[str]:
    """The made-up domain of each account."""
    return [f"{_stem(n)}-{_trade(n)}-{n}.example".lower() for n in chunk.accounts.number.tolist()]


def _stem(number: int) -> str:
    return _STEMS[number % len(_STEMS)]


def _trade(number: int) -> str:
    return _TRADES[number % len(_TRADES)]


def account_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """The versions of each account: first seen, changed, and after its first win, when its revenue is known."""
    accounts, ids = chunk.accounts, chunk.account_ids
    names = [f"{_stem(n)} {_trade(n)} {n}" for n in accounts.number.tolist()]
    used = rng.random((len(ids), len(TECHNOLOGIES))) < 0.3
    technologies = [f"|{'|'.join(compress(TECHNOLOGIES, row))}|" for row in used.tolist()]
    won = _first_wins(chunk)
    for at in (accounts.recorded, accounts.changes, won):
        employees = accounts.employees_at(np.arange(len(ids)), at)
        revenue_known = accounts.revenue_known | (won <= at)
        yield from rows(
            chunk.kept & (at <= chunk.window.cut),
            recorded_at=at,
            deleted=False,
            account_id=ids,
            domain=domains(chunk),
            name=names,
            employees=where(~np.isnan(employees), np.nan_to_num(employees).astype(np.int64)),
            annual_revenue_minor=where(revenue_known, (accounts.revenue * 100).astype(np.int64)),
            annual_revenue_currency=[CURRENCY if known else None for known in revenue_known.tolist()],
            industry=[_INDUSTRIES[industry] for industry in accounts.industry.tolist()],
            country=[COUNTRIES[country][0] for country in accounts.country.tolist()],
            technologies=technologies,
            competitor=accounts.competitor,
        )


def _first_wins(chunk: Chunk) -> Integers:
    """The time when each account's first win was recorded; after the cut for accounts without a win."""
    first_win = np.full(len(chunk.accounts.number), chunk.window.cut + DAY)
    lead, at = chunk.history.of(WON)
    np.minimum.at(first_win, chunk.leads.account[lead], at)
    return first_win


def shared_customer_rows(chunk: Chunk) -> RecordRows:
    """The partners that share an account, known with its first version."""
    accounts, ids = chunk.accounts, chunk.account_ids
    account, place = np.nonzero(accounts.overlaps >= 0)
    return rows(
        chunk.kept[account],
        shared_customer_id=[f"O{ids[a][1:]}-{p + 1}" for a, p in zip(account.tolist(), place.tolist(), strict=True)],
        account_id=[ids[a] for a in account.tolist()],
        occurred_at=accounts.since[account, place],
        recorded_at=accounts.recorded[account],
        deleted=False,
        partner_id=[PARTNER_IDS[partner] for partner in accounts.overlaps[account, place].tolist()],
        relationship=[RELATIONSHIPS[kind] for kind in accounts.relationship[account, place].tolist()],
        since=accounts.since[account, place],
        confidence=accounts.confidence[account, place],
    )


@dataclass(frozen=True, kw_only=True)
class _Days:
    """Days of use, one a row."""

    account: Integers
    day: Integers
    recorded: Integers
    calls: Integers
    users: Integers

    def take(self, these: Booleans) -> "_Days":
        return _Days(**{name: column[these] for name, column in vars(self).items()})


def usage_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """Every day on which an account used its integration; a few days' calls are corrected two days later."""
    account, day = np.nonzero(chunk.usage.active)
    intensity = chunk.usage.intensity[account]
    days = _Days(
        account=account,
        day=day,
        recorded=chunk.usage.recorded[account, day],
        calls=1 + rng.poisson(80 * intensity),
        users=1 + rng.poisson(6 * intensity),
    )
    corrected = days.take(rng.random(len(day)) < _CORRECTED)
    corrected = replace(corrected, recorded=corrected.recorded + 2 * DAY, calls=corrected.calls + 5)
    yield from _usage_rows(chunk, days)
    yield from _usage_rows(chunk, corrected.take(corrected.recorded <= chunk.window.cut))


def _usage_rows(chunk: Chunk, days: _Days) -> RecordRows:
    ids, provider, account = chunk.account_ids, chunk.accounts.provider[days.account], days.account.tolist()
    integrations = integration_of(chunk.partners)
    midnight = chunk.window.start + days.day * DAY
    return rows(
        chunk.kept[days.account],
        usage_id=[f"U{ids[a][1:]}-{day}" for a, day in zip(account, days.day.tolist(), strict=True)],
        account_id=[ids[a] for a in account],
        occurred_at=midnight + DAY,
        recorded_at=days.recorded,
        deleted=False,
        integration=[integrations[partner] for partner in provider.tolist()],
        partner_id=[PARTNER_IDS[partner] for partner in provider.tolist()],
        day=midnight,
        calls=days.calls,
        active_users=days.users,
    )
