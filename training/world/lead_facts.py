"""The records of leads: their versions, and every fact and event of their histories.

The facts that move a lead's state (signals, confirmations) are recorded at the moment they do; a few happened earlier
and are recorded late, and all may, where the switches say so. Everything else here is drawn without a look at how the
lead ends.
"""

from dataclasses import dataclass

import numpy as np

from features.value_types import DAY, SECOND, Scalar
from models.arrays import Booleans, Integers
from training.world.account_facts import domains
from training.world.accounts import COUNTRIES
from training.world.chunk import Chunk, RecordRows, rows, signals, where
from training.world.hazard import CHANNELS, LOST, PARTNER, VENDOR
from training.world.hidden import waits
from training.world.partner_facts import PARTNER_IDS
from training.world.partners import TIERS

SIGNALS = ("demo_request", "budget_confirmed", "authority_confirmed", "use_case_stated", "timeline_stated")
PRODUCT_LINES = ("core", "plus", "enterprise")
_FIRST_NAMES = ("ada", "ben", "chloe", "dana", "emil", "farah", "goran", "hana", "ivo", "jun", "kira", "luis", "mona")
_LAST_NAMES = ("abel", "bauer", "castro", "dietz", "eriksen", "fuchs", "gomez", "hart", "ito", "jansen", "kaya", "lund")
_FREE_MAIL = "gmail.com"
_LATE = 0.05
_COMPLETE = 0.93


def _partner_ids(partner: Integers) -> list[Scalar]:
    return [PARTNER_IDS[place] if place >= 0 else None for place in partner.tolist()]


def lead_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """The versions of each lead: as created; for some with another product line; for a few opted out after a loss."""
    leads, n = chunk.leads, len(chunk.leads.account)
    columns = _unchanging(chunk, rng)
    line, other_line = rng.integers(0, len(PRODUCT_LINES), (2, n))
    changed = np.where(rng.random(n) < 0.08, leads.created + _within(rng, 20, n), chunk.window.cut + DAY)
    lost = np.zeros(n, bool)
    lost[chunk.history.of(LOST)[0]] = True
    left = np.where(lost & (rng.random(n) < 0.04), chunk.closed + _within(rng, 5, n), chunk.window.cut + DAY)
    for at in (leads.created, changed, left):
        yield from rows(
            chunk.kept_leads & (at <= chunk.window.cut),
            recorded_at=at,
            product_line=[PRODUCT_LINES[place] for place in np.where(changed <= at, other_line, line).tolist()],
            opted_out=leads.opted_out | (left <= at),
            **columns,
        )


def _unchanging(chunk: Chunk, rng: np.random.Generator) -> dict[str, object]:
    leads, n, ids = chunk.leads, len(chunk.leads.account), chunk.lead_ids
    emails = _emails(chunk, rng)
    by_partner = leads.partner >= 0
    tier = chunk.partners.tier_at(leads.partner, leads.created)
    stated = np.where(rng.random(n) < 0.95, tier, np.minimum(tier, 1))
    return {
        "occurred_at": leads.created,
        "deleted": False,
        "lead_id": ids,
        "account_id": [f"A{lead[1:].rpartition('-')[0]}" for lead in ids],
        "email": emails,
        "email_domain": [email.rpartition("@")[2] for email in emails],
        "created_at": leads.created,
        "channel": [CHANNELS[channel] for channel in leads.channel.tolist()],
        "source_partner_id": _partner_ids(leads.partner),
        "programme_tier": where(by_partner & (rng.random(n) < _COMPLETE), np.array(TIERS)[stated]),
        "referral_date": where(by_partner & (rng.random(n) < _COMPLETE), leads.created - leads.created % DAY),
        "region": [COUNTRIES[country][1] for country in chunk.accounts.country[leads.account].tolist()],
        "duplicate_of": [
            f"{lead.rpartition('-')[0]}-{ordinal - 1}" if duplicate else None
            for lead, ordinal, duplicate in zip(ids, leads.ordinal.tolist(), leads.duplicate.tolist(), strict=True)
        ],
    }


def _emails(chunk: Chunk, rng: np.random.Generator) -> list[str]:
    """first.last@domain; a duplicate has the address of the lead before it."""
    leads, n, hosts = chunk.leads, len(chunk.leads.account), domains(chunk)
    person = rng.integers(0, len(_FIRST_NAMES) * len(_LAST_NAMES), n)
    emails: list[str] = []
    for place, (lead, account) in enumerate(zip(chunk.lead_ids, leads.account.tolist(), strict=True)):
        first, last = divmod(int(person[place]), len(_LAST_NAMES))
        own = f"{_FIRST_NAMES[first]}.{_LAST_NAMES[last]}@{hosts[account]}"
        free = f"buyer.{lead.lower()}@{_FREE_MAIL}"
        emails.append(free if leads.free_mail[place] else emails[-1] if leads.duplicate[place] else own)
    return emails


