"""The records of deals: the events of their leads' sales process, and payouts to partners for won deals."""

from itertools import chain

import numpy as np

from features.value_types import DAY
from models.arrays import Integers
from training.world.accounts import COUNTRIES
from training.world.chunk import Chunk, RecordRows, rows, signals, where
from training.world.hazard import LOST, WON
from training.world.partner_facts import PARTNER_IDS

STAGES = ("qualified", "proposal", "negotiation")
"""The stage that each buying signal moves a lead to."""

_PAYOUT_STEPS = (("pending", 1), ("approved", 15), ("paid", 30))


def deal_rows(chunk: Chunk, rng: np.random.Generator) -> tuple[RecordRows, RecordRows]:
    """The lead events, and the payouts, of one draw of the values of won deals."""
    lead, at = chunk.history.of(WON)
    acv = _acv(chunk, lead, rng)
    return _lead_events(chunk, lead, acv, rng), _payouts(chunk, lead, at, acv)


def _acv(chunk: Chunk, lead: Integers, rng: np.random.Generator) -> Integers:
    """Annual contract value in minor units: grows with the account, in whole tens of the currency."""
    size = np.nan_to_num(chunk.accounts.employees_at(chunk.leads.account, chunk.leads.created), nan=200)[lead]
    return np.round(30 * (size + 20) ** 0.7 * np.exp(rng.normal(0, 0.5, len(lead)))).astype(np.int64) * 1000


def _currencies(chunk: Chunk, lead: Integers) -> list[str]:
    places = (COUNTRIES[place] for place in chunk.accounts.country[chunk.leads.account[lead]].tolist())
    return ["GBP" if country == "GB" else "EUR" if region == "EMEA" else "USD" for country, region in places]


def _lead_events(chunk: Chunk, won: Integers, acv: Integers, rng: np.random.Generator) -> RecordRows:
    leads = chunk.leads
    everyone = np.arange(len(leads.account))
    moved, moved_at, ordinal = signals(chunk)
    years = rng.integers(1, 4, len(won))
    worth: dict[str, Integers | list[str]] = {"amount_minor": acv * years, "acv_minor": acv, "arr_minor": acv}
    worth |= dict.fromkeys(("amount_currency", "acv_currency", "arr_currency"), _currencies(chunk, won))
    return chain(
        _events(chunk, everyone, (leads.created, leads.created), "opened", "opened"),
        _events(chunk, moved, (moved_at, moved_at), "stage", [STAGES[place] for place in (ordinal - 1).tolist()]),
        _events(chunk, won, chunk.history.times(WON), "won", "won", **worth),
        _events(chunk, chunk.history.of(LOST)[0], chunk.history.times(LOST), "lost", "lost"),
    )


def _events(
    chunk: Chunk,
    lead: Integers,
    times: tuple[Integers, Integers],
    event: str,
    stage: str | list[str],
    **worth: Integers | list[str],
) -> RecordRows:
    """Events that happened and were recorded at `times`."""
    ids = [chunk.lead_ids[place] for place in lead.tolist()]
    stages = [stage] * len(ids) if isinstance(stage, str) else stage
    return rows(
        chunk.kept_leads[lead],
        lead_event_id=[f"V{name[1:]}-{stage}" for name, stage in zip(ids, stages, strict=True)],
        lead_id=ids,
        occurred_at=times[0],
        recorded_at=times[1],
        deleted=False,
        event=event,
        stage=stages if event == "stage" else None,
        **worth,
    )


def _payouts(chunk: Chunk, won: Integers, won_at: Integers, acv: Integers) -> RecordRows:
    """The payout to the source partner once a win is recorded: pending, then approved, then paid."""
    partner = chunk.leads.partner[won]
    ids = [chunk.lead_ids[place] for place in won.tolist()]
    amount = np.round(acv * chunk.partners.sourced_at(partner, won_at)).astype(np.int64)
    for status, days in _PAYOUT_STEPS:
        at = won_at + days * DAY
        yield from rows(
            chunk.kept_leads[won] & (partner >= 0) & (at <= chunk.window.cut),
            payout_id=[f"Y{name[1:]}" for name in ids],
            occurred_at=at,
            recorded_at=at,
            deleted=False,
            partner_id=where(partner >= 0, np.array(PARTNER_IDS)[partner]),
            lead_id=ids,
            amount_minor=amount,
            amount_currency=_currencies(chunk, won),
            status=status,
        )
