"""Marketing touches of leads, before and after their creation: noise that follows the channel, not the outcome."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.records import DETAILS, PARTNER_CHANNELS
from features.value_types import DAY, SECOND, Scalar
from models.arrays import Integers
from training.world.chunk import Chunk, RecordRows, rows, where
from training.world.hazard import CHANNELS
from training.world.partner_facts import PARTNER_IDS

_BEFORE = 2.0
"""The mean number of touches before creation; leads from a trade-show list have none."""

_WEEKLY = 0.3
_RETRACTED = 0.005
_OWN = ("email", "organic_search", "direct", "paid_search", "social", "webinar")
_KINDS = {"webinar": "webinar", "trade_show": "list", "demo_request": "form", "case_study": "download"}
_SITE = "https://vendor.example/product"


@dataclass(frozen=True)
class _Touches:
    """Touches, one a row; `partner` is -1 for a touch without a partner."""

    lead: Integers
    at: Integers
    channel: Integers
    partner: Integers

    def take(self, these: Integers) -> "_Touches":
        return _Touches(*(column[these] for column in vars(self).values()))


def touchpoint_rows(chunk: Chunk, rng: np.random.Generator) -> RecordRows:
    """The touch that made each lead, others in the two months before and while it is open; a few are retracted."""
    touches = _touches(chunk, rng)
    ordinal = 1 + np.arange(len(touches.lead)) - np.searchsorted(touches.lead, touches.lead)
    names = [chunk.lead_ids[lead] for lead in touches.lead.tolist()]
    ids = [f"T{name[1:]}-{number}" for name, number in zip(names, ordinal.tolist(), strict=True)]
    retracted = rng.random(len(ids)) < _RETRACTED
    for these, delay in ((np.ones(len(ids), bool), 0), (retracted, 3 * DAY)):
        yield from rows(
            these & chunk.kept_leads[touches.lead] & (touches.at + delay <= chunk.window.cut),
            touchpoint_id=ids,
            lead_id=names,
            occurred_at=touches.at,
            recorded_at=touches.at + delay,
            deleted=delay > 0,
            **_content(touches),
        )


def _content(touches: _Touches) -> dict[str, list[Scalar]]:
    channels = [CHANNELS[channel] for channel in touches.channel.tolist()]
    partners = where(touches.partner >= 0, np.array(PARTNER_IDS)[touches.partner])
    urls = [_url(channel, partner) for channel, partner in zip(channels, partners, strict=True)]
    return {
        "channel": list(channels),
        "kind": [_KINDS.get(channel, "visit") for channel in channels],
        "partner_id": partners,
        "url": list(urls),
        "url_tagged": [None if url is None else DETAILS["url_tagged"](url) for url in urls],
    }


def _url(channel: str, partner: Scalar) -> str | None:
    if channel == "trade_show":
        return None
    source = channel if partner is None else f"{partner}".lower()
    return f"{_SITE}?utm_source={source}&utm_medium={channel}&utm_campaign=always-on"


def _touches(chunk: Chunk, rng: np.random.Generator) -> _Touches:
    """All touches, by lead and time."""
    leads, everyone = chunk.leads, np.arange(len(chunk.leads.account))
    made_by = np.where(leads.channel < len(PARTNER_CHANNELS), leads.partner, -1)
    parts = [
        _Touches(everyone, leads.created, leads.channel, made_by),
        *(_others(chunk, rng, spans) for spans in _spans(chunk, rng)),
    ]
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    touches = _Touches(*(np.concatenate(column) for column in columns))
    return touches.take(np.lexsort((touches.at, touches.lead)))


def _spans(chunk: Chunk, rng: np.random.Generator) -> Iterator[tuple[Integers, Integers, Integers]]:
    """For each lead, the number of touches and the moments between which they fall: before creation, and while open."""
    leads, end = chunk.leads, np.minimum(chunk.closed, chunk.window.cut)
    listed = leads.channel == CHANNELS.index("trade_show")
    yield (
        rng.poisson(np.where(listed, 0.0, _BEFORE)),
        np.maximum(leads.created - 60 * DAY, chunk.window.start),
        leads.created,
    )
    yield rng.poisson(_WEEKLY * (end - leads.created) / (7 * DAY)), leads.created, end


def _others(chunk: Chunk, rng: np.random.Generator, spans: tuple[Integers, Integers, Integers]) -> _Touches:
    lead, low, high = (np.repeat(values, spans[0]) for values in (np.arange(len(spans[0])), *spans[1:]))
    n = len(lead)
    at = low + ((high - low) * rng.random(n)).astype(np.int64) // SECOND * SECOND
    partner = np.where(rng.random(n) < 0.4, chunk.leads.partner[lead], -1)
    own = np.array([CHANNELS.index(channel) for channel in _OWN])[rng.integers(0, len(_OWN), n)]
    return _Touches(lead, at, np.where(partner >= 0, rng.integers(0, len(PARTNER_CHANNELS), n), own), partner)
