"""The records of partners, spend and exchange rates; they do not depend on the accounts drawn."""

from collections.abc import Mapping

import numpy as np

from features.value_types import DAY, iso_date
from training.world.chunk import RecordRows, rows
from training.world.partners import INTEGRATIONS, KINDS, PARTNERS, TIERS, Partners
from training.world.window import DAYS, SimulatedWindow

PARTNER_IDS = [f"P-{place:02d}" for place in range(1, PARTNERS + 1)]
CURRENCY = "USD"
"""The currency of spend and revenue; deals are in the customer's own."""

_NAMES = ("Northwind", "Bluefin", "Cedar", "Meridian", "Osprey", "Lantern", "Granite", "Juniper", "Harbour", "Summit")
_SUFFIX = {"integration": "Connect", "implementation": "Consulting", "agency": "Studio", "content": "Media"}
_MONTH = 30 * DAY
_COST: Mapping[str, float] = {"paid_search": 6.0, "paid_display": 2.5, "trade_show": 5.0, "social": 1.0, "webinar": 1.5}
"""US dollars a month for each account in the world."""

_RATES: Mapping[str, float] = {"EUR": 1.1, "GBP": 1.28}


def partner_name(place: int, kind: str) -> str:
    """The name of the partner at a position."""
    return f"{_NAMES[place % len(_NAMES)]} {_SUFFIX.get(kind, 'Network')} {place + 1}"


def integration_of(partners: Partners) -> list[str]:
    """The integration each partner provides, meaningful for partners of kind integration."""
    place = np.cumsum(partners.kind == KINDS.index("integration")) - 1
    return [INTEGRATIONS[number % len(INTEGRATIONS)] for number in place.tolist()]


def partner_rows(window: SimulatedWindow, partners: Partners) -> RecordRows:
    """Both versions of each partner."""
    kinds = [KINDS[kind] for kind in partners.kind.tolist()]
    for version, at in enumerate((np.full(PARTNERS, window.start), partners.changes)):
        yield from rows(
            at <= window.cut,
            recorded_at=at,
            deleted=False,
            partner_id=PARTNER_IDS,
            name=[partner_name(place, kind) for place, kind in enumerate(kinds)],
            kind=kinds,
            tier=[TIERS[level] for level in partners.tier[version].tolist()],
            certified=partners.certified[version],
        )


def agreement_rows(window: SimulatedWindow, partners: Partners) -> RecordRows:
    """The agreements: shares paid to each partner for sourced leads, and to certified ones for influenced leads."""
    for version, at in enumerate((np.full(PARTNERS, window.start), partners.changes)):
        for role, shares in (("sourced", partners.sourced[version]), ("influenced", np.full(PARTNERS, 0.03))):
            yield from rows(
                (at <= window.cut) & ((role == "sourced") | partners.certified[version]),
                agreement_id=[f"G-{partner[2:]}-{role}-{version + 1}" for partner in PARTNER_IDS],
                occurred_at=at,
                recorded_at=at,
                deleted=False,
                partner_id=PARTNER_IDS,
                role=role,
                share=shares,
            )


def spend_rows(rng: np.random.Generator, window: SimulatedWindow, accounts: int) -> RecordRows:
    """Money spent by channel and month, in proportion to the size of the world."""
    months = window.start + np.arange(1, DAYS * DAY // _MONTH + 1) * _MONTH
    for channel, cost in _COST.items():
        minor = np.round(100 * accounts * cost * rng.uniform(0.8, 1.2, len(months))).astype(np.int64)
        yield from rows(
            months <= window.cut,
            spend_id=[f"X-{channel}-{iso_date(month)}" for month in months.tolist()],
            occurred_at=months,
            recorded_at=months,
            deleted=False,
            channel=channel,
            amount_minor=minor,
            amount_currency=CURRENCY,
        )


def exchange_rate_rows(rng: np.random.Generator, window: SimulatedWindow) -> RecordRows:
    """Monthly rates against the US dollar, a random walk."""
    months = window.start + np.arange(DAYS * DAY // _MONTH + 1) * _MONTH
    for base, rate in _RATES.items():
        yield from rows(
            months <= window.cut,
            exchange_rate_id=[f"E-{base}-{iso_date(month)}" for month in months.tolist()],
            occurred_at=months,
            recorded_at=months,
            deleted=False,
            base=base,
            quote=CURRENCY,
            rate=np.round(rate * np.exp(np.cumsum(rng.normal(0, 0.015, len(months)))), 4),
        )
