"""What monitoring looks at: every lead at creation as the champion sees it, and what was known of it by a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine
from features.values import DAY, parse_instant
from models.arrays import Booleans, Reals
from models.bundle import Bundle
from models.encoding import Matrix
from models.probability import sigmoid
from training.data.segments import Segment
from training.data.snapshots import NEVER
from training.data.splits import TEST_SHARE_DATED

SEGMENTS = ("partner", "region", "channel")


class NothingToMonitor(ValueError):
    """There is no dated lead to look at, or the champion promises nothing dated; the message says the mend."""


@dataclass(frozen=True)
class ObservedLeads:
    """ObservedLeads at creation, one row each, oldest first; arrays of equal length.

    Attributes:
        lead_id: the lead.
        created: the moment it was known, microseconds.
        cluster: its account, group or itself.
        partner, region, channel: where it belongs; "" where unknown.
        won_at: when it was won, microseconds; `NEVER` where that is not known.
        known_won_at: when the win was recorded; `NEVER` likewise.
        matrix: its features as the champion encodes them.
        margin: the champion's, uncalibrated.
        probability: the champion's, served.
    """

    lead_id: NDArray[np.str_]
    created: NDArray[np.int64]
    cluster: NDArray[np.str_]
    partner: NDArray[np.str_]
    region: NDArray[np.str_]
    channel: NDArray[np.str_]
    won_at: NDArray[np.int64]
    known_won_at: NDArray[np.int64]
    matrix: Matrix
    margin: Reals
    probability: Reals

    def __len__(self) -> int:
        return len(self.lead_id)

    def take(self, chosen: Booleans | NDArray[np.int64]) -> "ObservedLeads":
        """Some of the leads, by flags or positions."""
        return ObservedLeads(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def won_within(self, days: int) -> Reals:
        """1 where won within so many days, else 0; a lost lead is a 0, never censored."""
        return (self.won_at - days * DAY <= self.created).astype(np.float64)

    def known_won_within(self, days: int) -> Reals:
        """1 where the win was also recorded within so many days, so that late recording touches all leads alike."""
        return (self.known_won_at - days * DAY <= self.created).astype(np.float64)


def observe(engine: DuckDBEngine, bundle: Bundle, catalogue: Catalogue, as_of: int) -> ObservedLeads:
    """The leads known by a moment, with what was known of them by then; none of a segment that training left out.

    Args:
        engine: the records.
        bundle: the champion.
        catalogue: the base catalogue.
        as_of: the moment, microseconds.

    Raises:
        NothingToMonitor: no lead has a creation date, or none is known by then.
        UntrustedBundle: the champion reads features that this software no longer has.
    """
    rows = engine.sql(_LEADS, [as_of, as_of, as_of, as_of]).to_pydict()
    if not rows["lead_id"]:
        raise NothingToMonitor("no dated lead is known by then; import leads with their dates, or give a later --as-of")
    full = bundle.catalogue(catalogue)
    excluded = [Segment.parse(left["segment"]) for left in bundle.facts.get("excluded", ())]
    names = dict.fromkeys((*bundle.encoding.names, *(segment.name for segment in excluded)))
    read = Catalogue(tuple(full[name] for name in names))
    wanted = pa.table(
        {"lead_id": pa.array(rows["lead_id"], pa.string()), "as_of": pa.array(rows["created"], pa.int64())}
    )
    found = engine.evaluate(read, wanted)
    place = {lead: row for row, lead in enumerate(found["lead_id"].to_pylist())}
    found = found.take(pa.array([place[lead] for lead in rows["lead_id"]], pa.int64()))
    matrix = bundle.encoding.encode({name: found[name].to_pylist() for name in bundle.encoding.names}, len(found))
    return assemble(rows, matrix, bundle).take(_spoken_for(found, excluded))


def _spoken_for(found: pa.Table, excluded: Sequence[Segment]) -> Booleans:
    """The leads of no excluded segment."""
    out = np.zeros(len(found), np.bool_)
    for segment in excluded:
        out |= np.array([value == segment.value for value in found[segment.name].to_pylist()], np.bool_)
    return ~out


def assemble(rows: Mapping[str, Sequence[Any]], matrix: Matrix, bundle: Bundle) -> ObservedLeads:
    """ObservedLeads of their columns (as `ObservedLeads` names them; None where unknown) and their encoded features."""
    parts = bundle.parts(matrix)
    return ObservedLeads(
        lead_id=_texts(rows["lead_id"]),
        created=_times(rows["created"]),
        cluster=_texts(rows["cluster"]),
        partner=_texts(rows["partner"]),
        region=_texts(rows["region"]),
        channel=_texts(rows["channel"]),
        won_at=_times(rows["won_at"]),
        known_won_at=_times(rows["known_won_at"]),
        matrix=matrix,
        margin=bundle.margins(parts),
        probability=sigmoid(parts.sum(axis=1)),
    )


def _texts(values: Sequence[Any]) -> NDArray[np.str_]:
    return np.array([value or "" for value in values], np.str_)


def _times(values: Sequence[Any]) -> NDArray[np.int64]:
    return np.array([NEVER if value is None else value for value in values], np.int64)


@dataclass(frozen=True)
class Periods:
    """Which leads are which, by creation; `judged` and `since` may be empty.

    Attributes:
        training: the champion learned from them.
        judged: it was judged by them.
        since: created later, and old enough by now for their outcome to be known.
        recent: created in the last `days` days, whatever came of them.
    """

    training: Booleans
    judged: Booleans
    since: Booleans
    recent: Booleans


def periods(leads: ObservedLeads, bundle: Bundle, as_of: int, days: int) -> Periods:
    """The periods of a champion with a dated target.

    What the champion was fitted to ends a horizon before the leads it was judged by, so that none of it is judged.

    Raises:
        NothingToMonitor: the champion predicts "ever won", or none of its training leads is in the records.
    """
    if bundle.horizon_days is None:
        raise NothingToMonitor('the champion predicts "ever won", which has no date to check; train on dated leads')
    horizon = bundle.horizon_days * DAY
    cut = min(parse_instant(bundle.facts["cut"]), as_of)
    known = leads.created + horizon <= cut
    if not known.any():
        raise NothingToMonitor(_FOREIGN)
    start = _judged_from(leads.created[known], bundle)
    training = leads.created + horizon <= start
    if not training.any():
        raise NothingToMonitor(_FOREIGN)
    mature = leads.created + horizon <= as_of
    recent = (leads.created > as_of - days * DAY) & ~training
    return Periods(training, known & (leads.created >= start), mature & ~known, recent)


_FOREIGN = "none of the leads the champion learned from is in the records; give the store's"


def _judged_from(created: NDArray[np.int64], bundle: Bundle) -> int:
    """The start of the champion's test window; where the bundle does not say, as `training.data.splits` divides."""
    said = bundle.facts.get("judged_from")
    if said is not None:
        return parse_instant(said)
    return int(np.sort(created)[int(len(created) * (1 - TEST_SHARE_DATED))])


_LEADS = """
WITH first AS (
    SELECT lead_id, greatest(min(created_at), min(recorded_at)) AS created,
           coalesce(min("group"), min(account_id), lead_id) AS cluster, arg_min(source_partner_id, rowid) AS partner,
           arg_min(region, rowid) AS region, arg_min(channel, rowid) AS channel, min(rowid) AS position
    FROM leads WHERE NOT deleted AND recorded_at <= $1 GROUP BY lead_id
), wins AS (
    SELECT lead_id, min(occurred_at) AS won_at, min(recorded_at) AS known_won_at
    FROM lead_events
    WHERE event = 'won' AND NOT deleted AND recorded_at <= $2 AND (superseded_at IS NULL OR superseded_at > $3)
    GROUP BY lead_id
)
SELECT lead_id, created, cluster, partner, region, channel, won_at, known_won_at
FROM first LEFT JOIN wins USING (lead_id) WHERE created <= $4 ORDER BY created, position
"""
