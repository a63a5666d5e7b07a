"""The leads of the simulated world at their creation, and their covariates then."""

from dataclasses import dataclass

import numpy as np

from features.records import OWN_CHANNELS
from models.arrays import Booleans, Integers, Reals
from training.world.accounts import ICP_INDUSTRIES, RELATIONSHIPS, Accounts, Usage
from training.world.hazard import CHANNELS, Covariates, merit, state
from training.world.partners import CHANNELS_BY_KIND, KINDS, PARTNERS, Partners
from training.world.window import SimulatedWindow

PARTNER_LEADS = 0.4
_USUAL_MERIT = 0.1
"""The usual `hazard.merit`, so that selection leaves the share of partner leads near `PARTNER_LEADS`."""

_OWN_SHARES = (0.2, 0.16, 0.07, 0.2, 0.13, 0.08, 0.06, 0.07, 0.03)
_MARKETPLACE = CHANNELS.index("integration_marketplace")
_REFERRAL = CHANNELS.index("partner_referral")
_DEMO = CHANNELS.index("demo_request")
_BY_KIND = np.array([[CHANNELS_BY_KIND[kind].get(channel, 0.0) for channel in CHANNELS] for kind in KINDS])


@dataclass(frozen=True, kw_only=True)
class SimulatedLeads:
    """The leads of a chunk of accounts; arrays of one length, an account's leads in order of creation.

    Attributes:
        account: position of the account in its chunk.
        ordinal: of the lead among its account's, from 1.
        created: microseconds.
        channel: position in `hazard.CHANNELS`.
        partner: position of the source partner; -1 where there is none.
        referred: whether a referral is recorded with it.
        confirmed: whether the partner confirms it as it refers it.
        free_mail: whether its e-mail address is a free one.
        opted_out: whether it opted out.
        duplicate: whether it is a duplicate of its account's previous lead.
    """

    account: Integers
    ordinal: Integers
    created: Integers
    channel: Integers
    partner: Integers
    referred: Booleans
    confirmed: Booleans
    free_mail: Booleans
    opted_out: Booleans
    duplicate: Booleans

    def start(self) -> Integers:
        """The state at creation: a demo request is a buying signal."""
        return state(self.channel == _DEMO, self.confirmed, np.zeros(len(self.account)))


@dataclass(frozen=True)
class Occasions:
    """The occasions on which accounts become leads; arrays of one length, an account's in order.

    Attributes:
        account: position of the account in its chunk.
        place: which of the account's it is, from 0.
        created: microseconds.
        merit: what is recorded by then that speaks for the lead without a partner (`hazard.merit`).
    """

    account: Integers
    place: Integers
    created: Integers
    merit: Reals


def occasions(window: SimulatedWindow, accounts: Accounts) -> Occasions:
    """The leads created at `accounts.leads`, before they have a channel or a partner."""
    account, place = np.nonzero(accounts.leads < window.cut)
    created = accounts.leads[account, place]
    industry, competitor = accounts.industry[account] < ICP_INDUSTRIES, accounts.competitor[account]
    known = accounts.employees_at(account, created)
    return Occasions(account, place, created, merit(known, industry, competitor))


def partner_chance(selection: float, merit: Reals) -> Reals:
    """The probability that a partner brings a lead, given its log weight without a partner (`merit` and frailty)."""
    odds: Reals = PARTNER_LEADS / (1 - PARTNER_LEADS) * np.exp(selection * (merit - _USUAL_MERIT))
    return np.where(selection == 0, PARTNER_LEADS, odds / (1 + odds))


def draw_leads(
    rng: np.random.Generator, partners: Partners, accounts: Accounts, at_occasions: Occasions, chance: Reals
) -> SimulatedLeads:
    """Draw the leads; users of an integration come through its partner more often.

    Args:
        rng: the chunk's.
        partners: of the world.
        accounts: of the chunk.
        at_occasions: the times and accounts of the leads.
        chance: of each, that a partner brings it.
    """
    account, place, n = at_occasions.account, at_occasions.place, len(at_occasions.account)
    sourced = rng.random(n) < chance
    through_integration = sourced & accounts.uses[account] & (rng.random(n) < 0.45)
    partner = np.where(through_integration, accounts.provider[account], rng.choice(PARTNERS, n, p=partners.share))
    by_partner = _pick(rng, _BY_KIND[partners.kind[partner]])
    own = len(CHANNELS) - len(OWN_CHANNELS) + rng.choice(len(OWN_CHANNELS), n, p=_OWN_SHARES)
    channel = np.where(through_integration, _MARKETPLACE, np.where(sourced, by_partner, own))
    referred = sourced & ((channel == _REFERRAL) | (rng.random(n) < 0.12))
    return SimulatedLeads(
        account=account,
        ordinal=place + 1,
        created=at_occasions.created,
        channel=channel,
        partner=np.where(sourced, partner, -1),
        referred=referred,
        confirmed=sourced & (rng.random(n) < np.where(referred, 0.5, 0.2)),
        free_mail=rng.random(n) < 0.03,
        opted_out=rng.random(n) < 0.012,
        duplicate=(place > 0) & (rng.random(n) < 0.15),
    )


def _pick(rng: np.random.Generator, shares: Reals) -> Integers:
    """One position for each row of `shares`, drawn by the row's shares."""
    positions: Integers = (rng.random(len(shares))[:, None] >= shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return positions


def covariates(
    leads: SimulatedLeads, window: SimulatedWindow, partners: Partners, accounts: Accounts, usage: Usage
) -> Covariates:
    """The covariates of each lead from facts recorded by its creation, without later versions of account or partner."""
    overlapping = (accounts.overlaps >= 0) & (accounts.relationship == RELATIONSHIPS.index("customer"))
    return Covariates(
        channel=leads.channel,
        employees=accounts.employees_at(leads.account, leads.created),
        icp_industry=accounts.industry[leads.account] < ICP_INDUSTRIES,
        competitor=accounts.competitor[leads.account],
        partner=leads.partner >= 0,
        referred=leads.referred,
        certified=partners.certified_at(leads.partner, leads.created),
        tier=partners.tier_at(leads.partner, leads.created),
        active_days=usage.active_days(leads.account, leads.created, window),
        shared_customers=overlapping.sum(axis=1)[leads.account],
        barred=leads.free_mail | leads.opted_out | leads.duplicate,
    )
