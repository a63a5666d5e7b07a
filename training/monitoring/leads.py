"""The leads that monitoring reads: each lead at creation as the champion sees it, with the facts known by a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import POSITION, DuckDBEngine
from features.outcomes import first_closes_sql
from features.value_types import DAY, parse_instant
from models.arrays import Booleans, Matrix, Reals
from models.bundle import Bundle
from models.probability import sigmoid
from training.data.segments import Segment
from training.data.snapshots import NEVER
from training.data.splits import TEST_SHARE_DATED

SEGMENTS = ("partner", "region", "channel")


class NothingToMonitor(ValueError):
    """There is no dated lead to monitor, or the champion's target has no date; the message says the fix."""


@dataclass(frozen=True, kw_only=True)
class ObservedLeads:
    """Leads at creation, one row each, oldest first; arrays of equal length.

    Attributes:
        lead_id: the lead.
        created: the moment when the lead was known, microseconds.
        cluster: its account, its group, or the lead itself.
        partner, region, channel: its segments; "" where unknown.
        won_at: the moment of the win, microseconds; `NEVER` where no win is known.
        known_won_at: the moment when the win was recorded; `NEVER` where no win is known.
        matrix: its features as the champion encodes them.
        margin: the champion's margin, uncalibrated.
        probability: the champion's served probability.
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
        return ObservedLeads(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def won_within(self, days: int) -> Reals:
        """1 where the lead was won within `days` days, else 0; a lost lead is a 0, never censored."""
        return (self.won_at - days * DAY <= self.created).astype(np.float64)

    def known_won_within(self, days: int) -> Reals:
        """1 where the win was also recorded within `days` days, so that late recording affects all leads alike."""
        return (self.known_won_at - days * DAY <= self.created).astype(np.float64)


def observe(engine: DuckDBEngine, bundle: Bundle, catalogue: Catalogue, as_of: int) -> ObservedLeads:
    """The leads known by a moment, with the facts known by then; leads of excluded segments are left out.

    Args:
        engine: the records.
        bundle: the champion.
        catalogue: the base catalogue.
        as_of: the moment, microseconds.

    Raises:
        NothingToMonitor: no lead has a creation date, or none is known by then.
        UntrustedBundle: the champion reads features that this software no longer has.
    """
    closes = first_closes_sql("duckdb", as_of, POSITION)
    rows = engine.sql(_LEADS.format(closes=closes), [as_of, as_of]).to_pydict()
    if not rows["lead_id"]:
        raise NothingToMonitor("no dated lead is known by then; import leads with their dates, or give a later --as-of")
    full = bundle.catalogue(catalogue)
    excluded = [Segment.parse(left["segment"]) for left in bundle.training_summary.get("excluded", ())]
    names = dict.fromkeys((*bundle.encoding.names, *(segment.name for segment in excluded)))
    read = full.subset(names)
    wanted = pa.table(
        {"lead_id": pa.array(rows["lead_id"], pa.string()), "as_of": pa.array(rows["created"], pa.int64())}
    )
    features = engine.evaluate(read, wanted)
    position = {lead: row for row, lead in enumerate(features["lead_id"].to_pylist())}
    features = features.take(pa.array([position[lead] for lead in rows["lead_id"]], pa.int64()))
    matrix = bundle.encoding.encode({name: features[name].to_pylist() for name in bundle.encoding.names}, len(features))
    return assemble(rows, matrix, bundle).take(_not_excluded(features, excluded))


def _not_excluded(features: pa.Table, excluded: Sequence[Segment]) -> Booleans:
    """The leads outside the excluded segments."""
    out = np.zeros(len(features), np.bool_)
    for segment in excluded:
        out |= np.array([segment.holds(value) for value in features[segment.name].to_pylist()], np.bool_)
    return ~out


def assemble(rows: Mapping[str, Sequence[Any]], matrix: Matrix, bundle: Bundle) -> ObservedLeads:
    """The leads of columns (named as in `ObservedLeads`; None where unknown) and of encoded features."""
    parts = bundle.contributions(matrix)
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
    """The periods that leads belong to, by creation, as flags; `judged` and `since` may be empty.

    Attributes:
        training: leads that the champion was trained on.
        judged: leads of the champion's test window.
        since: leads created later whose outcome is known by now.
        recent: leads created in the last `days` days, with or without an outcome.
    """

    training: Booleans
    judged: Booleans
    since: Booleans
    recent: Booleans


def periods(leads: ObservedLeads, bundle: Bundle, as_of: int, days: int) -> Periods:
    """The periods of a champion with a dated target.

    The training period ends one horizon before the test window, so that no lead is in both.

    Raises:
        NothingToMonitor: the champion predicts "ever won", or none of its training leads is in the records.
    """
    if bundle.horizon_days is None:
        raise NothingToMonitor('the champion predicts "ever won", which has no date to check; train on dated leads')
    horizon = bundle.horizon_days * DAY
    cut = min(parse_instant(bundle.training_summary["cut"]), as_of)
    known = leads.created + horizon <= cut
    if not known.any():
        raise NothingToMonitor(_NO_TRAINING_LEADS)
    start = _judged_from(leads.created[known], bundle)
    training = leads.created + horizon <= start
    if not training.any():
        raise NothingToMonitor(_NO_TRAINING_LEADS)
    mature = leads.created + horizon <= as_of
    recent = (leads.created > as_of - days * DAY) & ~training
    return Periods(training, known & (leads.created >= start), mature & ~known, recent)


_NO_TRAINING_LEADS = "none of the champion's training leads is in the records; give the records of the store"


def _judged_from(created: NDArray[np.int64], bundle: Bundle) -> int:
    """The start of the champion's test window; where the bundle lacks it, as `training.data.splits` would set it."""
    judged_from = bundle.training_summary.get("judged_from")
    if judged_from is not None:
        return parse_instant(judged_from)
    return int(np.sort(created)[int(len(created) * (1 - TEST_SHARE_DATED))])


_LEADS = """
WITH first AS (
    SELECT lead_id, greatest(min(created_at), min(recorded_at)) AS created,
           coalesce(min("group"), min(account_id), lead_id) AS cluster, arg_min(source_partner_id, rowid) AS partner,
           arg_min("folded.region", rowid) AS region, arg_min(channel, rowid) AS channel, min(rowid) AS position
    FROM leads WHERE NOT deleted AND recorded_at <= $1 GROUP BY lead_id
), closes AS ({closes})
SELECT lead_id, created, cluster, partner, region, channel, won_at, known_won_at
FROM first LEFT JOIN closes USING (lead_id) WHERE created <= $2 ORDER BY created, position
"""