def _within(rng: np.random.Generator, days: int, n: int) -> Integers:
    """Spans of up to this many days, in whole seconds."""
    return rng.integers(1, days * DAY // SECOND, n) * SECOND


def _happened(chunk: Chunk, rng: np.random.Generator, lead: Integers, recorded: Integers) -> Integers:
    """The times of facts recorded at these moments: the same, or up to ten days earlier for the few that came late.

    All of them may come later by the switch `late_days`, but none happened before its lead was created.
    """
    late = rng.random(len(lead)) < _LATE
    before = late * _within(rng, 10, len(lead)) + waits(rng, chunk.setting.switches.late_days, len(lead)) * DAY
    return np.maximum(recorded - before, chunk.leads.created[lead])


def referral_rows(chunk: Chunk) -> RecordRows:
    """The referral of each referred lead, made as it was created."""
    leads, ids = chunk.leads, chunk.lead_ids
    return rows(
        chunk.kept_leads & leads.referred,
        referral_id=[f"R{lead[1:]}" for lead in ids],
        lead_id=ids,
        occurred_at=leads.created,
        recorded_at=leads.created,
        deleted=False,
        partner_id=_partner_ids(leads.partner),
    )


@dataclass(frozen=True)
class _Confirmations:
    """The confirmations of one side, one a row."""

    lead: Integers
    happened: Integers
    recorded: Integers

    def take(self, these: Booleans) -> "_Confirmations":
        return _Confirmations(self.lead[these], self.happened[these], self.recorded[these])


def confirmation_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """The confirmations of both sides, of fit and intent at once or in two records at one moment.

    Of some leads the partner confirms the fit alone as it brings them, which moves nothing.
    """
    leads = chunk.leads
    at_once = np.flatnonzero(leads.confirmed)
    later, later_at = chunk.history.of(PARTNER)
    by_partner = np.concatenate([at_once, later]), np.concatenate([leads.created[at_once], later_at])
    for side, (lead, recorded) in (("partner", by_partner), ("vendor", chunk.history.of(VENDOR))):
        confirmations = _Confirmations(lead, _happened(chunk, rng, lead, recorded), recorded)
        apart = rng.random(len(lead)) < 0.15
        yield from _confirmation_rows(chunk, confirmations.take(~apart), side, "fit", "intent")
        yield from _confirmation_rows(chunk, confirmations.take(apart), side, "fit")
        yield from _confirmation_rows(chunk, confirmations.take(apart), side, "intent")
    early = np.flatnonzero((leads.partner >= 0) & ~leads.confirmed & (rng.random(len(leads.partner)) < 0.1))
    created = leads.created[early]
    yield from _confirmation_rows(chunk, _Confirmations(early, created, created), "partner", "fit", label="early")


def _confirmation_rows(
    chunk: Chunk, confirmations: _Confirmations, side: str, *subjects: str, label: str = ""
) -> RecordRows:
    ids = [chunk.lead_ids[place] for place in confirmations.lead.tolist()]
    name = "-".join((side, *subjects, label)).removesuffix("-")
    return rows(
        chunk.kept_leads[confirmations.lead],
        confirmation_id=[f"C{lead[1:]}-{name}" for lead in ids],
        lead_id=ids,
        occurred_at=confirmations.happened,
        recorded_at=confirmations.recorded,
        deleted=False,
        side=side,
        partner_id=_partner_ids(chunk.leads.partner[confirmations.lead]) if side == "partner" else None,
        subjects=f"|{'|'.join(subjects)}|",
    )


def buying_signal_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """The buying signals of leads, each of another kind; the signal of a demo request is the first."""
    leads, demo = chunk.leads, CHANNELS.index("demo_request")
    order = rng.random((len(leads.account), len(SIGNALS)))
    order[leads.channel == demo, SIGNALS.index("demo_request")] = -1
    kinds = np.argsort(order, axis=1)
    at_once = np.flatnonzero(leads.channel == demo)
    lead, recorded, ordinal = signals(chunk)
    happened = np.concatenate([leads.created[at_once], _happened(chunk, rng, lead, recorded)])
    lead, recorded = np.concatenate([at_once, lead]), np.concatenate([leads.created[at_once], recorded])
    ordinal = np.concatenate([np.ones(len(at_once), np.int64), ordinal])
    ids = [chunk.lead_ids[place] for place in lead.tolist()]
    return rows(
        chunk.kept_leads[lead],
        buying_signal_id=[f"B{name[1:]}-{number}" for name, number in zip(ids, ordinal.tolist(), strict=True)],
        lead_id=ids,
        occurred_at=happened,
        recorded_at=recorded,
        deleted=False,
        kind=[SIGNALS[kind] for kind in kinds[lead, ordinal - 1].tolist()],
    )
