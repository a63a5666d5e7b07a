"""How far to trust a group's own rate: the strength of empirical-Bayes shrinkage, from how much groups differ."""

_USUAL_CORRELATION = 1 / 21
"""What trials of one group are taken to have in common before there is evidence: a strength of 20 trials."""

_USUAL_WEIGHT = 20
"""Degrees of freedom at which the evidence weighs as much as the usual."""


def strength(groups: int, trials: int, successes: int, squared_trials: int, explained: float) -> float:
    """Trials at which a group's own rate weighs as much as the common one: (1 - r) / r of the correlation r.

    r is the intraclass correlation of a binary outcome by analysis of variance (Ridout, Demétrio & Firth 1999,
    doi 10.1111/j.0006-341X.1999.00137.x), leaning to a strength of 20 trials while groups are few.

    Args:
        groups: groups with trials.
        trials: of all groups.
        successes: of all groups.
        squared_trials: the sum of the squares of the groups' trials.
        explained: the sum of successes squared by trials.
    """
    freedom = max(groups - 1, 0)
    found = _correlation(freedom, trials, successes, squared_trials, explained)
    weighed = freedom * found + _USUAL_WEIGHT * _USUAL_CORRELATION
    correlation = weighed / (freedom + _USUAL_WEIGHT)
    return (1 - correlation) / correlation


def _correlation(freedom: int, trials: int, successes: int, squared_trials: int, explained: float) -> float:
    if not freedom or trials <= freedom + 1:
        return 0.0
    between = (explained - successes**2 / trials) / freedom
    within = (successes - explained) / (trials - freedom - 1)
    size = (trials - squared_trials / trials) / freedom
    spread = between + (size - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else 0.0
