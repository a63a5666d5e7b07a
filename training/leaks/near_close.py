"""Features that predict the outcome near the close only: the close itself wrote them down.

The search needs leads with several snapshots. Each closed lead is compared with itself: at creation, and in its last
snapshot before the close. An honest signal also grows over time, so the bar is high and this search never blocks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from models.arrays import Integers, Reals
from training.data.rows import Rows
from training.evaluation.leak_findings import Evidence
from training.evaluation.metrics import auc, null_auc_error
from training.leaks.columns import FeatureColumn
from training.leaks.sample import LeadHistory
from training.leaks.single_feature_auc import SUSPECT_AUC, shares_won

MIN_RISE = 0.15
"""Evidence needs at least this rise of the AUC from creation to the last week."""
_MIN_OF_AN_OUTCOME = 25


@dataclass(frozen=True, kw_only=True)
class ClosedLeads:
    """Closed leads with two snapshots or more; one entry a lead.

    Attributes:
        first: the row of its creation snapshot.
        before: the row of the last snapshot but one.
        last: the row of the last snapshot, within a week of its close.
        won: whether it was won.
        half: the half of the leads that judges it; the shares won come from the other half.
        overdispersion: see `Sample`.
    """

    first: Integers
    before: Integers
    last: Integers
    won: Reals
    half: NDArray[np.bool_]
    overdispersion: float


def closed_leads(
    rows: Rows, train: Integers, history: LeadHistory, overdispersion: float, rng: np.random.Generator
) -> ClosedLeads:
    """The closed leads among the training rows that have a snapshot before that of their last week."""
    ordered = train[np.lexsort((history.as_of[train], history.lead_id[train]))]
    lead = history.lead_id[ordered]
    starts = np.flatnonzero(np.r_[True, lead[1:] != lead[:-1]]) if len(lead) else np.empty(0, np.int64)
    ends = np.r_[starts[1:], len(lead)] - 1 if len(lead) else starts
    wanted = (ends - starts >= 1) & rows.at_creation[ordered[starts]] & history.closing[ordered[ends]]
    first, before, last = (ordered[at[wanted]] for at in (starts, ends - 1, ends))
    _, cluster = np.unique(history.cluster[last], return_inverse=True)
    half = rng.random(cluster.max(initial=0) + 1)[cluster] < 0.5
    return ClosedLeads(
        first=first,
        before=before,
        last=last,
        won=history.ever_won[last].astype(np.float64),
        half=half,
        overdispersion=overdispersion,
    )


def has_enough_outcomes(closed: ClosedLeads) -> bool:
    """Whether both halves hold enough of both outcomes."""
    counts = [int((closed.won[side] == won).sum()) for side in (closed.half, ~closed.half) for won in (0, 1)]
    return min(counts) >= _MIN_OF_AN_OUTCOME


def evidence(column: FeatureColumn, closed: ClosedLeads, chance: float) -> list[Evidence]:
    """Evidence that a feature's AUC rises steeply from creation to the last week before the close."""
    early, late = (_auc(column, at, closed) for at in (closed.first, closed.last))
    error = null_auc_error(closed.won) * np.sqrt(2 * closed.overdispersion)
    if late <= SUSPECT_AUC or late - early < MIN_RISE or norm.sf((late - early) / error) >= chance:
        return []
    won = closed.won > 0
    moved = column.codes[closed.last] != column.codes[closed.before]
    figures = {"auc_at_creation": early, "auc_in_last_week": late}
    figures |= {"changed_won": float(moved[won].mean()), "changed_lost": float(moved[~won].mean())}
    words = (
        f"tells more the nearer the close: AUC {early:.3f} at creation, {late:.3f} in the last week, when it changed "
        f"for {figures['changed_won']:.0%} of the won and {figures['changed_lost']:.0%} of the lost"
    )
    return [Evidence(kind="close", words=words, strength=late, decisive=False, figures=figures)]


def _auc(column: FeatureColumn, at: Integers, closed: ClosedLeads) -> float:
    """AUC of the levels' shares won among the rows `at`; the shares of each half come from the other half."""
    levels = len(column.labels)
    codes = np.where(column.blank, levels, column.codes)[at]
    aucs = []
    for fit, judge in ((closed.half, ~closed.half), (~closed.half, closed.half)):
        shares = shares_won(codes[fit], closed.won[fit], np.ones(int(fit.sum())), levels)
        aucs.append(auc(closed.won[judge], shares[codes[judge]]))
    return float(np.mean(aucs))
