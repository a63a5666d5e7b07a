"""The partners of the simulated world: the same few dozen for any number of accounts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.value_types import DAY
from models.arrays import Booleans, Integers, Reals
from training.world.window import SimulatedWindow

PARTNERS = 60
TIERS = ("none", "bronze", "silver", "gold")
"""Tiers by level; level 0 stands for the absence of a partner."""

INTEGRATIONS = ("slack", "salesforce", "hubspot", "shopify", "jira", "snowflake", "zendesk", "netsuite")
CHANNELS_BY_KIND: Mapping[str, Mapping[str, float]] = {
    "integration": {"integration_marketplace": 0.7, "partner_referral": 0.2, "case_study": 0.1},
    "implementation": {"partner_referral": 0.7, "case_study": 0.15, "webinar": 0.1, "demo_request": 0.05},
    "agency": {"co_created_content": 0.4, "webinar": 0.3, "partner_referral": 0.25, "email": 0.05},
    "content": {"backlink": 0.55, "co_created_content": 0.4, "social": 0.05},
    "affiliate": {"backlink": 0.85, "partner_referral": 0.15},
}
"""The channels through which each kind of partner brings leads, with their shares."""

KINDS = tuple(CHANNELS_BY_KIND)
_KIND_SHARES = (0.2, 0.3, 0.2, 0.15, 0.15)
_CERTIFIED = np.array(
    [[0, 0.3, 0.6, 0.9], [0, 0.3, 0.6, 0.9], [0, 0.2, 0.4, 0.6], [0, 0.1, 0.2, 0.3], [0, 0.0, 0.1, 0.2]]
)
"""The share of certified partners of each kind, by tier."""


@dataclass(frozen=True, kw_only=True)
class Partners:
    """All partners; arrays of one length, of which some change once.

    Attributes:
        kind: position in `KINDS`.
        share: of all partner leads.
        changes: when the second version is recorded; after the cut where there is none.
        tier: level of the first and the second version, shape (2, partners).
        certified: in the first and the second version, likewise.
        sourced: share of revenue paid for a sourced lead, before and from the change on, likewise.
    """

    kind: Integers
    share: Reals
    changes: Integers
    tier: Integers
    certified: Booleans
    sourced: Reals

    def tier_at(self, partner: Integers, instant: Integers) -> Integers:
        """The level of partners as recorded by an instant; 0 for no partner (a negative position)."""
        return np.where(partner < 0, 0, self.tier[self._version(partner, instant), partner])

    def certified_at(self, partner: Integers, instant: Integers) -> Booleans:
        """Whether partners are certified as recorded by an instant; False for no partner."""
        return (partner >= 0) & self.certified[self._version(partner, instant), partner]

    def sourced_at(self, partner: Integers, instant: Integers) -> Reals:
        """Share of revenue paid to partners for a lead they sourced, won at an instant."""
        return self.sourced[self._version(partner, instant), partner]

    def _version(self, partner: Integers, instant: Integers) -> Integers:
        return (instant >= self.changes[partner]).astype(np.int64)


def draw_partners(rng: np.random.Generator, window: SimulatedWindow) -> Partners:
    """Partners with a few big ones; a third rise a tier, or become certified, during the two years."""
    kind = np.concatenate([np.arange(len(KINDS)), rng.choice(len(KINDS), PARTNERS - len(KINDS), p=_KIND_SHARES)])
    share = 1 / np.arange(3, 3 + PARTNERS)
    first = rng.choice([1, 2, 3], PARTNERS, p=[0.45, 0.35, 0.2])
    certified = rng.random(PARTNERS) < _CERTIFIED[kind, first]
    changing = rng.random(PARTNERS) < 1 / 3
    when = window.start + rng.integers(60 * DAY, window.cut - window.start - DAY, PARTNERS)
    sourced = rng.integers(8, 19, PARTNERS)
    second = np.where(changing, np.minimum(first + 1, 3), first)
    return Partners(
        kind=kind,
        share=share / share.sum(),
        changes=np.where(changing, when, window.cut + DAY),
        tier=np.stack([first, second]),
        certified=np.stack([certified, certified | (changing & (rng.random(PARTNERS) < 0.5))]),
        sourced=np.stack([sourced, sourced + changing * 2]) / 100,
    )
