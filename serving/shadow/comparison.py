"""The comparison of champion and challenger, by their probabilities for the same decisions and by the outcomes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.bundle import Bundle
from models.probability import log_losses
from models.statistics import NORMAL_95, clustered_standard_error
from serving.shadow.shadow_scores import MaturedPair, ScoredPair

MIN_OUTCOMES = 10
"""Leads won, and as many leads not won, that a comparison takes; promotion asks for as many."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The probabilities of champion and challenger for the same decisions; None where there are too few decisions.

    Attributes:
        decisions: the number of decisions.
        champion, challenger: mean close probabilities.
        difference: the mean of the challenger's probability less the champion's.
        largest: the largest absolute difference of a decision.
        correlation: Pearson's correlation of both.
        other_grade: the share of decisions with another grade.
    """

    decisions: int
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    largest: float | None = None
    correlation: float | None = None
    other_grade: float | None = None


def compare(pairs: Iterable[ScoredPair], challenger: Bundle) -> Comparison:
    """Compares decisions of the champion with the challenger's close probability of each."""
    rows = [
        (probability.value, pair.close_probability, pair.decision.grade != challenger.grade(pair.close_probability))
        for pair in pairs
        if (probability := pair.decision.close_probability) is not None
    ]
    if not rows:
        return Comparison(decisions=0)
    ours, theirs, regraded = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    vary = len(rows) > 1 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return Comparison(
        decisions=len(rows),
        champion=float(ours.mean()),
        challenger=float(theirs.mean()),
        difference=float((theirs - ours).mean()),
        largest=float(np.abs(theirs - ours).max()),
        correlation=float(np.corrcoef(ours, theirs)[0, 1]) if vary else None,
        other_grade=float(regraded.mean()),
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The log losses of champion and challenger, one decision a lead; None where there are too few outcomes.

    Attributes:
        leads: the leads whose outcome is known.
        won: those of them that were won within the horizon.
        champion, challenger: log losses, in nats a lead.
        difference: the challenger's loss less the champion's; below 0 the challenger is better.
        lower, upper: the 95 % interval of the difference, clustered by account.
    """

    leads: int
    won: int
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None


def judge(matured: Iterable[MaturedPair], horizon_days: int | None) -> Judgement:
    """Compares the probabilities with the outcomes, for decisions whose horizon is the challenger's."""
    rows = [
        (probability.value, pair.close_probability, pair.won, pair.cluster)
        for pair in matured
        if (probability := pair.decision.close_probability) is not None and probability.horizon_days == horizon_days
    ]
    wins = sum(won for _, _, won, _ in rows)
    if min(wins, len(rows) - wins) < MIN_OUTCOMES:
        return Judgement(leads=len(rows), won=wins)
    ours, theirs, won, clusters = map(np.array, zip(*rows, strict=True))
    champion, challenger = log_losses(won, ours), log_losses(won, theirs)
    difference = float((challenger - champion).mean())
    half_width = NORMAL_95 * clustered_standard_error(challenger - champion, clusters)
    return Judgement(
        leads=len(rows),
        won=wins,
        champion=float(champion.mean()),
        challenger=float(challenger.mean()),
        difference=difference,
        lower=difference - half_width,
        upper=difference + half_width,
    )
